"""Stationary laws of the predictor, their conditions and their reference measures."""

from ._bessel import log_bessel_k as log_bessel_k
from ._builders import conditioned as conditioned
from ._builders import fibre_integral as fibre_integral
from ._builders import horizontal as horizontal
from ._builders import projected as projected
from ._builders import pushforward as pushforward
from ._density import DensityLaw as DensityLaw
from ._errors import Condition as Condition
from ._errors import LawRefused as LawRefused
from ._errors import NotNormalisable as NotNormalisable
from ._law import AbstractLaw as AbstractLaw
from ._law import Statistic as Statistic
from ._marginal import Marginal as Marginal
from ._parameter_law import ParameterLaw as ParameterLaw
from ._quotient_law import QuotientLaw as QuotientLaw
from ._shell import shell as shell
