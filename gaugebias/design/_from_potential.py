"""Inverse design without noise: a convex potential in, a parametrisation out."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..flows import AbstractSeparablePotential, SeparablePotential, SignedDifference
from ._mirror_design import Chart, Designed, MirrorDesign
from ._monotone import monotone


class _Bend(eqx.Module):
    """`log dw/dy = 1/2 log R''(x(y)) + log dx/dy`: the speed of the chart `y` in weights."""

    fn: Callable
    chart: Chart

    def __call__(self, y: Array) -> Array:
        x = self.chart.x(y)
        return 0.5 * jnp.log(jax.grad(jax.grad(self.fn))(x)) + self.chart.log_slope(y)


def from_potential(
    potential: Any,
    domain: tuple[float, float] = (-math.inf, math.inf),
    *,
    base: float | None = None,
) -> MirrorDesign:
    """A parametrisation whose gradient flow is the mirror flow of `sum_i R(x_i)`.

    `rho` is the inverse of `int sqrt(R'')` (2308.04921, re-derived): then `dR'(x)/dt =
    -grad L(x)`, and on `A x = b` the flow ends at `argmin D_R(z, x_0)`. Where `R''` is unbounded
    at 0 inside the domain, `rho' = 0` there and the flow would stick: the result is the signed
    difference `rho(u) - rho(v)` of the map of `x > 0`. A weight that reaches 0 sticks; up to there
    the flow has the potential `parametrisation.potential(start)`. The bias is `R`, as the start
    tends to 0, of the dual flow whose weights go on from 0 (see
    [`gaugebias.flows.PowerEntropy`][]), not of one that stuck.

    **Arguments:**

    - `potential`: `R` of one entry, a traceable scalar function, or a separable potential of
        `gaugebias.flows`.
    - `domain`: its open interval.
    - `base`: a point inside, where Newton's method for the inverse of `R'` starts; by default the
        middle. It does not move `w`: that is 0 at `x = 0`, or at the end or the middle of a domain
        without it, and a shift of `w` changes no flow.

    **Returns:** a [`gaugebias.design.MirrorDesign`][].

    **Raises:** `ValueError` where `R` is not convex (as `|x| log|x| - |x|` across 0), where
    `R'' = 0` on an interval, where its slope jumps, where it is NaN, naming the place and what
    would work.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        design = gb.design.from_potential(lambda x: jnp.log(jnp.cosh(x)))
        design.closed_form                          # w = 2 arctan(tanh(x/2))
        design.lift(jnp.asarray([0.5]))             # 2 arctan(tanh(0.25))
        ```
    """
    given = isinstance(potential, AbstractSeparablePotential)
    if given:
        domain = (float(jnp.asarray(potential.domain[0])), float(jnp.asarray(potential.domain[1])))
        fn: Callable = _terms(potential)
    elif callable(potential):
        fn = potential
    else:
        raise ValueError(
            "`potential` must be a function of one entry x, or a separable potential of "
            f"`gaugebias.flows`, but is {potential!r}."
        )
    low, high = float(domain[0]), float(domain[1])
    if not low < high:
        raise ValueError(f"`domain` must be an increasing pair, but is {domain!r}.")
    power = _power_at_zero(fn) if low < 0.0 < high else 0.0
    signed = power < -1e-2
    inner = (0.0, min(high, -low)) if signed else (low, high)
    if signed and high != -low:
        raise ValueError(
            f"`potential` has R'' unbounded at 0, and `domain` ({low:g}, {high:g}) is not "
            "symmetric: a difference rho(u) - rho(v) reaches symmetric intervals; give one, or "
            "one side of 0."
        )
    if signed:
        _check_even(fn, inner[1])
        _check_slope_at_zero(fn)
    try:
        target = SeparablePotential(fn, inner, base=base)
    except ValueError as error:
        raise ValueError(str(error).replace("`fn`", "`potential`")) from error
    rho = _solve(target, fn, inner)
    closed = _recognised(fn, inner)
    notes = [f"table of rho: relative error at most {rho.map.accuracy:.0e}"]
    parametrisation: Designed | SignedDifference = rho
    if signed:
        parametrisation = SignedDifference(rho)
        notes.append(
            f"R'' behaves like |x|^{power:.3g} at 0, so that rho alone would stick there: "
            "x = rho(u) - rho(v), with the bias of R as the start tends to 0 where weights go on "
            "from 0 in dual time"
        )
        notes.append(
            "weights that reach 0 stick there: the flow of weights can stay away from the "
            "minimiser of R however small the start"
        )
        closed = None if closed is None else f"x = rho(u) - rho(v), rho: {closed}"
    far = [abs(y) for y, end in zip(rho.map.reach, inner, strict=True) if not math.isfinite(end)]
    if not rho.chart.trivial or min(far, default=math.inf) < 1e6:
        ends = [float(rho.chart.x(jnp.asarray(y))) for y in rho.map.reach]
        notes.append(f"exact for x in [{ends[0]:.6g}, {ends[1]:.6g}]; linear in its chart beyond")
    if not target.legendre:
        notes.append("R' is finite at an end of the domain: a flow can reach it and leave R there")
    return MirrorDesign(parametrisation, target, rho, closed, tuple(notes))


def _terms(potential: AbstractSeparablePotential) -> Callable:
    def terms(x: Array) -> Array:
        return potential.terms(x)

    return terms


def _second(fn: Callable, x: np.ndarray) -> np.ndarray:
    with jax.ensure_compile_time_eval():
        return np.asarray(jax.vmap(jax.grad(jax.grad(fn)))(jnp.asarray(x)), np.float64)


def _power_at_zero(fn: Callable) -> float:
    """`d log R''/d log |x|` at 0, on the steeper side; 0 where `R''` is bounded."""
    try:
        near = _second(fn, np.asarray([1e-10, 1e-8, -1e-10, -1e-8]))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`potential` cannot be differentiated twice at one entry x "
            f"({str(error).splitlines()[0]}): give a jax function of a scalar. A potential of a "
            "whole vector is no sum of R(x_i), and no map entry by entry has it; one that is a sum "
            "after a rotation, R(Q^T x), is that of x = Q rho(w)."
        ) from error
    if not np.all(near > 0.0) or not np.all(np.isfinite(near)):
        return 0.0
    slopes = np.log(near[[0, 2]] / near[[1, 3]]) / np.log(1e-2)
    return float(min(0.0, *slopes))


def _check_even(fn: Callable, high: float) -> None:
    x = np.logspace(-3, 0, 7) * min(1.0, 0.9 * high)
    right, left = _second(fn, x), _second(fn, -x)
    if not np.allclose(right, left, rtol=1e-6):
        raise ValueError(
            "`potential` has R'' unbounded at 0 and is not even: the difference rho(u) - rho(v) "
            "has an even potential; use one side of 0 as `domain`, or an even R."
        )


def _check_slope_at_zero(fn: Callable) -> None:
    """That an even `R` with `R''` unbounded at 0 is smooth there: `R'` falls to 0.

    The difference of two maps sees `R''` on one side only, not the jump of `R'` from it to the
    other.
    """
    single = jnp.result_type(float) == jnp.float32
    x = np.asarray([1e-10, 1e-8] if single else [1e-30, 1e-28])
    bend = _second(fn, x)
    with jax.ensure_compile_time_eval():
        slope = float(jax.grad(fn)(jnp.asarray(x[0])))
    power = float(np.log(bend[0] / bend[1]) / np.log(x[0] / x[1]))
    if power <= -1.0 + 1e-6:
        raise ValueError(
            f"`potential` must be convex, but R'' behaves like |x|^{power:.3g} at 0, so that R' is "
            "unbounded there and jumps down from one side to the other. Take one side, `domain` "
            "(0, inf); the difference of two copies of that map, "
            "`SignedDifference(design.rho)`, has the potential R + c |x| with c growing as the "
            "start tends to 0: the l1 norm."
        )
    rest = x[0] * bend[0] / (1.0 + power)  # what the power itself has of the slope
    jump = 2.0 * (slope - rest)
    if not abs(jump) <= 1e-2 * max(abs(slope), rest):
        what = "is not convex" if jump < 0 else "has a kink"
        cure = "Take one side of 0 as `domain`"
        cure = cure if jump < 0 else "Smooth it, as sqrt(x^2 + e^2) for |x|"
        raise ValueError(
            f"`potential` {what} at 0: its slope jumps by {jump:.3g}, which the second derivative "
            f"does not see, and no flow has such a bias. {cure}."
        )


def _solve(target: SeparablePotential, fn: Callable, ends: tuple[float, float]) -> Designed:
    low, high = ends
    # Without a chart where there is no finite end, or one at 0 that is reached at finite w.
    trivial = all(
        not math.isfinite(end) or (end == 0.0 and _integrable(fn, end, sign, ends))
        for end, sign in ((low, 1.0), (high, -1.0))
    )
    chart = Chart(low, high, trivial)
    # Near a finite end other than 0 the distance to it is known to rounding errors only.
    shifted = any(math.isfinite(end) and end != 0.0 for end in ends)
    single = jnp.result_type(float) == jnp.float32
    span = (6.0 if single else 12.0) if shifted else (40.0 if single else 80.0)
    reach = _finite_reach(fn, ends) if trivial else span
    map = monotone(
        _Bend(fn, chart),
        lower=low if trivial else -math.inf,
        upper=high if trivial else math.inf,
        reach=reach,
    )
    return Designed(target, map, chart)


def _integrable(fn: Callable, end: float, sign: float, ends: tuple[float, float]) -> bool:
    """Whether `sqrt(R'')` can be integrated up to a finite end."""
    width = min(1.0, ends[1] - ends[0])
    near = _second(fn, end + sign * width * np.asarray([1e-6, 1e-5]))
    if not np.all(near > 0.0):
        return True
    return float(0.5 * np.log(near[1] / near[0]) / np.log(10.0)) > -1.0 + 1e-3


def _finite_reach(fn: Callable, ends: tuple[float, float]) -> float:
    """Distance up to which `R''` can be evaluated where the domain is unbounded."""
    reach = 1e8
    for sign, end in ((1.0, ends[1]), (-1.0, ends[0])):
        if math.isfinite(end):
            continue
        sizes = np.logspace(-2, 8, 401)
        origin = ends[0] if math.isfinite(ends[0]) else ends[1] if math.isfinite(ends[1]) else 0.0
        # Close by, a smooth R'' is the same: where it is not, rounding has the better of it.
        nudges = 1.0 + 1e-7 * np.arange(4)[:, None]
        bend = _second(fn, (origin + sign * sizes * nudges).ravel()).reshape(4, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.log(bend)
            good = np.abs(size[0]) < 0.5 * np.log(np.finfo(jnp.result_type(float)).max)
            good &= np.ptp(size, axis=0) < 1e-3
        if not np.all(good):
            bad = int(np.argmin(good))
            if np.mean(good[bad : bad + 40]) > 0.5:
                raise ValueError(
                    f"`potential` has R'' that is 0, infinite or jumps at x = "
                    f"{origin + sign * sizes[bad]:.4g}: rho is made in one piece from a smooth "
                    "R''; give a `domain` that ends there, or smooth it."
                )
            reach = min(reach, float(sizes[max(bad - 1, 0)]))
    return reach


def _recognised(fn: Callable, ends: tuple[float, float]) -> str | None:
    """The closed form of `rho` where `R''` is in the catalogue of 2308.04921, up to a factor."""
    low, high = ends
    if (low, high) == (-math.inf, math.inf):
        x = np.linspace(-2.1, 2.3, 17)
        known = {
            "w": np.ones_like(x),
            "sinh({a}w)": 1.0 / (1.0 + x**2),
            "tan({a}w)": (1.0 + x**2) ** -2.0,
            "arcsinh({a}w)": np.cosh(x) ** 2,
            "2 artanh(tan({a}w/2))": np.cosh(x) ** -2.0,
        }
    elif (low, high) == (-1.0, 1.0):
        x = np.linspace(-0.83, 0.87, 17)
        known = {"sin({a}w)": 1.0 / (1.0 - x**2), "tanh({a}w)": (1.0 - x**2) ** -2.0}
    elif (low, high) == (0.0, math.inf):
        x = np.logspace(-1.0, 1.0, 17)
        slope = np.log(_second(fn, x[-1:])[0] / _second(fn, x[:1])[0]) / np.log(x[-1] / x[0])
        p = round(float(slope) + 2.0, 9)
        form = "exp({a}w)" if p == 0.0 else "({a}w)^" + f"{2.0 / p:.6g}"
        known = {form: x ** (p - 2.0)} if p >= 0.0 else {}
        power = p
    else:
        return None
    bend = _second(fn, x)
    for form, expected in known.items():
        ratio = bend / expected
        if np.all(np.isfinite(ratio)) and np.ptp(ratio) < 1e-8 * abs(ratio[0]):
            a = float(ratio[0]) ** -0.5
            if form.startswith("({a}w)^"):
                # rho = (a w)^(2/p): rho'^2 = (4 a^2/p^2) x^(2 - p)
                a *= 0.5 * power
            text = form.replace("{a}", "" if abs(a - 1.0) < 1e-9 else f"{a:.6g} ")
            if form == "w":
                text = "w" if abs(a - 1.0) < 1e-9 else f"{a:.6g} w"
            if "artanh" in form:
                scale = "" if abs(a - 1.0) < 1e-9 else f"{1 / a:.6g} "
                text += f", w = {scale}2 arctan(tanh(x/2))"
            return f"x = {text}"
    return None
