"""Which symmetries an optimiser respects, and which conserved quantities it keeps: measured."""

from collections.abc import Callable, Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, algebra_dimension, generator_name
from ...symmetry._action import unravel_coefficients
from .._balance._balance import require_symmetric_algebra
from .._checks import count, evaluated, scalar
from .._processes._sde import moving

_STEPS = 4  # updates that are compared between a point and its image
_ELEMENTS = 3  # group elements


@final
class SymmetryRow(eqx.Module):
    """One optimiser's numbers. `nan` where the group has no directions of the kind.

    - `name`: of the optimiser.
    - `isometric`: `|g . step(theta) - step(g . theta)|` over the step's length, the largest over
        elements `g` of the group that act by isometries; `stretching`: the same for the others.
    - `drift`: change of the conserved quantities over the time of the run, over the most it could
        be along the path, at each learning rate; `order`: the power of the learning rate with
        which it vanishes (0: it stays).
    - `equivariant`, `keeps`: verdicts: equivariant under isometries; conserved at small steps.
    """

    name: str
    isometric: float
    stretching: float
    drift: np.ndarray
    order: float
    equivariant: bool | None
    keeps: bool | None


@final
class SymmetryReport(eqx.Module):
    """What `optimiser_symmetries` measured: `rows`, one for each optimiser, and the settings.

    - `isometries`, `charges`: the dimensions of the group's part that acts by isometries, and the
        number of independent conserved quantities `theta^T A theta`.
    - `learning_rates`: at which the drift was measured, over the same time `time`.
    """

    rows: tuple[SymmetryRow, ...]
    isometries: int
    charges: int
    learning_rates: np.ndarray
    time: float

    def table(self) -> str:
        """The report as text."""
        width = max(len("optimiser"), *(len(row.name) for row in self.rows))
        head = (
            f"{'optimiser':<{width}}  isometries: off by   others: off by  "
            f"moment maps: drift -> order  verdict"
        )
        lines = [head]
        for row in self.rows:
            words = {
                True: "equivariant",
                False: "not equivariant",
                None: "no isometries",
            }[row.equivariant]
            kept = {True: "keeps", False: "does not keep", None: "has no"}[row.keeps]
            lines.append(
                f"{row.name:<{width}}  {row.isometric:>18.1e}  {row.stretching:>15.1e}  "
                f"{row.drift[0]:>11.1e} {row.drift[-1]:>8.1e} {row.order:>5.2f}  "
                f"{words}, {kept} moment maps"
            )
        return "\n".join(lines)


def _split(action: AbstractAction, params: PyTree) -> tuple[Array, Array]:
    """Bases (rows) of the coefficients that act by isometries, and of those orthogonal to them.

    `<X_c(x), x> = 0` for all `x` where `c` is an isometry: the null space over random `x`.
    """
    k = algebra_dimension(action, params)
    flat, unravel = ravel_pytree(moving(params))
    still = eqx.filter(params, eqx.is_inexact_array, inverse=True)
    probes = jax.random.normal(jax.random.key(0), (k + 4, flat.size), flat.dtype)

    def charge(x):
        v = unravel(x)
        return ravel_pytree(action.cotangent(eqx.combine(v, still), v))[0]

    matrix = np.asarray(jax.vmap(charge)(probes), np.float64)
    _, s, rows = np.linalg.svd(matrix)
    rank = int(np.sum(s > 1e-4 * max(float(s.max(initial=0.0)), 1e-30)))
    return jnp.asarray(rows[rank:], flat.dtype), jnp.asarray(rows[:rank], flat.dtype)


class _Runner(eqx.Module):
    """Full-gradient training with an optimiser given as a function of its learning rate."""

    optimiser: Callable
    loss: Callable
    still: PyTree

    def update(self, rate: Array, point: PyTree, state: PyTree) -> tuple[PyTree, PyTree]:
        gradient = jax.grad(lambda p: self.loss(eqx.combine(p, self.still)))(point)
        changes, state = self.optimiser(rate).update(gradient, state, point)
        return jax.tree.map(lambda p, u: p + u.astype(p.dtype), point, changes), state

    def run(self, rate: Array, point: PyTree, steps: Any) -> PyTree:
        state = self.optimiser(rate).init(point)

        def step(_, y):
            return self.update(rate, *y)

        return jax.lax.fori_loop(0, steps, step, (point, state))[0]


@eqx.filter_jit
def _misfit(runner: _Runner, action: AbstractAction, point: PyTree, coeffs: PyTree, rate: Array):
    """`|g . step(theta) - step(g . theta)| / |step(theta) - theta|`."""

    def act(p):
        return moving(action.flow(eqx.combine(p, runner.still), coeffs))

    there = runner.run(rate, point, _STEPS)
    one, _ = ravel_pytree(act(there))
    two, _ = ravel_pytree(runner.run(rate, act(point), _STEPS))
    base, _ = ravel_pytree(act(point))
    return jnp.sqrt(jnp.sum((one - two) ** 2) / jnp.sum((one - base) ** 2))


@eqx.filter_jit
def _drift(runner: _Runner, action: AbstractAction, point: PyTree, steps: Array, rate: Array):
    """Change of all `theta^T A_a theta`, over the sum of what each step could have made of it."""

    def charge(p):
        return ravel_pytree(action.cotangent(eqx.combine(p, runner.still), p))[0]

    state = runner.optimiser(rate).init(point)
    first = charge(point)

    def step(_, y):
        point, state, most = y
        moved, state = runner.update(rate, point, state)
        change = jax.tree.map(jnp.subtract, moved, point)
        slopes = jax.jacrev(charge)(point)
        sizes = sum(
            jnp.sqrt(jnp.sum(g.reshape(first.size, -1) ** 2, axis=1) * jnp.sum(d**2))
            for g, d in zip(jax.tree.leaves(slopes), jax.tree.leaves(change), strict=True)
        )
        return moved, state, most + sizes

    end, _, most = jax.lax.fori_loop(0, steps, step, (point, state, jnp.zeros_like(first)))
    change = charge(end) - first
    return jnp.sqrt(jnp.sum(change**2) / jnp.sum(most**2))


def _check_invariant(loss: Callable, action: AbstractAction, params: PyTree) -> None:
    """`ValueError` where the loss changes along a generator at `params`."""
    point, still = eqx.partition(params, eqx.is_inexact_array)
    gradient = jax.grad(lambda p: loss(eqx.combine(p, still)))(point)
    along = np.asarray(ravel_pytree(action.cotangent(params, gradient))[0])
    sizes = (jnp.sqrt(jnp.sum(ravel_pytree(x)[0] ** 2)) for x in (gradient, point))
    scale = float(np.prod([float(x) for x in sizes]))
    worst = int(np.argmax(np.abs(along)))
    if abs(along[worst]) > float(jnp.finfo(along.dtype).eps) ** 0.5 * scale:
        raise ValueError(
            f"`loss` is not invariant under {generator_name(action, params, worst)} of `action` "
            f"(its slope is {abs(along[worst]) / scale:.1e} of its size): nothing is conserved. "
            "Leave terms that break the symmetry, as weight decay, to the optimiser."
        )


def optimiser_symmetries(
    optimisers: Any,
    loss: Callable,
    action,
    params: PyTree,
    *,
    learning_rate: float = 1e-2,
    steps: int = 100,
) -> SymmetryReport:
    """Which symmetries an optimiser is equivariant under, and which quantities it keeps.

    Both are measured on `loss` at `params`, with the full gradient and no table of optimisers:

    - Equivariance: a few updates from `g . theta` against `g` applied to those from `theta`, for
        random group elements, apart for those that act by isometries and for the others. Gradient
        descent, momentum and decoupled weight decay are equivariant under isometries; Adam, whose
        steps depend on the coordinates, is not. Nothing common is under the others.
    - Conserved quantities `theta^T A_a theta` (moment maps): gradient flow keeps them. Their drift
        over the same time `steps * learning_rate` at the learning rate, a quarter and a sixteenth
        of it: it vanishes with the step for gradient descent and momentum, and stays for Adam
        and weight decay.

    **Arguments:**

    - `optimisers`: a function of the learning rate, as `optax.sgd`, or a dictionary of them.
    - `loss`: `params -> scalar`, invariant under the action (checked at `params`).
    - `action`: a linear action whose algebra is closed under transpose. `params`: one concrete
        point, not a critical one.
    - `learning_rate`: the largest; `steps`: at that learning rate.

    **Returns:** a [`gaugebias.dynamics.SymmetryReport`][] with a `table()`.

    !!! example

        ```python
        import jax, jax.numpy as jnp, optax
        import gaugebias as gb

        act = gb.symmetry.GeneralLinear(lambda p: p[0], lambda p: p[1])
        u, v = jax.random.normal(jax.random.key(0), (2, 3, 2))
        loss = lambda p: jnp.sum((p[0] @ p[1].T - jnp.eye(3)) ** 2)
        report = gb.dynamics.optimiser_symmetries(
            {"sgd": optax.sgd, "adam": optax.adam}, loss, act, (u, v)
        )
        print(report.table())
        ```
    """
    if not isinstance(optimisers, Mapping):
        optimisers = {getattr(optimisers, "__name__", "optimiser"): optimisers}
    if not optimisers:
        raise ValueError("`optimisers` is empty: give at least one function of a learning rate.")
    for name, make in optimisers.items():
        if hasattr(make, "update") or not callable(make):
            raise ValueError(
                f"`optimisers` must be functions of the learning rate, as `optax.sgd`, but "
                f"{name!r} is {type(make).__name__}."
            )
    steps = count(steps, "steps", least=4)
    rate = scalar(learning_rate, "learning_rate", positive=True, fix="it is the largest step.")
    require_symmetric_algebra(action, params)
    shape = evaluated(lambda p: jnp.asarray(loss(p)), "loss", "loss(params)", params).shape
    if shape != ():
        raise ValueError(f"`loss` must return a scalar, but returns shape {shape}.")
    point, still = eqx.partition(params, eqx.is_inexact_array)
    size = jnp.max(jnp.abs(ravel_pytree(jax.grad(lambda p: loss(eqx.combine(p, still)))(point))[0]))
    if not (bool(jnp.isfinite(size)) and float(size) > 0):
        raise ValueError("`params` is a critical point of `loss`, or not finite: nothing moves.")
    _check_invariant(loss, action, params)
    isometric, stretching = _split(action, params)
    rates = [float(rate) / 4**i for i in range(3)]
    dtype = jnp.result_type(*jax.tree.leaves(point))
    rows = []
    for name, make in optimisers.items():
        runner = _Runner(make, loss, still)

        def misfit(basis, runner=runner):
            if basis.shape[0] == 0:
                return float("nan")
            weights = jax.random.normal(jax.random.key(1), (_ELEMENTS, basis.shape[0]), dtype)
            algebra = action.algebra(params)
            elements = 0.5 * weights @ basis / jnp.sqrt(jnp.asarray(basis.shape[0], dtype))
            one = jnp.asarray(rates[0], dtype)
            found = [
                _misfit(runner, action, point, unravel_coefficients(algebra, c), one)
                for c in elements
            ]
            return float(jnp.max(jnp.stack(found)))

        off, other = misfit(isometric), misfit(stretching)
        drift, order = np.full(3, np.nan), float("nan")
        if stretching.shape[0]:
            drift = np.array(
                [
                    float(
                        _drift(
                            runner,
                            action,
                            point,
                            jnp.asarray(steps * 4**i, jnp.int32),
                            jnp.asarray(r, dtype),
                        )
                    )
                    for i, r in enumerate(rates)
                ]
            )
            order = float(np.log(max(drift[1], 1e-300) / max(drift[2], 1e-300)) / np.log(4.0))
        rounding = float(jnp.finfo(dtype).eps) ** 0.5
        kept = bool(order > 0.5 or drift[2] < rounding)
        rows.append(
            SymmetryRow(
                name,
                off,
                other,
                drift,
                order,
                bool(off < rounding) if isometric.shape[0] else None,
                kept if stretching.shape[0] else None,
            )
        )
    return SymmetryReport(
        tuple(rows),
        int(isometric.shape[0]),
        int(stretching.shape[0]),
        np.asarray(rates),
        float(rate) * steps,
    )
