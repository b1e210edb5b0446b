"""Stochastic processes on parameters and on the quotient, and ensembles of them."""

from ._balance._balance import BalanceRates as BalanceRates, balance_rates as balance_rates
from ._balance._generator import expected_rate as expected_rate, imbalance_rate as imbalance_rate
from ._balance._noise_covariance import (
    HorizontalityReport as HorizontalityReport,
    horizontality as horizontality,
    noise_covariance_product as noise_covariance_product,
    noise_trace as noise_trace,
)
from ._balance._noise_equilibrium import (
    NoiseEquilibrium as NoiseEquilibrium,
    noise_equilibrium as noise_equilibrium,
)
from ._processes._calculus import to_ito as to_ito, to_stratonovich as to_stratonovich
from ._processes._label_noise import LabelNoiseSDE as LabelNoiseSDE
from ._processes._langevin import Langevin as Langevin, ProjectedLangevin as ProjectedLangevin
from ._processes._matched import (
    IsotropicMatched as IsotropicMatched,
    isotropic_matched as isotropic_matched,
)
from ._processes._minibatch import MinibatchSDE as MinibatchSDE
from ._processes._quotient_sde import QuotientSDE as QuotientSDE
from ._processes._sde import (
    SDE as SDE,
    AbstractSampledSDE as AbstractSampledSDE,
    AbstractSDE as AbstractSDE,
)
from ._runs._checkpoint import Checkpoint as Checkpoint
from ._runs._ensemble import (
    MEANINGS as MEANINGS,
    Ensemble as Ensemble,
    SimulationError as SimulationError,
)
from ._runs._halving import StepHalving as StepHalving, step_halving as step_halving
from ._runs._integrate import integrate as integrate
from ._runs._path import CounterPath as CounterPath
from ._runs._reductions import (
    AbstractReduction as AbstractReduction,
    Autocorrelation as Autocorrelation,
    Histogram as Histogram,
    Moments as Moments,
    Quantiles as Quantiles,
    Reduction as Reduction,
)
from ._runs._simulate import simulate as simulate
from ._runs._store import load as load
from ._training._optimisers import (
    SymmetryReport as SymmetryReport,
    optimiser_symmetries as optimiser_symmetries,
)
from ._training._train import train as train
