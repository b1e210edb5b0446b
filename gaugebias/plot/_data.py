"""What a figure of samples against candidate densities needs, as plain arrays."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class FigureData:
    """Samples of one scalar and the candidate densities drawn over their histogram.

    **Fields:**

    - `title`, `xlabel`: text; matplotlib's `$...$` mathematics is allowed.
    - `samples`: the values, shape `(n,)`, finite; units are those of `xlabel`.
    - `densities`: name -> `(x, density)`, two arrays of one shape `(points,)` with `x` increasing;
      densities are with respect to `dx`. Infinite values (a singular density) are not drawn.
    - `expected`: the names in `densities` that the samples should follow: drawn solid, the rivals
      dashed.
    - `limits`: the interval shown, or `None` for the central 99.8% of the samples.
    - `bins`: number of bars of the histogram.

    Raises `ValueError` when shapes do not match, `samples` is empty or not finite, or `expected`
    names no density.
    """

    title: str
    xlabel: str
    samples: Any
    densities: Mapping[str, tuple[Any, Any]]
    expected: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    bins: int = 60

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=float).reshape(-1)
        if samples.size == 0:
            raise ValueError("`samples` is empty: give at least one value to draw.")
        if not np.isfinite(samples).all():
            raise ValueError(
                f"`samples` holds {int((~np.isfinite(samples)).sum())} values that are not finite: "
                "drop the failed chains first."
            )
        if self.bins < 1:
            raise ValueError(f"`bins` is {self.bins}: give at least one bar.")
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError(f"`limits` is {self.limits}: give an increasing pair.")
        expected = (self.expected,) if isinstance(self.expected, str) else tuple(self.expected)
        curves = {}
        for name, (x, density) in self.densities.items():
            x, density = np.asarray(x, dtype=float), np.asarray(density, dtype=float)
            if x.ndim != 1 or x.shape != density.shape:
                raise ValueError(
                    f"`densities`[{name!r}] has shapes {x.shape} and {density.shape}: give two "
                    "one-dimensional arrays of the same length."
                )
            curves[name] = (x, density)
        if unknown := [name for name in expected if name not in curves]:
            raise ValueError(
                f"`expected` names {unknown[0]!r}, which is not in `densities` ({list(curves)})."
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "densities", curves)
        object.__setattr__(self, "expected", expected)
