"""What is swept: the product of lists of values, or a sample of ranges and choices."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A range sampled evenly, `low` to `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("Uniform", self.low, self.high)

    def at(self, u: float) -> float:
        """The value at the quantile `u` in [0, 1)."""
        return self.low + u * (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A range sampled evenly in the logarithm, `low` to `high`, both positive."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("LogUniform", self.low, self.high)
        if self.low <= 0:
            raise ValueError(f"`LogUniform` needs a positive `low`, but it is {self.low}.")

    def at(self, u: float) -> float:
        """The value at the quantile `u` in [0, 1)."""
        return math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))


@dataclasses.dataclass(frozen=True)
class Choice:
    """Values of which each is taken equally often."""

    values: tuple[Any, ...]

    def __init__(self, values: Sequence[Any]) -> None:
        object.__setattr__(self, "values", listed(values, "Choice"))

    def at(self, u: float) -> Any:
        """The value at the quantile `u` in [0, 1)."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


def _ordered(name: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"`{name}` needs finite `low` < `high`, but they are {low} and {high}.")


def listed(values: Any, name: str) -> tuple[Any, ...]:
    """`values` as a tuple of plain values; `ValueError` where it is no list, or empty."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        try:
            values = np.asarray(values) if hasattr(values, "__array__") else None
        except TypeError:
            values = None
    if values is None or np.ndim(values) == 0 and not isinstance(values, Sequence):
        raise ValueError(f"`{name}` must be a list of values to sweep over.")
    found = tuple(plain(v) for v in values)
    if not found:
        raise ValueError(f"`{name}` is an empty list: there is nothing to sweep over.")
    return found


def plain(value: Any) -> Any:
    """A numpy or jax scalar as the Python number it is; lists as tuples."""
    if isinstance(value, list | tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, np.generic) or (hasattr(value, "item") and np.ndim(value) == 0):
        return value.item()
    return value


@dataclasses.dataclass(frozen=True)
class Sample:
    """A design of `n` points in ranges and choices: scrambled Sobol points.

    **Arguments:**

    - `n`: the number of points.
    - `over`: settings by name, each a [`gaugebias.sweep.Uniform`][],
        [`gaugebias.sweep.LogUniform`][] or [`gaugebias.sweep.Choice`][].
    - `seed`: of the scrambling; the same seed gives the same points.
    """

    n: int
    over: Mapping[str, Uniform | LogUniform | Choice]
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise ValueError(f"`n` of a `Sample` must be a positive integer, but is {self.n!r}.")
        if not self.over:
            raise ValueError("`over` of a `Sample` is empty: there is nothing to sweep over.")
        for name, axis in self.over.items():
            if not isinstance(axis, Uniform | LogUniform | Choice):
                raise ValueError(
                    f"`over[{name!r}]` of a `Sample` must be a `Uniform`, `LogUniform` or "
                    f"`Choice`, but is {axis!r}."
                )


def points(over: Mapping[str, Any] | Sample) -> list[dict[str, Any]]:
    """The swept settings of every point of the design, in order (the last name runs fastest)."""
    if isinstance(over, Sample):
        from scipy.stats import qmc

        names = list(over.over)
        sobol = qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng(over.seed))
        drawn = sobol.random_base2(max(0, math.ceil(math.log2(over.n))))[: over.n]
        return [
            {name: over.over[name].at(float(u)) for name, u in zip(names, row, strict=True)}
            for row in drawn
        ]
    if not isinstance(over, Mapping) or not over:
        raise ValueError(
            "`over` must be a dictionary from names of settings to lists of values, or a "
            f"`gb.sweep.Sample`, but is {over!r}."
        )
    lists = [listed(values, f"over[{name!r}]") for name, values in over.items()]
    for name, values in zip(over, lists, strict=True):
        if len(set(values)) < len(values):
            raise ValueError(f"`over[{name!r}]` names a value twice.")
    return [dict(zip(over, values, strict=True)) for values in itertools.product(*lists)]


def described(over: Mapping[str, Any] | Sample) -> dict[str, Any]:
    """`over` as JSON can hold it."""
    if isinstance(over, Sample):
        ranges = {
            name: {type(axis).__name__: dataclasses.asdict(axis)}
            for name, axis in over.over.items()
        }
        return {"sample": over.n, "seed": over.seed, "over": ranges}
    return {name: list(listed(values, name)) for name, values in over.items()}
