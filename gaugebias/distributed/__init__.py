"""Several processes that run one program: how they start, meet, and stop when one is lost."""

from ._bus import ProcessLost as ProcessLost
from ._start import initialize as initialize, shutdown as shutdown
