"""Discovery of the continuous linear and affine symmetries of a predictor."""

from ._discover import discover as discover
from ._result import Discovery as Discovery
