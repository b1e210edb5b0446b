"""The quotient of parameter space: orbit Grams, volumes, projections, gauges, its metric."""

from ._domain import Domain as Domain
from ._gauge import AbstractGauge as AbstractGauge
from ._gauge import fix_gauge as fix_gauge
from ._gauge import FunctionGauge as FunctionGauge
from ._gauge import MomentMapGauge as MomentMapGauge
from ._gram import AbstractOrbitGram as AbstractOrbitGram
from ._gram import DenseGram as DenseGram
from ._gram import DiagonalGram as DiagonalGram
from ._gram import EntrywiseGram as EntrywiseGram
from ._gram import horizontal as horizontal
from ._gram import log_orbit_volume as log_orbit_volume
from ._gram import orbit_gram as orbit_gram
from ._gram import orbit_rank as orbit_rank
from ._gram import vertical as vertical
from ._predictor import mean_curvature as mean_curvature
from ._predictor import predictor_gram as predictor_gram
from ._predictor import predictor_jacobian as predictor_jacobian
from ._predictor import predictor_log_det as predictor_log_det
from ._quotient import Quotient as Quotient
from ._slice import check_slice_invariance as check_slice_invariance
from ._slice import isometry_residual as isometry_residual
from ._slice import linearity_residual as linearity_residual
from ._slice import require_moment_map as require_moment_map
from ._slice import SliceReport as SliceReport
from ._slice import trace_on_slice as trace_on_slice
from ._slice import transpose_residual as transpose_residual
