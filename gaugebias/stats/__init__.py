from ._autocorrelation import AutocorrelationSummary as AutocorrelationSummary
from ._chains import effective_sample_size as effective_sample_size, split_rhat as split_rhat
from ._energy import energy_distance as energy_distance
from ._halving import HalvingResult as HalvingResult, step_halving_test as step_halving_test
from ._histogram import HistogramSummary as HistogramSummary
from ._ks import (
    kolmogorov_smirnov as kolmogorov_smirnov,
    kolmogorov_smirnov_two_sample as kolmogorov_smirnov_two_sample,
)
from ._mean import mean_detectable as mean_detectable, mean_test as mean_test
from ._mmd import maximum_mean_discrepancy as maximum_mean_discrepancy
from ._moments import MomentSummary as MomentSummary
from ._power import ks_detectable as ks_detectable, ks_power as ks_power
from ._quantile_sketch import QuantileSummary as QuantileSummary
from ._rank import rank_test as rank_test
from ._result import DistanceInterval as DistanceInterval, TestResult as TestResult
from ._stationary import stationarity_test as stationarity_test
from ._stein import kernel_stein as kernel_stein
from ._wasserstein import wasserstein as wasserstein
