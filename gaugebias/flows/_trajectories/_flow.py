"""Gradient flow of `L(g(w))`, and natural gradient flow as its control."""

from collections.abc import Callable
from typing import Any, final

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from .._parametrisations._parametrisation import AbstractParametrisation
from .._potentials._potential import as_float
from ._losses import LinearModel


@final
class FlowPath(eqx.Module):
    """A trajectory of [`gaugebias.flows.gradient_flow`][] or its natural control.

    - `times`: shape `(T,)`. Where the flow stopped before, the state is that at `stopped`.
    - `params`: with a leading axis `T`; `x`, the predictors, likewise.
    - `loss`: `L(x)`, shape `(T,)`.
    - `decay`: the integral of the weight decay's rate up to each time, shape `(T,)`.
    - `stopped`: the time at which the gradient had fallen to `stop`, or the last of `times`.
    - `settled`: whether it had.
    """

    times: Array
    params: PyTree
    x: PyTree
    loss: Array
    decay: Array
    stopped: Array
    settled: Array

    @property
    def end(self) -> PyTree:
        """The last predictor."""
        return jax.tree.map(lambda v: v[-1], self.x)


def _check_times(times: ArrayLike) -> Array:
    grid = as_float(times)
    if grid.ndim == 0:
        grid = jnp.linspace(0.0, 1.0, 33, dtype=grid.dtype) * grid
    if grid.ndim != 1 or grid.size < 2:
        raise ValueError(f"`times` must be a time or an increasing vector, but is {times!r}.")
    if not isinstance(grid, Tracer):
        steps = np.diff(np.asarray(grid))
        if not (np.isfinite(steps).all() and (steps > 0).all()):
            raise ValueError("`times` must be finite and increasing, and a single time positive.")
    return grid


@eqx.filter_jit
def _solve(make, fn, loss, decay, penalty, start, times, stop, tolerance, solver, max_steps):
    def slope(params):
        gradient = jax.grad(loss)(fn(params))
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))

    field, least = make(fn, loss), stop * slope(start)
    shrink = jax.grad(_squares if penalty is None else penalty)

    def arrived(t, y, args, **kwargs):
        return slope(y[0]) <= least

    def velocity(t, y, args):
        params, _ = y
        move = jax.tree.map(jnp.negative, field(params))
        if decay is None:
            return move, jnp.zeros_like(t)
        rate = jnp.asarray(decay(t), t.dtype)
        return jax.tree.map(lambda m, p: m - rate * p, move, shrink(params)), rate

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        solver,
        t0=times[0],
        t1=times[-1],
        dt0=None,
        y0=(start, jnp.zeros((), times.dtype)),
        saveat=diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)]),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=1e-2 * tolerance),
        event=diffrax.Event(arrived),
        max_steps=max_steps,
        throw=False,
    )
    assert solution.ts is not None and solution.ys is not None
    stopped = solution.ts[1][-1]

    def filled(path, last):
        late = (times > stopped).reshape((-1,) + (1,) * (path.ndim - 1))
        return jnp.where(late, last[-1][None], path)

    params, integral = jax.tree.map(filled, solution.ys[0], solution.ys[1])
    x = jax.vmap(fn)(params)
    settled = diffrax.is_event(solution.result)
    complete = settled | (solution.result == diffrax.RESULTS.successful)
    path = FlowPath(times, params, x, jax.vmap(loss)(x), integral, stopped, settled)
    return path, complete


def _squares(params: PyTree) -> Array:
    return jnp.sum(jnp.stack([jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)]))


def _run(
    make, fn, loss, start, times, stop, tolerance, solver, max_steps, decay=None, penalty=None
):
    times = _check_times(times)
    start = jax.tree.map(as_float, start)
    times = jnp.asarray(times, jnp.result_type(*jax.tree.leaves(start)))
    stop, tolerance = jnp.asarray(stop, times.dtype), jnp.asarray(tolerance, times.dtype)
    solver = diffrax.Dopri8() if solver is None else solver
    path, complete = _solve(
        make, fn, loss, decay, penalty, start, times, stop, tolerance, solver, max_steps
    )
    if not isinstance(complete, Tracer) and not bool(complete):
        raise ValueError(
            f"the flow was cut off at time {float(path.stopped):g} after {max_steps} steps or by a "
            "value that is not finite: raise `max_steps`, give a stiff `solver` "
            "(`diffrax.Kvaerno5()`), or start inside the domain of the parametrisation. Weights of "
            "powers below 2 reach 0 in finite time, where their slope is singular."
        )
    return path


def _plain(fn: Callable, loss: Callable) -> Callable:
    return jax.grad(lambda params: loss(fn(params)))


def _natural(fn: Any, loss: Callable) -> Callable:
    def field(params):
        x, pull = jax.vjp(fn, params)
        return pull(jax.grad(loss)(x) / fn.gram(params))[0]

    return field


def _gauss_newton(fn: Any, loss: Any) -> Callable:
    # (A J)^+ (A x - y) = (V J)^+ (V x - S^-1 U^T y) for A = U S V, dependent rows included.
    u, s, rows = jnp.linalg.svd(loss.A, full_matrices=False)
    kept = s > jnp.finfo(s.dtype).eps * max(loss.A.shape) * jnp.max(s, initial=0.0)
    rows = jnp.where(kept[:, None], rows, 0.0)
    target = jnp.where(kept, (u.T @ loss.y) / jnp.where(kept, s, 1.0), 0.0)

    def field(params):
        x, pull = jax.vjp(fn, params)
        gram = (rows * fn.gram(params)[None, :]) @ rows.T + jnp.diag(jnp.where(kept, 0.0, 1.0))
        return pull(rows.T @ jnp.linalg.solve(gram, rows @ x - target))[0]

    return field


def gradient_flow(
    fn: Callable,
    loss: Callable,
    start: PyTree,
    times: ArrayLike,
    *,
    stop: ArrayLike = 0.0,
    decay: Callable | None = None,
    penalty: Callable | None = None,
    tolerance: ArrayLike = 1e-10,
    solver: diffrax.AbstractSolver | None = None,
    max_steps: int = 200_000,
) -> FlowPath:
    r"""\(\dot w = -\nabla_w L(g(w))\), integrated adaptively.

    **Arguments:**

    - `fn`: `g`, a parametrisation or any function of a pytree of arrays.
    - `loss`: `L`, a scalar function of the predictor, as [`gaugebias.flows.LinearModel`][].
    - `start`: the parameters at the first time.
    - `times`: where to save, increasing; a single number saves 33 times up to it.
    - `stop`: end where the gradient of `L` in the predictor has fallen to this part of its start.
    - `decay`: a rate `alpha(t)` of weight decay, the penalty `alpha(t) h(w)`; default none.
    - `penalty`: `h`, a scalar function of the parameters; default the sum of their squares.
    - `tolerance`: relative, of each step; a hundredth of it absolute. The certificate of the end
        is met to about ten times this.
    - `solver`: of diffrax, default `Dopri8()`.
    - `max_steps`: of the solver.

    **Returns:** a [`gaugebias.flows.FlowPath`][].

    **Raises:** `ValueError` for times out of order, and where the integration does not arrive.

    !!! example

        ```python
        model = gb.flows.LinearModel(A, y)
        rho = gb.flows.PowerDifference(2)
        path = gb.flows.gradient_flow(rho, model, rho.lift(jnp.zeros(5), 0.1), 1e3, stop=1e-10)
        ```
    """

    if penalty is not None and decay is None:
        raise ValueError("`penalty` needs a rate: give `decay`, a function of time.")
    return _run(_plain, fn, loss, start, times, stop, tolerance, solver, max_steps, decay, penalty)


def natural_gradient_flow(
    fn: Callable,
    loss: Callable,
    start: PyTree,
    times: ArrayLike,
    *,
    metric: str = "predictor",
    stop: ArrayLike = 0.0,
    tolerance: ArrayLike = 1e-10,
    solver: diffrax.AbstractSolver | None = None,
    max_steps: int = 200_000,
) -> FlowPath:
    r"""Natural gradient flow: the control in which the parametrisation does not matter.

    - `metric="predictor"`: the Fisher metric is one on predictors, the identity in `x` (that of a
      linear model whose inputs have unit covariance). Then
      \(\dot w = -J^T (J J^T)^{-1} \nabla L\), so that \(\dot x = -\nabla L(x)\) whatever the
      parametrisation: every one of them ends at the same point, the Euclidean projection of the
      start, and the bias of the parametrisation vanishes.
    - `metric="data"`: the Fisher matrix of the `n < d` training inputs themselves, which is
      singular, with its pseudo-inverse. For the squared loss
      \(\dot x = -J J^T A^T (A J J^T A^T)^{-1} (A x - y)\): still a mirror flow, along the same
      range of \(A^T\), and it ends **where gradient flow ends**. The residuals fall at one rate,
      but a pseudo-inverse is not invariant, and the bias stays.

    **Arguments:** those of [`gaugebias.flows.gradient_flow`][]; `fn` is a parametrisation of the
    package; `metric="data"` needs a [`gaugebias.flows.LinearModel`][] with squared loss and
    identity link.

    Source: derived here.
    """
    if not isinstance(fn, AbstractParametrisation):
        raise ValueError("`fn` must be a parametrisation of `gaugebias.flows`, entry by entry.")
    if metric not in ("predictor", "data"):
        raise ValueError(f'`metric` must be "predictor" or "data", but is {metric!r}.')
    plain = isinstance(loss, LinearModel) and (loss.loss, loss.link) == ("squared", "identity")
    if metric == "data" and not plain:
        raise ValueError(
            '`metric="data"` needs `loss` to be a `LinearModel` with squared loss and identity '
            "link."
        )
    make = _natural if metric == "predictor" else _gauss_newton
    return _run(make, fn, loss, start, times, stop, tolerance, solver, max_steps)


@final
class Descent(eqx.Module):
    """`D_R(z, x(t))` along a path, from [`gaugebias.flows.divergence_along`][].

    - `values`: shape `(T,)`; `largest_rise`, the largest increase from one to the next, over the
        first value; `monotone`, whether that is within `tolerance`.
    """

    values: Array
    largest_rise: Array
    monotone: Array


def divergence_along(
    potential, path: Array, solution: ArrayLike, *, tolerance: ArrayLike = 1e-9
) -> Descent:
    r"""Whether the divergence to a solution `z` falls along a path of predictors.

    It does for a convex loss, and more generally wherever
    \((\sigma(a) - y)\,\sigma'(a)\,(a - \sigma^{-1}(y)) \ge 0\), as for any increasing link with
    squared loss (2308.04921). Gradient descent with large steps need not.

    **Arguments:** `potential`; `path`, shape `(T, d)`; `solution`, `z`, shape `(d,)`;
    `tolerance` of a rise, over the first value.
    """
    solution = as_float(solution)
    if path.ndim != 2 or path.shape[1:] != solution.shape:
        raise ValueError(
            f"`path` must have shape (times, {solution.size}), as `solution`, not {path.shape}."
        )
    values = jax.lax.map(lambda x: potential.bregman(solution, x), path)
    first = jnp.where(values[0] > 0, values[0], 1.0)
    rise = jnp.max(jnp.diff(values)) / first
    return Descent(values, rise, rise <= tolerance)
