"""Grids that are graded towards the ends where diffusion vanishes."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

KINDS = ("plain", "low", "high", "both")


class Grading(NamedTuple):
    """A map of `s` in (0, 1) onto an interval, with powers `s^power` at its graded ends.

    - `kind`: which ends: `"plain"` (none), `"low"`, `"high"`, `"both"`.
    """

    lower: float
    upper: float
    kind: str
    power: float

    def x(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`x(s)` and its first two derivatives."""
        length, g = self.upper - self.lower, self.power
        if self.kind == "plain":
            return self.lower + length * s, np.full_like(s, length), np.zeros_like(s)
        if self.kind == "low":
            r, first, second = s**g, g * s ** (g - 1), g * (g - 1) * s ** (g - 2)
        elif self.kind == "high":
            t = 1.0 - s
            r, first, second = 1.0 - t**g, g * t ** (g - 1), -g * (g - 1) * t ** (g - 2)
        else:
            t = 1.0 - s
            a, b = s**g, t**g
            total = a + b
            inner = g * a * b / (s * t)  # a' b - a b'
            turned = g * (g - 1) * (a * b) * (s**-2.0 - t**-2.0)  # a'' b - a b''
            r, first = a / total, inner / total**2
            second = turned / total**2 - 2.0 * inner * g * (a / s - b / t) / total**3
        return self.lower + length * r, length * first, length * second

    def s(self, x: Array) -> Array:
        """The inverse, traceable; clipped to the interval."""
        r = jnp.clip((x - self.lower) / (self.upper - self.lower), 0.0, 1.0)
        if self.kind == "plain":
            return r
        if self.kind == "low":
            return _root(r, self.power)
        if self.kind == "high":
            return 1.0 - _root(1.0 - r, self.power)
        a, b = _root(r, self.power), _root(1.0 - r, self.power)
        return a / (a + b)

    def log_slope(self, s: Array) -> Array:
        """`log dx/ds`, traceable."""
        length, g = self.upper - self.lower, self.power
        tiny = jnp.finfo(s.dtype).tiny
        a, b = jnp.log(jnp.maximum(s, tiny)), jnp.log(jnp.maximum(1.0 - s, tiny))
        if self.kind == "plain":
            return jnp.full_like(s, np.log(length))
        if self.kind == "low":
            return np.log(length * g) + (g - 1) * a
        if self.kind == "high":
            return np.log(length * g) + (g - 1) * b
        total = jnp.logaddexp(g * a, g * b)
        return np.log(length * g) + (g - 1) * (a + b) - 2.0 * total


def _root(r: Array, power: float) -> Array:
    tiny = jnp.finfo(r.dtype).tiny
    return jnp.where(r > tiny, jnp.maximum(r, tiny) ** (1.0 / power), 0.0)


def grading_of(lower: float, upper: float, low: float | None, high: float | None) -> Grading:
    """The grading of an interval with the given powers at its ends, `None` where it is plain."""
    if low is None and high is None:
        return Grading(lower, upper, "plain", 1.0)
    if high is None:
        return Grading(lower, upper, "low", float(low or 1.0))
    if low is None:
        return Grading(lower, upper, "high", high)
    return Grading(lower, upper, "both", max(low, high))


def midpoints(count: int) -> np.ndarray:
    """Nodes of `count` cells of (0, 1)."""
    return (np.arange(count) + 0.5) / count
