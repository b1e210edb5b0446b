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
from ..quotient import Quotient
from ._checks import function, scalar
from ._engine import check_lengths, identity, initial, loose_schedule, observer, source
from ._ensemble import Ensemble, SimulationError
from ._failures import failure_message, orbit_ranks
from ._inside import as_inside, check_inside
from ._integrate import SMALL_STATE, choose_solver
from ._langevin import ProjectedLangevin
from ._path import chain_keys
from ._program import Numbers, Plan, Watch, first_look, run_chunk
from ._progress import Position, beginning, drive, gathered
from ._reductions import as_reductions, check_reductions, finish_reductions
from ._regauge import check_keeps_slice
from ._sde import AbstractSampledSDE, AbstractSDE
from ._threefry import fastest


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
    reduce: Any = None,
    domain: Any = None,
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
        steps; by default once, at the end, or with `reduce` after each step.
    - `reduce`: statistics of all draws, taken as they come: one of
        [`gaugebias.dynamics.Moments`][], [`gaugebias.dynamics.Histogram`][],
        [`gaugebias.dynamics.Quantiles`][], [`gaugebias.dynamics.Autocorrelation`][] and
        [`gaugebias.dynamics.Reduction`][], or a dictionary of them by name. The results are in
        `reductions`; `values` then holds the last draw only, and memory does not grow with
        `steps`.
    - `domain`: where the observable must stay, a [`gaugebias.quotient.Domain`][] or a function
        `observable -> bool` of one chain. It is looked at after every step; a chain that leaves
        gets a code and goes on.
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
    chains failed: how many, how, by when, and what to lower. Its `.ensemble` holds all that was
    computed. Chains fail by themselves, the rest goes on: they diverge, leave `domain`, or reach
    parameters where the orbit Gram of `ProjectedLangevin` or `regauge` is singular (looked at
    where the run is cut, some sixteen times).

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
    reductions = {} if reduce is None else as_reductions(reduce)
    every = 1 if every is None and reduce is not None else every
    steps, burn_in, every, start = check_lengths(steps, burn_in, every, start)
    dt = scalar(dt, "dt", positive=True, fix="it is the step size.")
    key = as_key(key)
    solver = choose_solver(sde, solver)
    observe = identity if observe is None else function(observe, "observe", "params -> arrays")
    inside = as_inside(domain)
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
    watch = Watch(observe, reductions, inside)
    states = _look(watch, y, still, axis)
    plan = loose_schedule(steps, burn_in, every)
    most = 1 if reductions else max(records for _, records, _ in plan)
    total = sum(length * records for length, records, _ in plan)
    ranks = _ranks(sde, regauge, still, axis)
    dimensions = None if ranks is None else ranks(y)

    def chunk(position: Position, length: int, records: int, keep: bool):
        numbers = Numbers(
            *(jnp.asarray(n, jnp.int32) for n in (start + position.steps, length, records)),
            jnp.asarray(position.drawn, jnp.int32),
            jnp.asarray(keep),
        )
        fixed = Plan(length, most, axis, solver, regauge)
        y, states, seen, finite, left = run_chunk(
            sde, position.y, position.states, still, keys, dt, watch, fixed, numbers
        )
        lost = np.zeros(chains, bool) if ranks is None else ranks(y) < dimensions
        seen = jax.tree.map(lambda x: np.asarray(x)[:records], seen) if keep else None
        return y, states, seen, np.asarray(finite), left if left is None else np.asarray(left), lost

    def after(position: Position, last: bool) -> bool:
        if progress is not None:
            progress(position.steps / total)
        return False

    end = drive(
        chunk,
        beginning(y, states, chains),
        plan,
        start=start,
        last_only=bool(reductions),
        after=after,
    )
    ensemble = Ensemble(
        values=gathered(end, chains),
        steps=np.asarray(end.at),
        results=end.results,
        failed_by=end.failed_by,
        final=eqx.combine(
            jax.tree.map(lambda x: np.asarray(jnp.moveaxis(x, axis, 0)), end.y), still
        ),
        key_data=np.asarray(jax.random.key_data(key)),
        reductions=finish_reductions(reductions, end.states, end.results == 0, end.drawn),
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
        raise SimulationError(failure_message(ensemble, float(dt)), ensemble)
    return ensemble


def _look(watch: Watch, y: PyTree, still: PyTree, axis: int) -> dict[str, PyTree]:
    """The reductions' first states; `ValueError` where the observable does not suit what is asked
    of it, or chains start outside the domain."""
    try:
        seen = jax.eval_shape(lambda y: observer(watch.observe, still, axis)(y), y)
    except (KeyError, AttributeError, IndexError) as error:
        raise ValueError(
            f"`init` lacks what the process or `observe` reads ({type(error).__name__}: "
            f"{error}): give parameters of the structure that they were written for."
        ) from error
    if not jax.tree.leaves(seen):
        raise ValueError("`observe` returns no array: let it return what is to be recorded.")
    if watch.inside is None and not watch.reductions:
        return {}
    check_reductions(watch.reductions, seen)
    if watch.inside is not None:
        check_inside(watch.inside, seen)
    outside, states = first_look(y, still, watch, axis)
    if outside is not None and bool(jnp.any(outside)):
        raise ValueError(
            f"`init`: {int(jnp.sum(outside))} of {outside.shape[0]} chains start outside `domain`: "
            "start inside."
        )
    return states


def _ranks(sde: AbstractSDE, regauge: Quotient | None, still: PyTree, axis: int) -> Callable | None:
    """The dimension of the chains' orbits where noise or gauge needs it, from their state."""
    if regauge is not None:
        action = regauge.action
    elif isinstance(sde, ProjectedLangevin):
        action = sde.action
    else:
        return None
    return lambda y: np.asarray(orbit_ranks(action, y, still, axis))
