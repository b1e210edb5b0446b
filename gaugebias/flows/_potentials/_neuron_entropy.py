"""The potential of a single linear neuron."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from ._potential import AbstractPotential, as_float


@final
class NeuronEntropy(AbstractPotential):
    r"""\(q_\delta(x) = \sqrt{m + \delta/2}\,(m - \delta)\), \(m = \sqrt{|x|^2 + \delta^2/4}\).

    The predictor `x = a w` of a neuron `f = a w . z` with `a > 0` and the conserved
    \(\delta = a^2 - |w|^2\). Its gradient is `(3/2) w`. Since `w` moves within the span of the
    data, a flow that fits ends at the minimiser of the Bregman divergence while `a` keeps its sign.

    For `delta < 0` the domain leaves out `x = 0`, where `a = 0` and `q` has a kink; at `delta = 0`
    it is \(|x|^{3/2}\). It is not separable.

    **Arguments:** `delta`, a scalar.

    Source: 2406.06158; gradient and conjugate derived here.
    """

    delta: Array = eqx.field(converter=as_float)

    def _parts(self, x: Array) -> tuple[Array, Array]:
        """`a^2 = m + delta/2`, without cancellation, and `m`."""
        square = jnp.sum(x**2)
        m = jnp.sqrt(square + 0.25 * self.delta**2)
        half = 0.5 * jnp.abs(self.delta)
        safe = jnp.where(m + half > 0, m + half, 1.0)
        return jnp.where(self.delta < 0, square / safe, m + half), m

    def value(self, x: ArrayLike) -> Array:
        a2, m = self._parts(as_float(x))
        return jnp.sqrt(a2) * (m - self.delta)

    def gradient(self, x: ArrayLike) -> Array:
        x = as_float(x)
        return 1.5 * x / jnp.sqrt(self._parts(x)[0])

    def weights(self, s: ArrayLike) -> tuple[Array, Array]:
        """`(a, w)` at the dual point `s`."""
        w = as_float(s) / 1.5
        return jnp.sqrt(self.delta + jnp.sum(w**2)), w

    def from_dual(self, s: ArrayLike) -> Array:
        a, w = self.weights(s)
        return a * w

    def conjugate(self, s: ArrayLike) -> Array:
        # d(a^3)/dw = 3 a w and s = (3/2) w: the gradient in s is a w.
        return 0.5 * self.weights(s)[0] ** 3

    def hessian_apply(self, x: Array, v: Array) -> Array:
        a2, m = self._parts(x)
        return 1.5 * (v - x * jnp.sum(x * v) / (2.0 * a2 * m)) / jnp.sqrt(a2)

    def dual_gram(self, s: Array, rows: Array) -> Array:
        a, w = self.weights(s)
        along = rows @ w
        return (a * (rows @ rows.T) + along[:, None] * along[None, :] / a) / 1.5

    def contains(self, x: ArrayLike) -> Array:
        x = as_float(x)
        return jnp.all(jnp.isfinite(x)) & ((self.delta > 0) | jnp.any(x != 0))

    def contains_dual(self, s: ArrayLike) -> Array:
        return self.delta + jnp.sum((as_float(s) / 1.5) ** 2) > 0

    def describe_domain(self) -> str:
        return "all of space" if float(self.delta) > 0 else "all of space without 0"
