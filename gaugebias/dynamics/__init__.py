"""Stochastic processes on parameters and on the quotient, and ensembles of them."""

from ._ensemble import Ensemble as Ensemble, SimulationError as SimulationError
from ._generator import expected_rate as expected_rate, imbalance_rate as imbalance_rate
from ._integrate import integrate as integrate
from ._langevin import Langevin as Langevin, ProjectedLangevin as ProjectedLangevin
from ._path import CounterPath as CounterPath
from ._quotient_sde import QuotientSDE as QuotientSDE
from ._sde import SDE as SDE, AbstractSDE as AbstractSDE
from ._simulate import simulate as simulate
from ._store import load as load
