"""Elementwise parametrisations whose potentials have closed forms."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, ArrayLike, PyTree

from .._potentials._potential import Interval, as_float
from .._roots import increasing_root
from ._elementwise import AbstractElementwise
from ._parametrisation import everywhere


def _solve_dual(rho: AbstractElementwise, s: ArrayLike, guess: Array) -> Array:
    s = as_float(s)
    low, high = (jnp.full(s.shape, end, s.dtype) for end in rho.branch)
    return increasing_root(rho.dual, s, low, high, guess)


@final
class Identity(AbstractElementwise):
    """`x = w`: the potential `x^2 / 2`, least distance to the start."""

    @property
    def domain(self) -> Interval:
        return everywhere()

    @property
    def branch(self) -> Interval:
        return everywhere()

    @property
    def dual_domain(self) -> Interval:
        return everywhere()

    @property
    def legendre(self) -> bool:
        return True

    def __call__(self, params: PyTree) -> Array:
        return as_float(params)

    def derivative(self, w: ArrayLike) -> Array:
        return jnp.ones_like(as_float(w))

    def inverse(self, x: ArrayLike) -> Array:
        return as_float(x)

    def dual(self, w: ArrayLike) -> Array:
        return as_float(w)

    def dual_inverse(self, s: ArrayLike) -> Array:
        return as_float(s)

    def potential_terms(self, x: ArrayLike) -> Array:
        return 0.5 * as_float(x) ** 2


@final
class Power(AbstractElementwise):
    """`x = w^L` on `w > 0`, for a real `L > 0` other than 1.

    With `p = 2/L` the potential is `p/(4(p-1)) x^p`, and `(x ln x - x)/4` at `L = 2`. Below
    `L = 2` its slope is finite at `x = 0`, which a flow can then reach.

    **Arguments:** `exponent`, the number `L`.
    """

    exponent: float = eqx.field(static=True)

    def __check_init__(self):
        if not self.exponent > 0 or self.exponent == 1 or not jnp.isfinite(self.exponent):
            raise ValueError(
                f"`exponent` must be positive and not 1, but is {self.exponent}: use `Identity()` "
                "for 1, and 1/x for negative ones."
            )

    @property
    def domain(self) -> Interval:
        return 0.0, jnp.inf

    @property
    def branch(self) -> Interval:
        return 0.0, jnp.inf

    @property
    def dual_domain(self) -> Interval:
        if self.exponent == 2:
            return everywhere()
        return (0.0, jnp.inf) if self.exponent < 2 else (-jnp.inf, 0.0)

    @property
    def legendre(self) -> bool:
        return self.exponent >= 2

    def __call__(self, params: PyTree) -> Array:
        return as_float(params) ** self.exponent

    def derivative(self, w: ArrayLike) -> Array:
        return self.exponent * as_float(w) ** (self.exponent - 1.0)

    def inverse(self, x: ArrayLike) -> Array:
        return as_float(x) ** (1.0 / self.exponent)

    def dual(self, w: ArrayLike) -> Array:
        n = self.exponent
        if n == 2:
            return 0.5 * jnp.log(as_float(w))
        return as_float(w) ** (2.0 - n) / (n * (2.0 - n))

    def dual_inverse(self, s: ArrayLike) -> Array:
        n = self.exponent
        if n == 2:
            return jnp.exp(2.0 * as_float(s))
        power = n * (2.0 - n) * as_float(s)  # w^(2 - n)
        return jnp.where(power > 0, power, jnp.nan) ** (1.0 / (2.0 - n))

    def potential_terms(self, x: ArrayLike) -> Array:
        x, p = as_float(x), 2.0 / self.exponent
        if self.exponent == 2:
            return 0.25 * (xlogy(x, x) - x)
        return p / (4.0 * (p - 1.0)) * x**p


@final
class Exponential(AbstractElementwise):
    """`x = e^w`: the potential `-ln x`, on `x > 0`."""

    @property
    def domain(self) -> Interval:
        return 0.0, jnp.inf

    @property
    def branch(self) -> Interval:
        return everywhere()

    @property
    def dual_domain(self) -> Interval:
        return -jnp.inf, 0.0

    @property
    def legendre(self) -> bool:
        return True

    def __call__(self, params: PyTree) -> Array:
        return jnp.exp(as_float(params))

    def derivative(self, w: ArrayLike) -> Array:
        return jnp.exp(as_float(w))

    def inverse(self, x: ArrayLike) -> Array:
        return jnp.log(as_float(x))

    def dual(self, w: ArrayLike) -> Array:
        return -jnp.exp(-as_float(w))

    def dual_inverse(self, s: ArrayLike) -> Array:
        return -jnp.log(-as_float(s))

    def potential_terms(self, x: ArrayLike) -> Array:
        return -jnp.log(as_float(x))


@final
class Sinh(AbstractElementwise):
    """`x = sinh w`: the potential `x arctan x - ln(1 + x^2)/2`, of slope within `pi/2`."""

    @property
    def domain(self) -> Interval:
        return everywhere()

    @property
    def branch(self) -> Interval:
        return everywhere()

    @property
    def dual_domain(self) -> Interval:
        return -0.5 * jnp.pi, 0.5 * jnp.pi

    @property
    def legendre(self) -> bool:
        return True

    def __call__(self, params: PyTree) -> Array:
        return jnp.sinh(as_float(params))

    def derivative(self, w: ArrayLike) -> Array:
        return jnp.cosh(as_float(w))

    def inverse(self, x: ArrayLike) -> Array:
        return jnp.arcsinh(as_float(x))

    def dual(self, w: ArrayLike) -> Array:
        return jnp.arctan(jnp.sinh(as_float(w)))

    def dual_inverse(self, s: ArrayLike) -> Array:
        s = as_float(s)
        return jnp.arcsinh(jnp.tan(jnp.where(jnp.abs(s) < 0.5 * jnp.pi, s, jnp.nan)))

    def potential_terms(self, x: ArrayLike) -> Array:
        x = as_float(x)
        return x * jnp.arctan(x) - 0.5 * jnp.log1p(x**2)


@final
class Tan(AbstractElementwise):
    """`x = tan w` on `|w| < pi/2`: the potential `(x/2) arctan x`, of slope within `pi/4`."""

    @property
    def domain(self) -> Interval:
        return everywhere()

    @property
    def branch(self) -> Interval:
        return -0.5 * jnp.pi, 0.5 * jnp.pi

    @property
    def dual_domain(self) -> Interval:
        return -0.25 * jnp.pi, 0.25 * jnp.pi

    @property
    def legendre(self) -> bool:
        return True

    def __call__(self, params: PyTree) -> Array:
        return jnp.tan(as_float(params))

    def derivative(self, w: ArrayLike) -> Array:
        return 1.0 + jnp.tan(as_float(w)) ** 2

    def inverse(self, x: ArrayLike) -> Array:
        return jnp.arctan(as_float(x))

    def dual(self, w: ArrayLike) -> Array:
        w = as_float(w)
        return 0.5 * w + 0.25 * jnp.sin(2.0 * w)

    def dual_inverse(self, s: ArrayLike) -> Array:
        return _solve_dual(self, s, as_float(s))

    def potential_terms(self, x: ArrayLike) -> Array:
        x = as_float(x)
        return 0.5 * x * jnp.arctan(x)


@final
class Sine(AbstractElementwise):
    """`x = sin w` on `|w| < pi/2`: the potential `x artanh x + ln(1 - x^2)/2`, on `|x| < 1`."""

    @property
    def domain(self) -> Interval:
        return -1.0, 1.0

    @property
    def branch(self) -> Interval:
        return -0.5 * jnp.pi, 0.5 * jnp.pi

    @property
    def dual_domain(self) -> Interval:
        return everywhere()

    @property
    def legendre(self) -> bool:
        return True

    def __call__(self, params: PyTree) -> Array:
        return jnp.sin(as_float(params))

    def derivative(self, w: ArrayLike) -> Array:
        return jnp.cos(as_float(w))

    def inverse(self, x: ArrayLike) -> Array:
        return jnp.arcsin(as_float(x))

    def dual(self, w: ArrayLike) -> Array:
        return jnp.arctanh(jnp.sin(as_float(w)))

    def dual_inverse(self, s: ArrayLike) -> Array:
        return jnp.arcsin(jnp.tanh(as_float(s)))

    def potential_terms(self, x: ArrayLike) -> Array:
        x = as_float(x)
        return x * jnp.arctanh(x) + 0.5 * jnp.log1p(-(x**2))


@final
class Tanh(AbstractElementwise):
    """`x = tanh w`: the potential `(x/2) artanh x`, on `|x| < 1`."""

    @property
    def domain(self) -> Interval:
        return -1.0, 1.0

    @property
    def branch(self) -> Interval:
        return everywhere()

    @property
    def dual_domain(self) -> Interval:
        return everywhere()

    @property
    def legendre(self) -> bool:
        return True

    def __call__(self, params: PyTree) -> Array:
        return jnp.tanh(as_float(params))

    def derivative(self, w: ArrayLike) -> Array:
        return jnp.cosh(as_float(w)) ** -2

    def inverse(self, x: ArrayLike) -> Array:
        return jnp.arctanh(as_float(x))

    def dual(self, w: ArrayLike) -> Array:
        w = as_float(w)
        return 0.5 * w + 0.25 * jnp.sinh(2.0 * w)

    def dual_inverse(self, s: ArrayLike) -> Array:
        return _solve_dual(self, s, 0.5 * jnp.arcsinh(2.0 * as_float(s)))

    def potential_terms(self, x: ArrayLike) -> Array:
        x = as_float(x)
        return 0.5 * x * jnp.arctanh(x)


@final
class Arcsinh(AbstractElementwise):
    """`x = arcsinh w`: the potential `x^2/4 + cosh(2x)/8`."""

    @property
    def domain(self) -> Interval:
        return everywhere()

    @property
    def branch(self) -> Interval:
        return everywhere()

    @property
    def dual_domain(self) -> Interval:
        return everywhere()

    @property
    def legendre(self) -> bool:
        return True

    def __call__(self, params: PyTree) -> Array:
        return jnp.arcsinh(as_float(params))

    def derivative(self, w: ArrayLike) -> Array:
        return (1.0 + as_float(w) ** 2) ** -0.5

    def inverse(self, x: ArrayLike) -> Array:
        return jnp.sinh(as_float(x))

    def dual(self, w: ArrayLike) -> Array:
        w = as_float(w)
        return 0.5 * (w * jnp.sqrt(1.0 + w**2) + jnp.arcsinh(w))

    def dual_inverse(self, s: ArrayLike) -> Array:
        # From the side on which the increasing, there concave or convex, S is approached fast.
        s = as_float(s)
        return _solve_dual(self, s, jnp.sign(s) * jnp.sqrt(2.0 * jnp.abs(s)))

    def potential_terms(self, x: ArrayLike) -> Array:
        x = as_float(x)
        return 0.25 * x**2 + 0.125 * jnp.cosh(2.0 * x)
