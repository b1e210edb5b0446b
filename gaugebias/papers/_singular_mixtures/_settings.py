"""What is run: our own protocol."""

import dataclasses
import math

# Settings that count something: the least value.
_LEAST = {
    "pairs": 10,  # for intervals of a median
    "sets": 10,
    "samples": 10,
    "descent_samples": 10,
    "set_size": 10,
    "descent_steps": 1,
    "network_samples": 2,
    "network_steps": 1,
    "iris_steps": 1,
    "iris_draws": 25,  # one more than the parameters of the iris mixture
}


@dataclasses.dataclass(frozen=True)
class Settings:
    r"""Defaults are our own protocol; the publication's was not available.

    - `weight`, `target`, `starts`: of the second of two components of unit variance, and their
      difference, where the reduced law is held against exact population flows.
    - `neuron`, `neuron_target`, `neuron_starts`: the same for two neurons of tanh, with output
      weights 1 and inputs N(0, 1).
    - `pairs`: how many starts, each with its own data, trainers are compared on; `samples` data of
      a mixture with weights (0.6, 0.4) and means (0, 1.5); `near`, the largest difference of a
      start close to the singular set; `floor`, the least of the floored chart.
    - `descent_steps`, `descent_samples`: of gradient descent there.
    - `network_*`: gradient descent of two tanh neurons towards a teacher with neurons
      `network_teacher`, on `network_samples` inputs; done at a loss of `network_goal`.
    - `sets`: data sets of `set_size` each, for every true difference in `truths`, fitted with every
      floor in `floors` (0 is none): known weights, as of `weight`.
    - `iris_steps`, `iris_draws`: of trainers on the iris measurements, and for its Fisher matrices.
    """

    weight: float = 0.3
    target: float = 0.5
    starts: tuple[float, ...] = (0.1, 0.03, 0.01)
    neuron: float = 0.5
    neuron_target: float = 0.3
    neuron_starts: tuple[float, ...] = (0.06, 0.03)
    pairs: int = 64
    samples: int = 1_000
    near: float = 0.1
    floor: float = 0.5
    descent_samples: int = 400
    descent_steps: int = 1_500
    network_teacher: tuple[float, float] = (0.5, 2.0)
    network_samples: int = 128
    network_floor: float = 0.4
    network_goal: float = 1e-4
    network_steps: int = 6_000
    sets: int = 384
    set_size: int = 100
    truths: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0)
    floors: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    iris_steps: int = 200
    iris_draws: int = 256

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1:
            raise ValueError("`weight` must be inside (0, 1).")
        for name, target in (("starts", self.target), ("neuron_starts", self.neuron_target)):
            values = getattr(self, name)
            if not values or min(values) <= 0 or max(values) >= 0.5 * target:
                raise ValueError(f"`{name}` must lie between 0 and half of the target {target:g}.")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` is {getattr(self, name)}: give at least {least}.")
        if not self.network_goal > 0:
            raise ValueError("`network_goal` must be positive: no run ends at a loss of 0.")
        if len(self.network_teacher) != 2 or not (
            self.network_teacher[1] - self.network_teacher[0] > self.network_floor
        ):
            raise ValueError(
                "`network_teacher` must hold two neurons, the second above the first by more than "
                f"`network_floor`, {self.network_floor:g}."
            )
        if not self.floor < 1.5:
            raise ValueError("`floor` must be below 1.5, the true difference of the means.")
        if not 0 < self.near < min(self.floor, self.network_floor):
            raise ValueError("`near` must be between 0 and the floors.")
        if len(self.truths) < 2 or 0.0 not in self.truths or min(self.truths) < 0:
            raise ValueError(
                "`truths` must hold 0 (one component too many) and another, none negative."
            )
        if len(set(self.truths)) < len(self.truths):
            raise ValueError("`truths` must differ: give each once.")
        if len(self.floors) < 2 or self.floors[0] != 0.0 or list(self.floors) != sorted(
            set(self.floors)
        ):  # fmt: skip
            raise ValueError("`floors` must begin with 0 (none) and rise.")
        if self.floors[1] > min(t for t in self.truths if t > 0):
            raise ValueError("`floors` must hold one that is not above any of `truths` but 0.")
        _spanned("floors", self.floors[-1], "set_size", self.set_size)
        _spanned("floor", self.floor, "samples", self.samples)


def _spanned(name: str, floor: float, count: str, size: int) -> None:
    """`ValueError` where `size` data may not span `floor`: EM would refuse them."""
    # n P(all others within a window of this width) for normal data bounds the risk of one set.
    if size * math.erf(floor / math.sqrt(8.0)) ** (size - 1) > 1e-6:
        raise ValueError(
            f"`{name}` goes up to {floor:g}, which {size} data (`{count}`) need not span: give "
            "smaller floors or more data."
        )


def quick() -> Settings:
    """Fewer starts and data sets, shorter runs."""
    return Settings(
        starts=(0.1, 0.03),
        neuron_starts=(0.06,),
        pairs=64,
        descent_samples=250,
        descent_steps=1_000,
        network_steps=4_000,
        sets=256,
        truths=(0.0, 1.0, 3.0),
        floors=(0.0, 1.0, 2.0),
        iris_steps=60,
        iris_draws=128,
    )
