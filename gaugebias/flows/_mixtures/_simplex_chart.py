"""A chart of the open simplex."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from ._chart import AbstractChart


@final
class SimplexChart(AbstractChart):
    r"""Weights \(w = f + (1 - K f)\,\mathrm{softmax}(0, \eta)\), from `K - 1` coordinates.

    With a `floor` \(f > 0\) no component can vanish, the other way for a mixture to be singular.

    **Arguments:** `floor`, \(f\), in `[0, 1/K)`.
    """

    floor: Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        good = (self.floor >= 0) & (self.floor < 1)
        if self.floor.ndim or (not isinstance(good, Tracer) and not bool(good)):
            raise ValueError(f"`floor` must be a number in [0, 1/K), but is {self.floor}.")

    def rows(self, components: int) -> int:
        if not isinstance(self.floor, Tracer) and float(self.floor) * components >= 1:
            raise ValueError(
                f"`floor` is {float(self.floor):g}, too much for {components} weights that sum "
                f"to 1: give less than {1 / components:g}."
            )
        return components - 1

    def contains(self, theta: ArrayLike) -> Array:
        w = as_float(theta)
        if w.ndim != 1:
            raise ValueError(f"`theta` must be weights of shape (K,), but has {w.shape}.")
        self.rows(w.size)
        return jnp.all(w > self.floor) & _sums_to_one(w)

    @property
    def image(self) -> str:
        return "weights above `floor` that sum to 1"

    def _image(self, coordinates: Array) -> Array:
        if coordinates.ndim != 1:
            raise ValueError(f"`coordinates` must be a vector, but has {coordinates.shape}.")
        k = coordinates.size + 1
        self.rows(k)
        logits = jnp.concatenate([jnp.zeros(1, coordinates.dtype), coordinates])
        return self.floor + (1.0 - k * self.floor) * jax.nn.softmax(logits)

    def _preimage(self, theta: Array) -> Array:
        logs = jnp.log(theta - self.floor)
        return logs[1:] - logs[0]


def _sums_to_one(w: Array) -> Array:
    return jnp.abs(jnp.sum(w) - 1.0) <= jnp.sqrt(jnp.finfo(w.dtype).eps)


def on_simplex(w: Array, name: str) -> None:
    """`ValueError` where `w` is no vector of the closed simplex, where values are concrete."""
    if w.ndim != 1 or w.size < 1:
        raise ValueError(f"`{name}` must have shape (K,), but has {w.shape}.")
    if isinstance(w, Tracer):
        return
    values = np.asarray(w)  # not jax: this may run while something else is traced
    total = float(values.sum())
    if not ((values >= 0).all() and abs(total - 1.0) <= np.sqrt(np.finfo(values.dtype).eps)):
        shown = [round(float(v), 6) for v in values]
        raise ValueError(
            f"`{name}` must be non-negative and sum to 1, but is {shown} with sum {total:.6g}: "
            "divide by the sum."
        )
