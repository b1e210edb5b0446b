"""Stationary laws of the predictor, their conditions and their reference measures."""

from ._bessel import log_bessel_k as log_bessel_k
from ._builders import (
    conditioned as conditioned,
    fibre_integral as fibre_integral,
    horizontal as horizontal,
    projected as projected,
    pushforward as pushforward,
)
from ._density import DensityLaw as DensityLaw
from ._errors import (
    Condition as Condition,
    LawRefused as LawRefused,
    NotNormalisable as NotNormalisable,
)
from ._grid._fokker_planck import fokker_planck as fokker_planck
from ._grid._steady_state import SteadyState as SteadyState
from ._law import AbstractLaw as AbstractLaw, Statistic as Statistic
from ._noise._diagonal_linear import (
    RegressionMoments as RegressionMoments,
    diagonal_linear as diagonal_linear,
)
from ._noise._minibatch import minibatch as minibatch
from ._nuts import sample_nuts as sample_nuts
from ._parameter_law import ParameterLaw as ParameterLaw
from ._quadrature._marginal import Marginal as Marginal
from ._quotient_law import QuotientLaw as QuotientLaw
from ._shell import shell as shell
from ._spectral import SpectralLaw as SpectralLaw, spectral as spectral
