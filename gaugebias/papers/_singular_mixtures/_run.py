"""The experiments."""

import dataclasses
from collections.abc import Callable

import jax.random as jr

from ..._types import Key
from ._collisions import Curve, mixture_curves, network_curves
from ._generalisation import Fits, generalisation
from ._iris import Iris, iris
from ._settings import Settings
from ._speed import Race, descent_races, em_races, network_races


@dataclasses.dataclass(frozen=True)
class Result:
    """Everything that was measured."""

    settings: Settings
    curves: tuple[Curve, ...]
    races: tuple[Race, ...]
    fits: tuple[Fits, ...]
    iris: tuple[Iris, ...]

    def race(self, trainer: str, chart: str, start: str) -> Race:
        """The one of these names."""
        (found,) = (
            each for each in self.races if (each.trainer, each.chart, each.start)
            == (trainer, chart, start)
        )  # fmt: skip
        return found

    def fit(self, truth: float, floor: float, *, ordered: bool = False) -> Fits:
        """The fits of one truth with one floor, or with the order alone."""
        (found,) = (
            each for each in self.fits if (each.truth, each.floor, each.ordered)
            == (truth, floor, ordered)
        )  # fmt: skip
        return found


def _silent(text: str, fraction: float) -> None:
    pass


def run(settings: Settings, key: Key, progress: Callable[[str, float], None] = _silent) -> Result:
    """All experiments of the publication. Needs float64 for the numbers given in the claims."""
    for_em, for_descent, for_network, for_fits, for_iris = jr.split(key, 5)
    progress("two components collide", 0.0)
    curves = mixture_curves(settings)
    progress("two neurons collide", 0.15)
    curves += network_curves(settings)
    progress("EM from near the singular set", 0.25)
    races = em_races(settings, for_em)
    progress("gradient descent from there", 0.45)
    races += descent_races(settings, for_descent)
    progress("networks from there", 0.65)
    races += network_races(settings, for_network)
    progress("generalisation against the floor", 0.7)
    fits = generalisation(settings, for_fits)
    progress("trainers on iris", 0.85)
    return Result(settings, curves, races, fits, iris(settings, for_iris))
