"""Ensembles of chains, from the host: progress, chunks, errors."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from .._arguments import as_key
from ..quotient import Quotient, fix_gauge
from ._checks import function, scalar
from ._engine import (
    check_lengths,
    drive,
    finite_chains,
    identity,
    initial,
    observer,
    recorded,
    schedule,
    source,
)
from ._ensemble import DIVERGED, OK, Ensemble, SimulationError
from ._integrate import SMALL_STATE, choose_solver, stretch
from ._path import chain_keys
from ._regauge import check_keeps_slice
from ._sde import AbstractSampledSDE, AbstractSDE
from ._threefry import fastest


class _Plan(eqx.Module):
    """What is fixed while a chunk compiles."""

    steps: int = eqx.field(static=True)
    records: int = eqx.field(static=True)
    axis: int = eqx.field(static=True)
    solver: diffrax.AbstractSolver
    regauge: Quotient | None


@eqx.filter_jit
def _chunk(sde, y, still, keys, start, dt, observe, plan: _Plan, records: Array):
    """`plan.records` times `plan.steps` steps; the observable after each, chains first.

    `records` is the same number as an array: were it known to the compiler, a loop of one step
    would be inlined and rounded differently, and cuts of a run would not be exact.
    """
    q = plan.regauge
    move = None if q is None else (lambda p: fix_gauge(q, p))

    def advance(y, i):
        return stretch(
            sde,
            y,
            still,
            keys,
            start + i * plan.steps,
            dt,
            steps=plan.steps,
            axis=plan.axis,
            solver=plan.solver,
            regauge=move,
            adjoint=diffrax.ForwardMode(),
            max_steps=None,
        )

    see = observer(observe, still, plan.axis)
    y, seen = recorded(advance, see, y, plan.records, records)
    return y, seen, finite_chains(y, plan.axis)


def simulate(
    sde: AbstractSDE,
    init: PyTree | Callable,
    *,
    key,
    steps: int,
    dt: ArrayLike,
    chains: int | None = None,
    observe: Callable | None = None,
    burn_in: int = 0,
    every: int | None = None,
    batched: bool = False,
    start: int = 0,
    regauge: Quotient | None = None,
    solver: diffrax.AbstractSolver | None = None,
    stepsize_controller: Any = None,
    progress: Callable[[float], None] | None = None,
    throw: bool = True,
) -> Ensemble:
    """Many chains of a process, with one observable recorded on the way.

    Noise is keyed by chain and step number: it does not depend on the number of chains, on where
    the run is cut, or on when observables are taken.

    **Arguments:**

    - `sde`: the process, an [`gaugebias.dynamics.AbstractSDE`][].
    - `init`: the start: one point for all chains, a function of a key (one key a chain), or with
        `batched=True` a pytree with a leading chain axis on its moving leaves.
    - `key`: a `jax.random` key.
    - `steps`: number of steps in all, burn-in included. `dt`: step size, in units of time.
    - `chains`: number of chains (default 1024, or the batch's).
    - `observe`: `params -> pytree of arrays`, default the parameters themselves (what is no array
        is left out).
    - `burn_in`: steps before anything is recorded. `every`: record after each `every` further
        steps; by default once, at the end.
    - `start`: number of the first step: `simulate(..., init=ens.final, batched=True, start=n)`
        goes on bit for bit as one run would have.
    - `regauge`: a [`gaugebias.Quotient`][]: return to its slice by a group element after each
        step. Only for processes that keep the slice (measured, and refused otherwise): plain Euler
        steps leave it by `O(sqrt(T dt))`, and hop over strata that the process cannot cross.
    - `solver`: `diffrax.Euler()` for Ito and `diffrax.EulerHeun()` for Stratonovich equations;
        chosen from the calculus by default, and refused where it is of the other kind.
    - `stepsize_controller`: only fixed steps are possible over this noise; anything adaptive is
        refused.
    - `progress`: called with the fraction done, after each chunk.
    - `throw`: raise where chains failed; with `False` their codes are in `results`.

    **Returns:** an [`gaugebias.dynamics.Ensemble`][].

    **Raises:** `ValueError` for bad arguments; [`gaugebias.dynamics.SimulationError`][] where
    chains diverged: how many, by when, and what to lower. Its `.ensemble` holds all that was
    computed.

    !!! example

        ```python
        import jax, jax.numpy as jnp
        import gaugebias as gb

        sde = gb.dynamics.Langevin(lambda x: 0.5 * x**2, temperature=0.1)
        key = jax.random.key(0)
        ens = gb.simulate(sde, jnp.array(0.0), key=key, chains=256, steps=500, dt=0.01)
        ens.values.shape       # (256, 1)
        ```
    """
    if not isinstance(sde, AbstractSDE):
        raise ValueError(
            "`sde` must be a process of `gaugebias.dynamics`, such as `Langevin(loss, T)` or "
            "`SDE(drift, diffusion, calculus=...)`."
        )
    fixed = (diffrax.StepTo, diffrax.ConstantStepSize)
    if stepsize_controller is not None and not isinstance(stepsize_controller, fixed):
        raise ValueError(
            f"`stepsize_controller` {type(stepsize_controller).__name__} is adaptive, which is "
            "silently wrong over noise keyed by step number: leave it out and lower `dt`, or "
            "integrate with diffrax and `VirtualBrownianTree` yourself."
        )
    steps, burn_in, every, start = check_lengths(steps, burn_in, every, start)
    dt = scalar(dt, "dt", positive=True, fix="it is the step size.")
    key = as_key(key)
    solver = choose_solver(sde, solver)
    observe = identity if observe is None else function(observe, "observe", "params -> arrays")
    if not isinstance(regauge, Quotient | None):
        raise ValueError("`regauge` must be a `gaugebias.Quotient`, or `None`.")
    y, still, chains = initial(init, key, chains, batched)
    if not all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(y)):
        raise ValueError("`init` holds values that are not finite.")
    point = eqx.combine(jax.tree.map(lambda x: x[0], y), still)
    if isinstance(sde, AbstractSampledSDE):
        sde.check_start(point)
    if regauge is not None:
        check_keeps_slice(sde, regauge, point)

    size = sum(x.size for x in jax.tree.leaves(y)) // chains
    axis = -1 if size <= SMALL_STATE else 0
    y = jax.tree.map(lambda x: jnp.moveaxis(x, 0, axis), y)
    keys = fastest(chain_keys(key, chains))

    def chunk(y, now, length, records):
        plan = _Plan(length, records, axis, solver, regauge)
        number = jnp.asarray(records, jnp.int32)
        try:
            out = _chunk(sde, y, still, keys, now, dt, observe, plan, number)
        except (KeyError, AttributeError, IndexError) as error:
            raise ValueError(
                f"`init` lacks what the process or `observe` reads ({type(error).__name__}: "
                f"{error}): give parameters of the structure that they were written for."
            ) from error
        if not jax.tree.leaves(out[1]):
            raise ValueError("`observe` returns no array: let it return what is to be recorded.")
        return out

    y, values, recorded_at, failed_by = drive(
        chunk, y, schedule(steps, burn_in, every), chains, start, progress
    )
    ensemble = Ensemble(
        values=values,
        steps=recorded_at,
        results=np.where(failed_by < 0, OK, DIVERGED),
        failed_by=failed_by,
        final=eqx.combine(jax.tree.map(lambda x: np.asarray(jnp.moveaxis(x, axis, 0)), y), still),
        key_data=np.asarray(jax.random.key_data(key)),
        settings={
            "process": type(sde).__qualname__,
            "calculus": sde.calculus,
            "functions": {
                name: source(value)
                for name, value in [*vars(sde).items(), ("observe", observe)]
                if callable(value)
            },
            "chains": chains,
            "steps": steps,
            "start": start,
            "dt": float(dt),
            "burn_in": burn_in,
            "every": every,
            "regauged": regauge is not None,
            "solver": type(solver).__name__,
        },
    )
    if throw and not ensemble.successful.all():
        raise SimulationError(_diverged(ensemble, float(dt)), ensemble)
    return ensemble


def _diverged(ensemble: Ensemble, dt: float) -> str:
    bad = ensemble.failed_by[~ensemble.successful]
    total = ensemble.chains
    return (
        f"{bad.size} of {total} chains diverged (the first by step {bad.min()}, half of them by "
        f"step {int(np.median(bad))}): lower `dt` (now {dt:g}), for instance to {dt / 4:g}, or the "
        "temperature; pass `throw=False` to keep the chains that did not."
    )
