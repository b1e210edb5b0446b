"""The quotient of parameter space: orbit Grams, volumes, projections, gauges, its metric."""

from ._domain import Domain as Domain
from ._gauges._balance_report import (
    BalanceReport as BalanceReport,
    LayerBalance as LayerBalance,
    balance_report as balance_report,
)
from ._gauges._distance import ModuloDistance as ModuloDistance, distance_modulo as distance_modulo
from ._gauges._gauge import (
    AbstractGauge as AbstractGauge,
    FunctionGauge as FunctionGauge,
    MomentMapGauge as MomentMapGauge,
    fix_gauge as fix_gauge,
)
from ._gauges._slice import (
    SliceReport as SliceReport,
    check_slice_invariance as check_slice_invariance,
    isometry_residual as isometry_residual,
    linearity_residual as linearity_residual,
    require_moment_map as require_moment_map,
    trace_on_slice as trace_on_slice,
    transpose_residual as transpose_residual,
)
from ._grams._gram import (
    horizontal as horizontal,
    log_orbit_volume as log_orbit_volume,
    orbit_gram as orbit_gram,
    orbit_rank as orbit_rank,
    vertical as vertical,
)
from ._grams._gram_base import AbstractOrbitGram as AbstractOrbitGram, DenseGram as DenseGram
from ._grams._gram_blocks import BlockDiagonalGram as BlockDiagonalGram
from ._grams._gram_chain import BlockTridiagonalGram as BlockTridiagonalGram
from ._grams._gram_diagonal import DiagonalGram as DiagonalGram, EntrywiseGram as EntrywiseGram
from ._grams._gram_kronecker import KroneckerSumGram as KroneckerSumGram
from ._grams._gram_lanczos import (
    LogDetEstimate as LogDetEstimate,
    StochasticLanczosGram as StochasticLanczosGram,
)
from ._predictor import (
    mean_curvature as mean_curvature,
    predictor_gram as predictor_gram,
    predictor_jacobian as predictor_jacobian,
    predictor_log_det as predictor_log_det,
)
from ._quotient import Quotient as Quotient
