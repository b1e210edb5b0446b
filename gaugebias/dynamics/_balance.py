"""Where gradient noise drives conserved quantities: rates, and the point at which they stop."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..symmetry import AbstractAction, algebra_dimension, generator_name
from ..symmetry._action import unravel_coefficients
from ._sde import AbstractSampledSDE, moving

_ROUNDS = 8  # times the search starts again from where it stands


@final
class BalanceRates(eqx.Module):
    r"""What moves `C_a = theta^T A_a theta`, per unit time; each a coefficient pytree.

    - `noise`: `tr(b b^T A_a)`, with `b` the diffusion: `(eta/B) tr(Sigma A_a)` for minibatches.
        It has no martingale part where the noise is horizontal.
    - `drift`: `2 <X_a, drift>`: 0 for invariant losses, `-2 lambda C_a` with weight decay.
    - `finite_step`: `eta a^T A_a a` with `a` the drift: what gradient descent of step `eta` adds
        with no noise at all. `E[Delta C_a] / eta` of the discrete process is the sum of the three.
        Zero for `second_order` equations, whose drift has it.
    """

    noise: PyTree
    drift: PyTree
    finite_step: PyTree


@eqx.filter_jit
def balance_rates(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree) -> BalanceRates:
    """The predicted rates of every `C_a = theta^T A_a theta`, noise and finite step apart.

    Noise equilibrium (2402.07193) and the law of balance (2308.06671, Theorem 3.1): `C_a` is
    conserved by gradient flow, and under horizontal noise moves at `tr(b b^T A_a)` without a
    martingale part. The finite-step term is of the same order, `eta`, and is no effect of noise:
    what noise does is shown against the full batch at the same learning rate.

    **Arguments:**

    - `sde`: a process whose noise is made by data, as [`gaugebias.dynamics.MinibatchSDE`][].
    - `action`: a linear action whose algebra is closed under transpose.
    - `params`: one point.

    **Returns:** a [`gaugebias.dynamics.BalanceRates`][], in units of `theta^2 / time`. (The moment
    map is `C_a / 2`: [`gaugebias.dynamics.imbalance_rate`][] is half of `noise + drift`.)
    """
    down = sde.drift(params)
    rate = getattr(sde, "learning_rate", 0.0)
    if getattr(sde, "second_order", False):
        rate = 0.0 * rate
    return BalanceRates(
        noise=sde.sum_over_noise(params, lambda g: _form(action, params, g)),
        drift=jax.tree.map(lambda c: 2.0 * c, action.cotangent(params, down)),
        finite_step=jax.tree.map(lambda c: rate * c, _form(action, params, down)),
    )


def _at(params: PyTree, tangent: PyTree) -> PyTree:
    """A tangent in the place of the parameters, for actions that are linear."""
    return eqx.combine(tangent, eqx.filter(params, eqx.is_inexact_array, inverse=True))


def _form(action: AbstractAction, params: PyTree, v: PyTree) -> PyTree:
    """`v^T A_a v` for every generator."""
    return action.cotangent(_at(params, v), v)


@final
class NoiseEquilibrium(eqx.Module):
    """Where along an orbit gradient noise leaves every conserved quantity alone.

    - `exists`: whether such a point was found.
    - `params`: that point, `exp(coefficients)` applied to the given one; `None` without one.
    - `coefficients`: how far along the orbit it is from the given point; `None` without one.
    - `residual`: the largest rate left, relative to what one sign of the spectrum alone would
        give.
    - `rates`: the [`gaugebias.dynamics.BalanceRates`][] at the given point.
    - `statement`: one sentence; without a point, which sign of which generator's spectrum
        the noise does not charge.
    """

    exists: bool
    params: PyTree
    coefficients: PyTree
    residual: float
    rates: BalanceRates
    statement: str


def _basis(action: AbstractAction, params: PyTree) -> tuple[PyTree, Array]:
    dtype = jnp.result_type(*jax.tree.leaves(moving(params)))
    return action.algebra(params), jnp.eye(algebra_dimension(action, params), dtype=dtype)


def _scaled_rates(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree) -> Array:
    """Noise and drift together, over `tr(b b^T A_a^2)` and the drift's size: in `[-1, 1]`."""
    algebra, basis = _basis(action, params)

    def both(g):
        def size(row):
            x = action.tangent(_at(params, g), unravel_coefficients(algebra, row))
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(x))

        return ravel_pytree(_form(action, params, g))[0], jax.vmap(size)(basis)

    noise, sizes = sde.sum_over_noise(params, both)
    drift = 2.0 * ravel_pytree(action.cotangent(params, sde.drift(params)))[0]
    scale = sizes + jnp.abs(drift)
    return jnp.where(scale > 0, (noise + drift) / jnp.where(scale > 0, scale, 1.0), 0.0)


@eqx.filter_jit
def _search(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree, tolerance: float):
    algebra, basis = _basis(action, params)
    zero = jnp.zeros(basis.shape[:1], basis.dtype)

    def residual(c, _):
        return _scaled_rates(sde, action, action.flow(params, unravel_coefficients(algebra, c)))

    solver = optx.LevenbergMarquardt(rtol=tolerance**2, atol=tolerance**2)
    solution = optx.least_squares(residual, solver, zero, max_steps=64, throw=False)
    left = jnp.max(jnp.abs(residual(solution.value, None)), initial=0.0)
    return solution.value, left


def noise_equilibrium(sde, action: AbstractAction, params: PyTree) -> NoiseEquilibrium:
    r"""The point of the orbit of `params` where noise no longer moves any `theta^T A_a theta`.

    Along the orbit, per-sample gradients of an invariant loss move by the inverse transpose, so
    that `tr Sigma` is a geodesically convex function with the rates `tr(Sigma A_a)` as its slope:
    the equilibrium is its minimum, unique up to rotations, and exists for one generator exactly
    where `Sigma` charges both signs of the spectrum of `A` (2402.07193). Found by a root search in
    the algebra, started again from where it stands. Weight decay in the drift counts as well.

    **Arguments:** as of [`gaugebias.dynamics.balance_rates`][]; `params`, one concrete point.

    **Returns:** a [`gaugebias.dynamics.NoiseEquilibrium`][], with a statement of why there is none
    where there is none.

    **Raises:** `ValueError` for an action that is not linear (translations have no such
    quantity), or a process whose noise is not made by data.
    """
    if not isinstance(sde, AbstractSampledSDE):
        raise ValueError(
            "`sde` must be a process whose noise is made by data, as `MinibatchSDE` or "
            "`LabelNoiseSDE`; for others see `imbalance_rate`."
        )
    _require_linear(action, params)
    rates = balance_rates(sde, action, params)
    dtype = jnp.result_type(*jax.tree.leaves(moving(params)))
    tolerance = float(jnp.finfo(dtype).eps) ** 0.5
    algebra, _ = _basis(action, params)
    at, total, left = params, None, np.inf
    for _ in range(_ROUNDS):
        step, left = _search(sde, action, at, tolerance)
        if not bool(jnp.all(jnp.isfinite(step))) or not bool(jnp.isfinite(left)):
            left = np.inf
            break
        at = action.flow(at, unravel_coefficients(algebra, step))
        total = step if total is None else total + step
        if left <= 10 * tolerance:
            break
    if left <= 10 * tolerance and total is not None:
        coefficients = unravel_coefficients(algebra, total)
        return NoiseEquilibrium(
            exists=True,
            params=at,
            coefficients=coefficients,
            residual=float(left),
            rates=rates,
            statement="Both signs of the spectrum are charged: the rates vanish at `params`.",
        )
    return NoiseEquilibrium(
        exists=False,
        params=None,
        coefficients=None,
        residual=float(left),
        rates=rates,
        statement=_why_not(sde, action, params),
    )


@eqx.filter_jit
def _charges(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree):
    """For each generator: is it symmetric, and does noise charge its two signs of spectrum?

    `v^T A v` of `v = exp(s A) g` sees the positive part alone for large `s`, amplified by
    `exp(2 s lambda)`; `s` is chosen so that a share of `eps^1.2` of the noise is seen.
    """
    algebra, basis = _basis(action, params)
    eps = float(jnp.finfo(basis.dtype).eps)
    flat, unravel = ravel_pytree(moving(params))
    probes = jax.random.normal(jax.random.key(0), (2, flat.size), flat.dtype)

    def field(x, row):
        v = _at(params, unravel(x))
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
        s = 0.5 * 1.2 * jnp.log(1 / eps) / jnp.where(radius > 0, radius, 1.0)

        def seen(g):
            def part(sign):
                here = action.flow(_at(params, g), unravel_coefficients(algebra, sign * s * row))
                h = ravel_pytree(moving(here))[0]
                return h @ field(h, row)

            v = ravel_pytree(g)[0]
            return part(1.0), -part(-1.0), v @ v

        plus, minus, trace = sde.sum_over_noise(params, seen)
        floor = 0.5 * radius * trace
        return symmetric, plus > floor, minus > floor

    return jax.lax.map(one, basis)


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
        f"{generator_name(action, params, first)}, so that theta^T A theta {way} without end"
        + (f" (and {more} other generators)." if more else ".")
    )


def _require_linear(action: AbstractAction, params: PyTree) -> None:
    """`ValueError` unless the generators are linear in the parameters."""
    algebra, basis = _basis(action, params)
    flat, unravel = ravel_pytree(moving(params))
    one, two = jax.random.normal(jax.random.key(1), (2, flat.size), flat.dtype)

    def field(x):
        at = _at(params, unravel(x))
        return jax.vmap(
            lambda row: ravel_pytree(action.tangent(at, unravel_coefficients(algebra, row)))[0]
        )(basis)

    whole, parts = field(one + two), field(one) + field(two)
    scale = float(jnp.max(jnp.abs(whole), initial=0.0) + jnp.max(jnp.abs(parts), initial=0.0))
    if float(jnp.max(jnp.abs(whole - parts), initial=0.0)) > 1e-3 * scale:
        raise ValueError(
            "`action` is not linear in the parameters, so that there is no conserved "
            "theta^T A theta: take linear actions, as `Rescaling` or `GeneralLinear`."
        )
