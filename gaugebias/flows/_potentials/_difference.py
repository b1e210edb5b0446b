"""Potentials of signed differences of two parameters."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._elementwise import AbstractElementwise
from .._parametrisations._parametrisation import check_entries, everywhere
from .._roots import increasing_root
from ._potential import AbstractSeparablePotential, Interval, as_float


def _clipped(base: Array, power: float) -> Array:
    """`max(base, 0)^power`; where the base is not positive 0 with its derivatives, or NaN.

    NaN for negative powers: a weight that has gone to infinity before.
    """
    inside = base > 0
    rest = 0.0 if power > 0 else jnp.nan
    return jnp.where(inside, jnp.where(inside, base, 1.0) ** power, rest)


@final
class PowerEntropy(AbstractSeparablePotential):
    r"""The potential of `u^D - v^D` from `(u_0, v_0)`, for a real `D > 1` other than 2.

    In dual time \(u = (u_0^{2-D} - D(D-2)s)^{-1/(D-2)}\), \(v\) likewise with \(-s\), and

    \[ R(x) = s x - (u^2 + v^2 - u_0^2 - v_0^2)/(2D). \]

    At \(u_0 = v_0 = \alpha\), \(D \ge 3\), it is
    \(\alpha^D q_D(x/\alpha^D)/(D(D-2)\alpha^{D-2})\) (2002.09277, Theorem 3; unequal starts
    derived here). For \(1 < D < 2\) it is that of the *lazy dual flow*: `u` and `v` are 0 while
    their power is negative and go on from there, which a flow of the weights does not do.

    **Arguments:**

    - `depth`: `D`.
    - `u`, `v`: the start, positive (or 0 where `D < 2`), of shape () or `(d,)`.

    What is given at `x` is exact to rounding from starts of any size. `from_dual` is NaN outside of
    the dual domain, and loses digits as `1 - s/s_max` does: about `eps (x/u_0^D)^((D-2)/D)`,
    relative.
    """

    depth: float = eqx.field(static=True)
    u: Array = eqx.field(converter=as_float)
    v: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        if not self.depth > 1 or self.depth == 2:
            raise ValueError(
                f"`depth` must be above 1 and not 2, but is {self.depth}: use "
                "`HyperbolicEntropy` for 2 and `Identity()` for 1."
            )
        least = "positive" if self.depth > 2 else "not negative"
        for start, name in ((self.u, "u"), (self.v, "v")):
            good = start > 0 if self.depth > 2 else start >= 0
            check_entries(good, name, f"must be {least} at depth {self.depth:g}")

    @property
    def _rate(self) -> float:
        return self.depth * (2.0 - self.depth)

    def _offsets(self) -> tuple[Array, Array]:
        return self.u ** (2.0 - self.depth), self.v ** (2.0 - self.depth)

    def weights(self, s: ArrayLike) -> tuple[Array, Array]:
        """`(u, v)` at the dual time `s`."""
        up, down = self._powers(s)
        power = 1.0 / (2.0 - self.depth)
        return _clipped(up, power), _clipped(down, power)

    def weights_at(self, x: ArrayLike) -> tuple[Array, Array]:
        """`(u, v)` at the predictor `x`, to rounding where those at its dual time are not."""
        if self.depth < 2:
            return self.weights(self.gradient(x))
        r, (first, other), side = self._growth(as_float(x))
        grown, fallen = first * jnp.exp(r), other * jnp.exp(-self._fall(r, first, other))
        return jnp.where(side > 0, grown, fallen), jnp.where(side > 0, fallen, grown)

    def _powers(self, s: ArrayLike) -> tuple[Array, Array]:
        """`u^(2-D)` and `v^(2-D)` at the dual time `s`."""
        s, (a, b) = as_float(s), self._offsets()
        return a + self._rate * s, b - self._rate * s

    @property
    def domain(self) -> Interval:
        return everywhere()

    @property
    def dual_domain(self) -> Interval:
        if self.depth < 2:
            return everywhere()
        a, b = self._offsets()
        return b / self._rate, -a / self._rate

    @property
    def legendre(self) -> bool:
        return True

    def from_dual(self, s: ArrayLike) -> Array:
        up, down = self._powers(s)
        power = self.depth / (2.0 - self.depth)
        return _clipped(up, power) - _clipped(down, power)

    def gradient(self, x: ArrayLike) -> Array:
        if self.depth < 2:
            return self._lazy_gradient(as_float(x))
        r, (first, _), side = self._growth(as_float(x))
        c = first ** (2.0 - self.depth)
        return side * c * _expm1((2.0 - self.depth) * r) / self._rate

    def _lazy_gradient(self, x: Array) -> Array:
        a, b = self._offsets()
        start = self.u**self.depth - self.v**self.depth
        # As if the lesser weight stood still: a bound, from which Newton's steps are monotone.
        power = (2.0 - self.depth) / self.depth
        u = (jnp.maximum(x - start, 0.0) + self.u**self.depth) ** power
        v = (jnp.maximum(start - x, 0.0) + self.v**self.depth) ** power
        guess = jnp.where(x >= start, u - a, b - v) / self._rate
        ends = [jnp.broadcast_to(as_float(end), x.shape) for end in self.dual_domain]
        return increasing_root(self.from_dual, x, ends[0], ends[1], guess)

    def _growth(self, x: Array) -> tuple[Array, tuple[Array, Array], Array]:
        """`r`, the logarithm by which the growing weight has grown, for depths above 2.

        With the starts of the growing and the other weight, and the sign of the growing one. In
        `r` nothing cancels, from starts that `x` has left far behind to those it hardly moves.
        """
        d, start = self.depth, self.u**self.depth - self.v**self.depth
        up = x >= start
        first, other = jnp.where(up, self.u, self.v), jnp.where(up, self.v, self.u)
        side = jnp.where(up, 1.0, -1.0)
        rise = side * (x - start) / first**d  # not the absolute value, which has no slope at 0

        def grown(r):
            fall = self._fall(r, first, other)
            return _expm1(d * r) - (other / first) ** d * _expm1(-d * fall)

        low = -jnp.log1p((first / other) ** (d - 2.0)) / (d - 2.0)
        r = increasing_root(grown, rise, low, jnp.full_like(rise, jnp.inf), jnp.log1p(rise) / d)
        return r, (first, other), side

    def _fall(self, r: Array, first: Array, other: Array) -> Array:
        """The logarithm by which the other weight has fallen."""
        ratio = (first / other) ** (2.0 - self.depth)
        return jnp.log1p(-ratio * _expm1((2.0 - self.depth) * r)) / (self.depth - 2.0)

    def dual_curvature(self, s: ArrayLike) -> Array:
        up, down = self._powers(s)
        power = 2.0 * (self.depth - 1.0) / (2.0 - self.depth)
        return self.depth**2 * (_clipped(up, power) + _clipped(down, power))

    def curvature(self, x: ArrayLike) -> Array:
        if self.depth < 2:
            return 1.0 / self.dual_curvature(self.gradient(x))
        u, v = self.weights_at(x)
        power = 2.0 * (self.depth - 1.0)
        return 1.0 / (self.depth**2 * (u**power + v**power))

    def conjugate_terms(self, s: ArrayLike) -> Array:
        u, v = self.weights(s)
        norm = (u - self.u) * (u + self.u) + (v - self.v) * (v + self.v)
        return norm / (2.0 * self.depth)

    def terms(self, x: ArrayLike) -> Array:
        if self.depth < 2:
            s = self.gradient(x)
            return s * as_float(x) - self.conjugate_terms(s)
        # s x - (u^2 + v^2 - u_0^2 - v_0^2)/(2 D), one positive term for each weight.
        r, (first, other), _ = self._growth(as_float(x))
        fall = self._fall(r, first, other)
        return first**2 * _work(r, self.depth) + other**2 * _work(-fall, self.depth)


def _expm1(z: Array) -> Array:
    """`e^z - 1`, with a derivative that keeps its digits far below 0: jax's is `(e^z - 1) + 1`."""
    far = z < -1.0
    return jnp.where(far, jnp.exp(jnp.where(far, z, -1.0)) - 1.0, jnp.expm1(jnp.where(far, 0.0, z)))


def _work(r: Array, d: float) -> Array:
    r"""\([2 (e^{D r} - 1) - D (e^{2 r} - 1)]/(2 D (D - 2))\), by its series at small `r`."""
    scale = 2.0 * d * (d - 2.0)
    small = jnp.abs(r) < 0.1 / d
    near, series = jnp.where(small, r, 0.0), jnp.zeros_like(r)
    for n in range(11, 1, -1):
        series = (series + (2.0 * d**n - d * 2.0**n) / scale / math.factorial(n)) * near
    far = jnp.where(small, 1.0, r)
    whole = (2.0 * _expm1(d * far) - d * _expm1(2.0 * far)) / scale
    return jnp.where(small, series * near, whole)


@final
class DifferenceEntropy(AbstractSeparablePotential):
    r"""The potential of `rho(u) - rho(v)` from `(u_0, v_0)`, for any elementwise map.

    In the dual time \(S\) of the map, \(u = S^{-1}(S(u_0) + s)\), \(v = S^{-1}(S(v_0) - s)\).
    Where `rho` is not Legendre (as powers below 2) the domain ends where the first of them is at an
    end of the branch: the smaller the start, the smaller it is.

    **Arguments:** `rho`; `u`, `v` on its branch, of shape () or `(d,)`.
    """

    rho: AbstractElementwise
    u: Array = eqx.field(converter=as_float)
    v: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        low, high = self.rho.branch
        for start, name in ((self.u, "u"), (self.v, "v")):
            check_entries((start > low) & (start < high), name, "must lie on the branch of `rho`")

    def weights(self, s: ArrayLike) -> tuple[Array, Array]:
        """`(u, v)` at the dual time `s`."""
        s = as_float(s)
        up, down = self.rho.dual(self.u) + s, self.rho.dual(self.v) - s
        return self.rho.dual_inverse(up), self.rho.dual_inverse(down)

    @property
    def domain(self) -> Interval:
        (low, high), (least, most) = self.rho.dual_domain, self.rho.domain
        least, most = as_float(least), as_float(most)
        if self.rho.legendre:
            return least - most, most - least
        # One weight is at an end of its branch at a finite dual time, the other is not.
        a, b = self.rho.dual(self.u), self.rho.dual(self.v)

        def last(up, down):  # the difference where the first dual time ends high, or the other low
            above, below = high - up, down - low
            top = self._value(up + below, most)
            bottom = self._value(down - above, least)
            return jnp.where(above <= below, most, top) - jnp.where(below <= above, least, bottom)

        return -last(b, a), last(a, b)

    def _value(self, s: Array, end: Array) -> Array:
        """`rho` at a dual time, `end` where it has none."""
        x = self.rho(self.rho.dual_inverse(s))
        return jnp.where(jnp.isnan(x), end, x)

    @property
    def dual_domain(self) -> Interval:
        low, high = self.rho.dual_domain
        a, b = self.rho.dual(self.u), self.rho.dual(self.v)
        return jnp.maximum(low - a, b - high), jnp.minimum(high - a, b - low)

    @property
    def legendre(self) -> bool:
        return self.rho.legendre

    def from_dual(self, s: ArrayLike) -> Array:
        u, v = self.weights(s)
        return self.rho(u) - self.rho(v)

    def gradient(self, x: ArrayLike) -> Array:
        x = as_float(x)
        low, high = (jnp.broadcast_to(as_float(end), x.shape) for end in self.dual_domain)
        s = increasing_root(self.from_dual, x, low, high, jnp.zeros_like(x))
        return s if self.rho.legendre else jnp.where(self.contains(x), s, jnp.nan)

    def dual_curvature(self, s: ArrayLike) -> Array:
        u, v = self.weights(s)
        return self.rho.derivative(u) ** 2 + self.rho.derivative(v) ** 2

    def curvature(self, x: ArrayLike) -> Array:
        return 1.0 / self.dual_curvature(self.gradient(x))

    def conjugate_terms(self, s: ArrayLike) -> Array:
        def conjugate(w):
            point = self.rho(w)
            return self.rho.dual(w) * point - self.rho.potential_terms(point)

        u, v = self.weights(s)
        return conjugate(u) - conjugate(self.u) + conjugate(v) - conjugate(self.v)

    def terms(self, x: ArrayLike) -> Array:
        s = self.gradient(x)
        return s * as_float(x) - self.conjugate_terms(s)
