"""Stochastic processes on parameters and on the quotient, and ensembles of them."""

from ._ensemble import Ensemble as Ensemble
from ._ensemble import SimulationError as SimulationError
from ._generator import expected_rate as expected_rate
from ._generator import imbalance_rate as imbalance_rate
from ._integrate import integrate as integrate
from ._langevin import Langevin as Langevin
from ._langevin import ProjectedLangevin as ProjectedLangevin
from ._path import CounterPath as CounterPath
from ._quotient_sde import QuotientSDE as QuotientSDE
from ._sde import AbstractSDE as AbstractSDE
from ._sde import SDE as SDE
from ._simulate import simulate as simulate
from ._store import load as load
