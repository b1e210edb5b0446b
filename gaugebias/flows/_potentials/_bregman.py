"""The point of a linear system that is nearest in Bregman divergence: a dual Newton method."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from ._certificate import RowSpace, check_point, check_system, row_lengths
from ._potential import AbstractPotential, AbstractSeparablePotential, as_float

_ARMIJO = 1e-4
_HALVINGS = 1000  # steps begin too long by 1/scale, which has the range of the dtype


@final
class BregmanSolution(eqx.Module):
    """What [`gaugebias.flows.minimise_bregman`][] found.

    - `x`: the minimiser, shape `(d,)`.
    - `dual`: `grad R(x)`, shape `(d,)`, kept from the method: more exact than the gradient at `x`.
    - `multipliers`: `nu` with `grad R(x) = grad R(start) + A^T nu`, shape `(n,)`.
    - `residual`: `|A x - b| / |b|` (over 1 where `b = 0`), each equation divided by the length of
        its row of `A`.
    - `steps`: Newton steps taken.
    - `converged`: whether `residual` is within `tolerance` and the dual point has settled.
    """

    x: Array
    dual: Array
    multipliers: Array
    residual: Array
    steps: Array
    converged: Array


@eqx.filter_jit
def _newton(potential, A, b, s0, multipliers, tolerance, max_steps) -> BregmanSolution:
    space = RowSpace(A)
    rows, kept = space.rows, space.kept
    target = space.target(b)
    length = jnp.linalg.norm(b / space.lengths)
    length = jnp.where(length > 0, length, 1.0)
    eps = jnp.finfo(A.dtype).eps

    def dual(eta):
        return s0 + rows.T @ eta

    def measure(eta):
        s = dual(eta)
        inside = jnp.all(potential.contains_dual(s))
        x = potential.from_dual(s)
        height, reward = potential.conjugate(s), jnp.sum(eta * target)
        gap = rows @ x - target
        fine = inside & jnp.isfinite(height) & jnp.all(jnp.isfinite(gap))
        size = jnp.abs(height) + jnp.abs(reward)
        return jnp.where(fine, height - reward, jnp.inf), gap, size

    def misfit(gap):
        return jnp.linalg.norm(space.s * gap) / length

    def step(state):
        eta, value, gap, size, count, _ = state
        hessian = potential.dual_gram(dual(eta), rows)
        scale = jnp.sqrt(jnp.where(kept, jnp.diagonal(hessian), 1.0))
        scale = jnp.where(scale > 0, scale, 1.0)
        hessian = jnp.where(kept[:, None] & kept[None, :], hessian, 0.0)
        hessian = hessian / scale[:, None] / scale[None, :]
        hessian = hessian + jnp.diag(jnp.where(kept, 4.0 * eps, 1.0))
        factor = jax.scipy.linalg.cho_factor(hessian)
        move = -jax.scipy.linalg.cho_solve(factor, gap / scale) / scale
        move = jnp.where(kept & jnp.isfinite(move), move, 0.0)
        slope = jnp.sum(move * gap)

        def worse(trial):
            t, new, *_ = trial
            allowed = value + _ARMIJO * t * slope + 64.0 * eps * size
            return ~(new <= allowed) & (t > 0.5**_HALVINGS)

        def halve(trial):
            t = 0.5 * trial[0]
            return (t, *measure(eta + t * move))

        two = 2.0 * jnp.ones((), A.dtype)
        start = (two, jnp.full((), jnp.inf, A.dtype), gap, size)
        t, new, new_gap, new_size = jax.lax.while_loop(worse, halve, start)
        # A step lost in rounding, or one that does not improve the fit any more: the end.
        better = jnp.isfinite(new) & (t > 0.5**_HALVINGS)
        stuck = ~better | ((misfit(gap) < 1e3 * tolerance) & (misfit(new_gap) >= misfit(gap)))
        best = jnp.where(stuck, eta, eta + t * move)
        state = jax.tree.map(
            lambda old, now: jnp.where(stuck, old, now),
            (value, gap, size),
            (new, new_gap, new_size),
        )
        return best, *state, count + 1, ~stuck

    def going(state):
        _, _, gap, _, count, moving = state
        return moving & (count < max_steps) & (misfit(gap) > 0.0)

    warm = jnp.where(kept, space.s * (space.u.T @ (space.lengths * multipliers)), 0.0)
    trials = jnp.stack([jnp.zeros_like(target), warm])
    states = (trials, *jax.lax.map(measure, trials))
    use = jnp.where(states[1][1] < states[1][0], 1, 0)
    first = jax.tree.map(lambda v: v[use], states)
    eta, _, gap, _, count, _ = jax.lax.while_loop(
        going, step, (*first, jnp.zeros((), int), jnp.ones((), bool))
    )
    s = dual(eta)
    # The last correction is made to x: where the potential is nearly flat, s has no digits for it.
    hessian = potential.dual_gram(s, rows) + jnp.diag(jnp.where(kept, 0.0, 1.0))
    change = jnp.linalg.solve(hessian, jnp.where(kept, gap, 0.0))
    x, tangent = jax.jvp(potential.from_dual, (s,), (-rows.T @ change,))
    corrected = x + tangent
    good = jnp.all(potential.contains(corrected)) & jnp.all(jnp.isfinite(corrected))
    good = good & (space.misfit(A, corrected, b) < space.misfit(A, x, b))
    x = jnp.where(good, corrected, x)
    residual = space.misfit(A, x, b)
    # Still moving: towards the boundary, or along directions in which the fit has no digits left.
    still = jnp.max(jnp.abs(rows.T @ change)) <= 1e-3 * (1.0 + jnp.max(jnp.abs(s)))
    converged = (residual <= tolerance) & still & jnp.all(potential.contains(x))
    return BregmanSolution(x, s, space.multipliers(eta), residual, count, converged)


def minimise_bregman(
    potential: AbstractPotential,
    A: ArrayLike,
    b: ArrayLike,
    *,
    start: ArrayLike | None = None,
    multipliers: ArrayLike | None = None,
    tolerance: ArrayLike = 1e-9,
    max_steps: int = 300,
    throw: bool = True,
) -> BregmanSolution:
    """The minimiser of `D_R(z, start)` subject to `A z = b`: where a mirror flow of `R` ends.

    Damped Newton's method on the concave dual in the `n` multipliers: `grad R(x)` is in
    `grad R(start) + range(A^T)` exactly, and the constraints are met in the limit, to rounding.
    A step costs `O(n^2 d)`; the rows of `A` are made orthonormal first and may be dependent and
    of any lengths. One compilation a shape; call it with `throw=False` within `jit` and `vmap`.

    **Arguments:**

    - `potential`: `R`.
    - `A`, `b`: shapes `(n, d)` and `(n,)`.
    - `start`: inside the domain, shape `(d,)`; by default the minimiser of `R` itself.
    - `multipliers`: shape `(n,)`, where to begin: those of a problem nearby save steps.
    - `tolerance`: on `residual`. The method goes on to rounding; this decides what counts
        as found. In float32 give 1e-4.
    - `max_steps`: of Newton.
    - `throw`: whether to raise where the tolerance is not met.

    **Returns:** a [`gaugebias.flows.BregmanSolution`][].

    **Raises:** `ValueError` where shapes do not fit, `start` is outside the domain, `b` is not in
    the range of `A`, no point of the domain meets the constraints, or the minimiser lies on the
    boundary of the domain.

    !!! example

        ```python
        A = jax.random.normal(jax.random.key(0), (10, 50))
        rich = gb.flows.kernel_rich(2, 1e-4)
        gb.flows.minimise_bregman(rich, A, A[:, 0]).x       # about the first unit vector
        ```
    """
    matrix, vector = check_system(A, b)
    if start is None:
        s0 = jnp.zeros(matrix.shape[1:], matrix.dtype)
        inside = potential.contains_dual(s0)
        if not isinstance(inside, Tracer) and not bool(jnp.all(inside)):
            raise ValueError("`start` is needed: this potential has no minimiser of its own.")
    else:
        s0 = potential.gradient(check_point(potential, start, "start", matrix))
        s0 = jnp.asarray(s0, matrix.dtype)
    if multipliers is None:
        first = jnp.zeros(vector.shape, matrix.dtype)
    else:
        first = jnp.asarray(as_float(multipliers), matrix.dtype)
        if first.shape != vector.shape:
            raise ValueError(
                f"`multipliers` must have shape {vector.shape}, but has {first.shape}."
            )
    if max_steps < 1:
        raise ValueError(f"`max_steps` must be at least 1, but is {max_steps}.")
    tolerance = jnp.asarray(tolerance, matrix.dtype)
    found = _newton(potential, matrix, vector, s0, first, tolerance, jnp.asarray(max_steps))
    if throw:
        if isinstance(found.converged, Tracer):
            raise ValueError("`throw` must be False within jit and vmap: read `converged`.")
        if not bool(found.converged):
            raise ValueError(_reason(potential, matrix, vector, found, max_steps))
    return found


def _reason(potential, A, b, found: BregmanSolution, max_steps: int) -> str:
    """Why a problem has no solution, or why it was not found."""
    lengths = np.asarray(row_lengths(A), float)
    a, c = np.asarray(A, float) / lengths[:, None], np.asarray(b, float) / lengths
    best = np.linalg.lstsq(a, c, rcond=None)[0]
    gap = np.linalg.norm(a @ best - c) / max(np.linalg.norm(c), 1e-300)
    if gap > 1e-8:
        return (
            "`b` is not in the range of `A`: the constraints are infeasible, the least "
            f"|A z - b|/|b| over all z is {gap:.2g}. Drop the rows that contradict others, or "
            "minimise a loss instead."
        )
    if isinstance(potential, AbstractSeparablePotential):
        margin = _margin(potential, a, c)
        if margin is not None and margin <= 1e-9:
            where = "only on its boundary" if margin > -1e-9 else "only outside of its closure"
            return (
                f"`A` z = `b` is infeasible inside the domain {potential.describe_domain()}: there "
                f"are solutions {where}. "
                "Take a parametrisation that reaches them, as `PowerDifference` or "
                "`SignedDifference`, which have both signs."
            )
        if not potential.legendre:
            return (
                "the minimiser lies on the boundary of the domain, where this potential has a "
                "finite slope: a flow reaches it and sticks, and no certificate holds. Take "
                "`SignedDifference` of the map, or a `start` nearer to the solutions."
            )
    return (
        f"`minimise_bregman` stopped at |A x - b|/|b| = {float(found.residual):.2g} after "
        f"{int(found.steps)} of {max_steps} steps: begin at the `multipliers` of a milder problem, "
        "raise `max_steps`, or accept more with `tolerance`."
    )


def _margin(potential: AbstractSeparablePotential, A: np.ndarray, b: np.ndarray) -> float | None:
    """The greatest distance to the walls of the domain (at most 1) of a solution of `A z = b`."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix, eye, hstack, vstack

    d = A.shape[1]
    low, high = (np.broadcast_to(np.asarray(e, float), (d,)) for e in potential.domain)
    walls, ends = [], []
    for sign, end in ((-1.0, -low), (1.0, high)):
        finite = np.isfinite(end)
        if finite.any():
            ones = csr_matrix(np.ones((int(finite.sum()), 1)))
            walls.append(hstack([sign * csr_matrix(eye(d))[finite], ones]))
            ends.append(end[finite])
    if not walls:
        return None
    done = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=vstack(walls),
        b_ub=np.concatenate(ends),
        A_eq=np.hstack([A, np.zeros((A.shape[0], 1))]),
        b_eq=b,
        bounds=[(None, None)] * d + [(None, 1.0)],
    )
    return float(done.x[-1]) if done.status == 0 else None
