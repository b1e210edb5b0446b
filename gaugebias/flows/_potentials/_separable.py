"""Separable potentials given by a function, and potentials times a constant."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ..._compile import evaluated_now
from .._parametrisations._parametrisation import check_entries
from .._parametrisations._user import middle, sample_interval
from .._roots import increasing_root
from ._potential import AbstractPotential, AbstractSeparablePotential, Interval, as_float


@final
class SeparablePotential(AbstractSeparablePotential):
    """`R(x) = sum_i F(x_i)` for a strictly convex function `F` of a scalar.

    Derivatives by automatic differentiation, `from_dual` by Newton's method.

    **Arguments:**

    - `fn`: `F`, from a scalar to a scalar, twice differentiable inside the domain.
    - `domain`: ends of its open interval; default the whole line.
    - `base`: a point inside, where Newton's method starts.
    - `dual_domain`: ends of the range of `F'`; by default `F'` at the ends of the domain, or its
        limits.

    **Raises:** `ValueError` where `F` is not convex, flat (`F'' = 0`) on an interval, or has a kink
    (`F'` jumps, which its derivatives do not see), at 401 points of the domain (out to 8 from
    `base` where it is unbounded) and between them, naming the place.

    !!! example

        ```python
        potential = gb.flows.SeparablePotential(lambda x: jnp.log(jnp.cosh(x)))
        potential.from_dual(jnp.array([0.5]))       # artanh 0.5
        ```
    """

    fn: Callable = eqx.field(static=True)
    ends: tuple[float, float] = eqx.field(static=True)
    base: float = eqx.field(static=True)
    dual_ends: tuple[float, float] = eqx.field(static=True)

    def __init__(
        self,
        fn: Callable,
        domain: Interval = (-np.inf, np.inf),
        *,
        base: float | None = None,
        dual_domain: Interval | None = None,
    ):
        if not callable(fn):
            raise ValueError(f"`fn` must be a function of a scalar, but is {fn!r}.")
        low, high = (float(end) for end in domain)
        if not low < high:
            raise ValueError(f"`domain` must be an interval (low, high), but is {domain!r}.")
        base = middle(low, high) if base is None else float(base)
        if not low < base < high:
            raise ValueError(f"`base` must be inside the domain ({low:g}, {high:g}), not {base:g}.")
        self.fn, self.ends, self.base = fn, (low, high), base
        slopes = _slopes(fn, low, high) if dual_domain is None else dual_domain
        self.dual_ends = (float(slopes[0]), float(slopes[1]))

    def __check_init__(self):
        x = sample_interval(*self.ends, self.base)
        with evaluated_now():
            height = np.asarray(self.terms(jnp.asarray(x)))
            bend = np.asarray(self.curvature(jnp.asarray(x)))
        if not np.isfinite(height).all():
            at = x[int(np.argmin(np.isfinite(height)))]
            raise ValueError(
                f"`fn` is not finite at x = {at:g}: give the `domain` on which it is defined."
            )
        lost = np.isnan(bend)
        if lost.any():
            at = x[int(np.argmax(lost))]
            raise ValueError(f"`fn` has no second derivative at x = {at:g}: smooth it there.")
        # What rounding leaves of a second derivative counts as 0.
        noise = 8.0 * np.finfo(bend.dtype).eps * float(np.max(bend[np.isfinite(bend)], initial=0.0))
        if (bend < -noise).any():
            at = int(np.argmin(bend))
            raise ValueError(
                f"`fn` must be convex, but its second derivative is {bend[at]:.3g} at x = "
                f"{x[at]:g}: no gradient flow is a mirror flow of it. Restrict `domain` to where "
                "it is convex, or add a quadratic."
            )
        with evaluated_now():
            kink = _kink(self.gradient, self.curvature, x)
        if kink is not None:
            at, jump = kink
            raise ValueError(
                f"`fn` has a kink at x = {at:.6g}: its slope jumps by {jump:.3g}, which the second "
                "derivative does not see, and a flow has no such bias. Smooth it, as "
                "sqrt(x^2 + e^2) in place of |x|."
            )
        flat = (bend[:-1] <= noise) & (bend[1:] <= noise)
        if flat.any():
            first = int(np.argmax(flat))
            last = first + int(np.argmin(np.append(flat[first:], False)))
            raise ValueError(
                f"`fn` must be strictly convex, but its second derivative is 0 from x = "
                f"{x[first]:.3g} to {x[last]:.3g}: the minimiser is not unique there and no "
                "parametrisation has it. Add a small quadratic, as 1e-3 x^2."
            )

    @property
    def domain(self) -> Interval:
        return self.ends

    @property
    def dual_domain(self) -> Interval:
        return self.dual_ends

    @property
    def legendre(self) -> bool:
        pairs = zip(self.ends, self.dual_ends, strict=True)
        return all(np.isinf(dual) for end, dual in pairs if np.isfinite(end))

    def terms(self, x: ArrayLike) -> Array:
        return jnp.vectorize(self.fn)(as_float(x))

    def gradient(self, x: ArrayLike) -> Array:
        return jnp.vectorize(jax.grad(self.fn))(as_float(x))

    def curvature(self, x: ArrayLike) -> Array:
        return jnp.vectorize(jax.grad(jax.grad(self.fn)))(as_float(x))

    def from_dual(self, s: ArrayLike) -> Array:
        s = as_float(s)
        low, high = (jnp.full_like(s, end) for end in self.ends)
        return increasing_root(self.gradient, s, low, high, jnp.full_like(s, self.base))

    def dual_curvature(self, s: ArrayLike) -> Array:
        return 1.0 / self.curvature(self.from_dual(s))

    def conjugate_terms(self, s: ArrayLike) -> Array:
        x = self.from_dual(s)
        return as_float(s) * x - self.terms(x)


def _kink(slope: Callable, bend: Callable, x: np.ndarray) -> tuple[float, float] | None:
    """The place and the size of the largest jump of a slope between the points `x`, by halving.

    A jump keeps its size as the interval around it shrinks; powers of a distance do not.
    """
    dtype = jnp.result_type(float)
    halvings = 36 if dtype == jnp.float64 else 10

    both = jax.jit(lambda points: (slope(points), bend(points)))

    def at(points):
        values = np.asarray(both(jnp.asarray(points)), np.float64)
        return np.where(np.isfinite(values), values, 0.0)

    def excess(a, fa, b, fb):  # of the rise over what the curvature accounts for
        return np.abs(fb[0] - fa[0] - 0.5 * (b - a) * (fa[1] + fb[1]))

    low, high = x[:-1], x[1:]
    ends = at(x)
    below, above = ends[:, :-1], ends[:, 1:]
    floor = 1e4 * np.finfo(dtype).eps * (np.abs(below[0]) + np.abs(above[0]))
    before = above[0] - below[0]
    for k in range(halvings):
        middle = 0.5 * (low + high)
        here = at(middle)
        right = excess(middle, here, high, above) > excess(low, below, middle, here)
        low, high = np.where(right, middle, low), np.where(right, high, middle)
        below, above = np.where(right, here, below), np.where(right, above, here)
        if k == halvings // 2:
            before = above[0] - below[0]
    jump = above[0] - below[0]
    sharp = (jump > 0.95 * before) & (jump > floor)
    sharp &= jump > 10.0 * (high - low) * np.maximum(below[1], above[1])
    if not sharp.any():
        return None
    worst = int(np.argmax(np.where(sharp, jump, 0.0)))
    return float(low[worst]), float(jump[worst])


def _slopes(fn: Callable, low: float, high: float) -> tuple[float, float]:
    """`F'` at the ends of the domain, or its limits there."""
    width = high - low if np.isfinite(high - low) else 1.0
    with evaluated_now():
        return _end_slope(jax.grad(fn), low, -1.0, width), _end_slope(
            jax.grad(fn), high, 1.0, width
        )


def _end_slope(slope: Callable, end: float, sign: float, width: float) -> float:
    """An increasing slope at an end, by the points before it where it is NaN (as 0/0) there."""
    value = float(slope(jnp.asarray(end)))
    if not np.isnan(value):
        return value
    steps = 4.0 ** np.arange(1, 19)
    points = end - sign * width / steps if np.isfinite(end) else sign * steps
    near = np.asarray(jax.vmap(slope)(jnp.asarray(points)), np.float64)
    near = near[: int(np.argmin(np.append(np.isfinite(near), False)))]
    if len(near) < 3:
        return sign * np.inf
    first, last = near[-2] - near[-3], near[-1] - near[-2]
    if abs(last) <= 64.0 * float(jnp.finfo(jnp.result_type(float)).eps) * abs(near[-1]):
        return float(near[-1])
    ratio = last / first if first else np.inf
    if not 0.0 <= ratio < 0.93:  # a logarithm has 1
        return sign * np.inf
    limit = near[-1] + last * ratio / (1.0 - ratio)
    return float(limit) if abs(limit) > 1e-9 * np.abs(near).max() else 0.0


@final
class Scaled(AbstractPotential):
    """A potential times a positive constant: the same minimisers, another unit of dual time.

    **Arguments:** `potential`; `factor`, a scalar.
    """

    potential: AbstractPotential
    factor: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check_entries(self.factor > 0, "factor", "must be positive")

    def value(self, x: ArrayLike) -> Array:
        return self.factor * self.potential.value(x)

    def gradient(self, x: ArrayLike) -> Array:
        return self.factor * self.potential.gradient(x)

    def from_dual(self, s: ArrayLike) -> Array:
        return self.potential.from_dual(as_float(s) / self.factor)

    def conjugate(self, s: ArrayLike) -> Array:
        return self.factor * self.potential.conjugate(as_float(s) / self.factor)

    def hessian_apply(self, x: Array, v: Array) -> Array:
        return self.factor * self.potential.hessian_apply(x, v)

    def dual_gram(self, s: Array, rows: Array) -> Array:
        return self.potential.dual_gram(s / self.factor, rows) / self.factor

    def contains(self, x: ArrayLike) -> Array:
        return self.potential.contains(x)

    def contains_dual(self, s: ArrayLike) -> Array:
        return self.potential.contains_dual(as_float(s) / self.factor)

    def describe_domain(self) -> str:
        return self.potential.describe_domain()
