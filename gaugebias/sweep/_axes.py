"""What is swept: the product of lists of values, or a sample of ranges and choices."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..dynamics._checks import count
from ._written import plain, text_of, written

_MOST = 2**20  # points of a sample


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A range sampled evenly, `low` to `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _order(self)

    def at(self, u: float) -> float:
        """The value at the quantile `u` in [0, 1)."""
        return self.low + u * (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A range sampled evenly in the logarithm, `low` to `high`, both positive."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _order(self)
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


def _order(axis: Uniform | LogUniform) -> None:
    """Ends as floats; `ValueError` where they are no numbers in order."""
    name, ends = type(axis).__name__, (plain(axis.low), plain(axis.high))
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise ValueError(f"`{name}` needs two numbers, `low` and `high`, but has {end!r}.")
    low, high = map(float, ends)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"`{name}` needs finite `low` < `high`, but they are {low} and {high}.")
    object.__setattr__(axis, "low", low)
    object.__setattr__(axis, "high", high)


def listed(values: Any, name: str) -> tuple[Any, ...]:
    """`values` as a tuple of plain values; `ValueError` where it is no list, or empty."""
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        try:
            values = np.asarray(values) if hasattr(values, "__array__") else None
        except TypeError:
            values = None
    if values is None or (isinstance(values, np.ndarray) and values.ndim == 0):
        raise ValueError(f"`{name}` must be a list of values to sweep over.")
    found = tuple(plain(v) for v in values)
    if not found:
        raise ValueError(f"`{name}` is an empty list: there is nothing to sweep over.")
    return found


@dataclasses.dataclass(frozen=True)
class Sample:
    """A design of `n` points in ranges and choices: scrambled Sobol points.

    **Arguments:**

    - `n`: the number of points, best a power of two.
    - `over`: settings by name, each a [`gaugebias.sweep.Uniform`][],
        [`gaugebias.sweep.LogUniform`][] or [`gaugebias.sweep.Choice`][].
    - `seed`: of the scrambling; the same seed gives the same points.
    """

    n: int
    over: Mapping[str, Uniform | LogUniform | Choice]
    seed: int = 0

    def __post_init__(self) -> None:
        number = count(self.n, "n", least=1)
        if number > _MOST:
            raise ValueError(f"`n` of a `Sample` is {number}: give at most {_MOST}.")
        object.__setattr__(self, "n", number)
        object.__setattr__(self, "seed", count(self.seed, "seed", least=0))
        if not isinstance(self.over, Mapping) or not self.over:
            raise ValueError(
                "`over` of a `Sample` must be a dictionary from names of settings to `Uniform`, "
                f"`LogUniform` or `Choice`, but is {self.over!r}."
            )
        for name, axis in self.over.items():
            if not isinstance(axis, Uniform | LogUniform | Choice):
                raise ValueError(
                    f"`over[{name!r}]` of a `Sample` must be a `Uniform`, `LogUniform` or "
                    f"`Choice`, but is {axis!r}."
                )


Over = dict[str, tuple[Any, ...]] | Sample


def checked(over: Mapping[str, Any] | Sample) -> Over:
    """`over` with lists as tuples; `ValueError` where it is no design."""
    if isinstance(over, Sample):
        return over
    if not isinstance(over, Mapping) or not over:
        raise ValueError(
            "`over` must be a dictionary from names of settings to lists of values, or a "
            f"`gb.sweep.Sample`, but is {over!r}."
        )
    return {name: listed(values, f"over[{name!r}]") for name, values in over.items()}


def check_different(name: str, values: Sequence[Any]) -> None:
    """`ValueError` where two values of an axis would be one in the store."""
    seen: set[str] = set()
    for value in values:
        text = text_of(value)
        if text in seen:
            raise ValueError(
                f"`over[{name!r}]` names a value twice, or two that read the same ({text:.60}): "
                "leave one out; sweep over names of functions and objects, and look them up in "
                "`experiment`."
            )
        seen.add(text)


def points(over: Over) -> list[dict[str, Any]]:
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
    return [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]


def described(over: Over) -> dict[str, Any]:
    """`over` as JSON can hold it."""
    if not isinstance(over, Sample):
        return {name: [written(v) for v in values] for name, values in over.items()}
    ranges = {
        name: {
            type(axis).__name__: {
                field.name: written(getattr(axis, field.name)) for field in dataclasses.fields(axis)
            }
        }
        for name, axis in over.over.items()
    }
    return {"sample": over.n, "seed": over.seed, "over": ranges}
