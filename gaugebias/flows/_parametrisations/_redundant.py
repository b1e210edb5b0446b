"""Redundant parametrisations: several weights for each coordinate of the predictor."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from .._potentials._difference import DifferenceEntropy, PowerEntropy
from .._potentials._entropy import HyperbolicEntropy
from .._potentials._potential import AbstractSeparablePotential, Interval, as_float
from ._elementwise import AbstractElementwise
from ._parametrisation import AbstractParametrisation, check_entries, everywhere, pair


def _positive_scale(scale: ArrayLike) -> Array:
    scale = as_float(scale)
    check_entries(scale > 0, "scale", "must be positive: at 0 the weights do not move")
    return scale


@final
class PowerDifference(AbstractParametrisation):
    """`x = u^D - v^D` on `u, v > 0`, for a real depth `D > 1`: the diagonal linear network.

    Parameters: the pair `(u, v)`. At `D = 2` the potential is
    [`gaugebias.flows.HyperbolicEntropy`][] with scale `2 u_0 v_0`, otherwise
    [`gaugebias.flows.PowerEntropy`][]: see there for `D < 2`, where weights stick at 0.

    Source: 2002.09277.

    !!! example

        ```python
        rho = gb.flows.PowerDifference(3)
        start = rho.lift(jnp.zeros(5), scale=0.1)       # u = v = 0.1
        rho.potential(start).value(jnp.ones(5))
        ```
    """

    depth: float = eqx.field(static=True, default=2)

    def __check_init__(self):
        if not self.depth > 1 or not jnp.isfinite(self.depth):
            raise ValueError(f"`depth` must be above 1, but is {self.depth}: 1 is `Identity()`.")

    @property
    def domain(self) -> Interval:
        return everywhere()

    def __call__(self, params: PyTree) -> Array:
        u, v = pair(params)
        return u**self.depth - v**self.depth

    def gram(self, params: PyTree) -> Array:
        u, v = pair(params)
        power = 2.0 * (self.depth - 1.0)
        return self.depth**2 * (u**power + v**power)

    def potential(self, start: PyTree) -> AbstractSeparablePotential:
        u, v = pair(start, "start")
        if self.depth == 2:
            u, v = jnp.abs(u), jnp.abs(v)
            why = "has a zero weight, which never moves: x keeps its sign, use `Power(2)`"
        else:
            why = "must be positive: a weight that is 0 never moves"
        check_entries((u > 0) & (v > 0), "start", why)
        if self.depth == 2:
            return HyperbolicEntropy(2.0 * u * v, jnp.log(u / v))
        return PowerEntropy(self.depth, u, v)

    def lift(self, x: ArrayLike, scale: ArrayLike) -> tuple[Array, Array]:
        """Weights with predictor `x` on the leaf of `u = v = scale`.

        The leaf is the path of the flow: `u v = scale^2` at depth 2, otherwise
        `u^(2-D) + v^(2-D) = 2 scale^(2-D)`.
        """
        x, scale = jnp.broadcast_arrays(as_float(x), _positive_scale(scale))
        if self.depth == 2:
            big = jnp.sqrt(0.5 * (jnp.abs(x) + jnp.sqrt(x**2 + 4.0 * scale**4)))
            small = scale**2 / big
            return jnp.where(x >= 0, big, small), jnp.where(x >= 0, small, big)
        return PowerEntropy(self.depth, scale, scale).weights_at(x)


@final
class Product(AbstractParametrisation):
    """`x = u v`, entry by entry. Parameters: the pair `(u, v)`.

    `u^2 - v^2` is conserved; off balance the potential is
    [`gaugebias.flows.HyperbolicEntropy`][] with scale `|u_0^2 - v_0^2| / 2`.
    """

    @property
    def domain(self) -> Interval:
        return everywhere()

    def __call__(self, params: PyTree) -> Array:
        u, v = pair(params)
        return u * v

    def gram(self, params: PyTree) -> Array:
        u, v = pair(params)
        return u**2 + v**2

    def potential(self, start: PyTree) -> AbstractSeparablePotential:
        u, v = pair(start, "start")
        plus, minus = jnp.abs(u + v), jnp.abs(u - v)
        check_entries(
            (plus > 0) & (minus > 0),
            "start",
            "is balanced, |u| = |v|: x keeps its sign, with the potential (x ln x - x)/2; use "
            "that of `Power(2)`, or start off balance",
        )
        return HyperbolicEntropy(0.5 * plus * minus, jnp.log(plus / minus), 2.0)

    def lift(self, x: ArrayLike, imbalance: ArrayLike) -> tuple[Array, Array]:
        """Weights with `u v = x` and `u^2 - v^2 = imbalance`, `u >= 0`; `imbalance > 0`."""
        x, imbalance = jnp.broadcast_arrays(as_float(x), as_float(imbalance))
        check_entries(imbalance > 0, "imbalance", "must be positive: swap u and v otherwise")
        u = jnp.sqrt(0.5 * (imbalance + jnp.sqrt(imbalance**2 + 4.0 * x**2)))
        return u, x / u


@final
class SignedDifference(AbstractParametrisation):
    """`x = rho(u) - rho(v)` for any elementwise map `rho`. Parameters: the pair `(u, v)`.

    What makes both signs reachable where `rho` alone sticks at 0, as for powers.
    """

    rho: AbstractElementwise

    @property
    def domain(self) -> Interval:
        low, high = self.rho.domain
        return as_float(low) - as_float(high), as_float(high) - as_float(low)

    def __call__(self, params: PyTree) -> Array:
        u, v = pair(params)
        return self.rho(u) - self.rho(v)

    def gram(self, params: PyTree) -> Array:
        u, v = pair(params)
        return self.rho.gram(u) + self.rho.gram(v)

    def potential(self, start: PyTree) -> AbstractSeparablePotential:
        u, v = pair(start, "start")
        return DifferenceEntropy(self.rho, u, v)

    def lift(self, x: ArrayLike, scale: ArrayLike) -> tuple[Array, Array]:
        """Weights with predictor `x` on the leaf of `u = v = scale`.

        **Raises:** `ValueError` where the leaf does not reach `x`.
        """
        x, scale = jnp.broadcast_arrays(as_float(x), as_float(scale))
        entropy = DifferenceEntropy(self.rho, scale, scale)
        s = entropy.gradient(x)
        check_entries(
            jnp.isfinite(s),
            "x",
            "is not reached from u = v = `scale` before a weight is at an end of its branch: give "
            "a larger `scale`",
        )
        return entropy.weights(s)
