"""The point of an orbit at which gradient noise leaves every conserved quantity alone."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, generator_name
from ...symmetry._action import unravel_coefficients
from .._processes._sde import AbstractSampledSDE, moving
from ._balance import BalanceRates, at_tangent, balance_rates, basis_of, form

_ROUNDS = 8  # times the search starts again from where it stands
_STEPS = 64  # of bounded length, at most


@final
class NoiseEquilibrium(eqx.Module):
    """Where along an orbit gradient noise leaves every conserved quantity alone.

    - `exists`: whether such a point was found.
    - `params`: that point, `exp(coefficients)` applied to the given one; `None` without one. The
        given point itself where there is no noise.
    - `coefficients`: how far along the orbit it is from the given point; `None` without one, and
        where one exponential of the algebra did not reach it (`params` is right nevertheless).
    - `residual`: the largest rate left, relative to what one sign of the spectrum alone would
        give.
    - `rates`: the [`gaugebias.dynamics.BalanceRates`][] at the given point.
    - `statement`: in words; without a point, which sign of which generator's spectrum the noise
        does not charge; with one, which generators it does not charge at all.
    """

    exists: bool
    params: PyTree
    coefficients: PyTree
    residual: float
    rates: BalanceRates
    statement: str


def _scaled_rates(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree) -> Array:
    """Noise and drift together, over `tr(b b^T A_a^2)` and the drift's size: in `[-1, 1]`."""
    algebra, basis = basis_of(action, params)

    def both(g):
        def size(row):
            x = action.tangent(at_tangent(params, g), unravel_coefficients(algebra, row))
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(x))

        return ravel_pytree(form(action, params, g))[0], jax.vmap(size)(basis)

    noise, sizes = sde.sum_over_noise(params, both)
    drift = 2.0 * ravel_pytree(action.cotangent(params, sde.drift(params)))[0]
    scale = sizes + jnp.abs(drift)
    return jnp.where(scale > 0, (noise + drift) / jnp.where(scale > 0, scale, 1.0), 0.0)


@eqx.filter_jit
def _approach(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree):
    """Newton steps of each generator by itself, half the rate over the size, towards the point.

    From far away all rates are saturated, and a root search has no slope to go by. Steps are at
    most 1/2 in the algebra, one group element after the other.
    """
    algebra, basis = basis_of(action, params)
    still = eqx.filter(params, eqx.is_inexact_array, inverse=True)

    def rates(point):
        return _scaled_rates(sde, action, eqx.combine(point, still))

    def far(state):
        count, _, _, r = state
        return (count < _STEPS) & (jnp.max(jnp.abs(r), initial=0.0) > 0.3)  # False for nan

    def step(state):
        count, point, total, r = state
        moved = action.flow(eqx.combine(point, still), unravel_coefficients(algebra, 0.5 * r))
        point = moving(moved)
        return count + 1, point, total + 0.5 * r, rates(point)

    first = moving(params)
    zero = jnp.zeros(basis.shape[:1], basis.dtype)
    _, point, total, _ = jax.lax.while_loop(far, step, (0, first, zero, rates(first)))
    return eqx.combine(point, still), total


@eqx.filter_jit
def _search(
    sde: AbstractSampledSDE,
    action: AbstractAction,
    params: PyTree,
    start: Array,
    tolerance: float,
):
    algebra, _ = basis_of(action, params)

    def residual(c, _):
        return _scaled_rates(sde, action, action.flow(params, unravel_coefficients(algebra, c)))

    solver = optx.LevenbergMarquardt(rtol=tolerance**2, atol=tolerance**2)
    solution = optx.least_squares(residual, solver, start, max_steps=64, throw=False)
    left = jnp.max(jnp.abs(residual(solution.value, None)), initial=0.0)
    return solution.value, left


def noise_equilibrium(sde, action, params: PyTree) -> NoiseEquilibrium:
    r"""The point of the orbit of `params` where noise no longer moves any `theta^T A_a theta`.

    Along the orbit, per-sample gradients of an invariant loss move by the inverse transpose, so
    that `tr Sigma` is a geodesically convex function with the rates `tr(Sigma A_a)` as its slope:
    the equilibrium is its minimum, unique up to rotations, and exists for one generator exactly
    where `Sigma` charges both signs of the spectrum of `A` (2402.07193). Found by a root search in
    the algebra, after steps of bounded length from far away. Weight decay in the drift counts as
    well.

    **Arguments:** as of [`gaugebias.dynamics.balance_rates`][]; `params`, one concrete point.

    **Returns:** a [`gaugebias.dynamics.NoiseEquilibrium`][], with a statement of why there is none
    where there is none.

    **Raises:** `ValueError` for an action that is not linear (translations have no such
    quantity), or a process whose noise is not made by data.
    """
    rates = balance_rates(sde, action, params)
    dtype = jnp.result_type(*jax.tree.leaves(moving(params)))
    tolerance = float(jnp.finfo(dtype).eps) ** 0.5
    algebra, _ = basis_of(action, params)
    near, way = _approach(sde, action, params)
    left = np.inf
    # in the coordinates of the given point, whose coefficients they are; else from where it stands
    for base, start in ((params, way), (near, jnp.zeros_like(way))):
        for _ in range(_ROUNDS):
            start, left = _search(sde, action, base, start, tolerance)
            if not (bool(jnp.all(jnp.isfinite(start))) and bool(jnp.isfinite(left))):
                left = np.inf
                break
            if left <= 10 * tolerance:
                break
        if left <= 10 * tolerance:
            coefficients = unravel_coefficients(algebra, start)
            found = action.flow(base, coefficients)
            return NoiseEquilibrium(
                exists=True,
                params=found,
                coefficients=coefficients if base is params else None,
                residual=float(left),
                rates=rates,
                statement=_why(sde, action, found),
            )
    return NoiseEquilibrium(
        exists=False,
        params=None,
        coefficients=None,
        residual=float(left),
        rates=rates,
        statement=_why_not(sde, action, params),
    )


def _share(params: PyTree) -> float:
    """The share of the noise that is seen on one side of a spectrum."""
    return float(jnp.finfo(jnp.result_type(*jax.tree.leaves(moving(params)))).eps) ** 1.2


@eqx.filter_jit
def _charges(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree):
    """For each generator: is it symmetric, and does noise charge its two signs of spectrum?

    `v^T A v` of `v = exp(s A) g` sees the positive part alone for large `s`, amplified by
    `exp(2 s lambda)`; `s` is chosen so that a share of `eps^1.2` of the noise is seen.
    """
    algebra, basis = basis_of(action, params)
    eps, share = float(jnp.finfo(basis.dtype).eps), _share(params)
    flat, unravel = ravel_pytree(moving(params))
    probes = jax.random.normal(jax.random.key(0), (2, flat.size), flat.dtype)

    def field(x, row):
        v = at_tangent(params, unravel(x))
        return ravel_pytree(action.tangent(v, unravel_coefficients(algebra, row)))[0]

    def one(row):
        x, y = probes
        there, back = field(x, row) @ y, x @ field(y, row)
        symmetric = jnp.abs(there - back) <= 1e3 * eps * jnp.sqrt((x @ x) * (y @ y))

        def power(_, v):
            moved = field(v, row)
            size = jnp.sqrt(moved @ moved)
            return jnp.where(size > 0, moved / jnp.where(size > 0, size, 1.0), moved)

        top = jax.lax.fori_loop(0, 32, power, x)
        radius = jnp.sqrt(jnp.sum(field(top, row) ** 2))
        s = 0.5 * np.log(1 / share) / jnp.where(radius > 0, radius, 1.0)

        def seen(g):
            def part(sign):
                here = action.flow(
                    at_tangent(params, g), unravel_coefficients(algebra, sign * s * row)
                )
                h = ravel_pytree(moving(here))[0]
                return h @ field(h, row)

            v = ravel_pytree(g)[0]
            return part(1.0), -part(-1.0), v @ v

        plus, minus, trace = sde.sum_over_noise(params, seen)
        floor = 0.5 * radius * trace
        return symmetric, plus > floor, minus > floor  # both False without noise

    return jax.lax.map(one, basis)


def _why(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree) -> str:
    symmetric, plus, minus = (np.asarray(x) for x in _charges(sde, action, params))
    idle = symmetric & ~plus & ~minus
    if idle.all() and idle.any():
        return "The rates vanish all along the orbit: no noise reaches any generator."
    if np.any(symmetric & (plus != minus)):
        return "Noise on one side of the spectrum and the drift cancel at `params`."
    if not idle.any():
        return "Both signs of the spectrum are charged: the rates vanish at `params`."
    first, more = generator_name(action, params, int(np.argmax(idle))), int(idle.sum()) - 1
    return (
        f"The rates vanish at `params`; no noise reaches {first}"
        + (f" (and {more} other generators)" if more else "")
        + ", whose quantity stays as it is."
    )


def _why_not(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree) -> str:
    symmetric, plus, minus = (np.asarray(x) for x in _charges(sde, action, params))
    one_sided = symmetric & (plus != minus)
    if not one_sided.any():
        return (
            "No point was found: no single generator of the basis is charged on one side only, so "
            "a combination of them is, or the search ended too early."
        )
    first = int(np.argmax(one_sided))
    sign, way = ("negative", "grows") if plus[first] else ("positive", "falls")
    more = int(one_sided.sum()) - 1
    return (
        f"There is none: the noise does not charge the {sign} spectrum of "
        f"{generator_name(action, params, first)} (not by a share of {_share(params):.0e} of it), "
        f"so that theta^T A theta {way} without end"
        + (f" (and {more} other generators)." if more else ".")
    )
