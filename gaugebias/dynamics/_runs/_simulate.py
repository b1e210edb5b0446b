"""Ensembles of chains, from the host: progress, chunks, errors."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, PyTree

from ..._arguments import as_key
from ...quotient import Quotient
from .._checks import check_wide, flag, function, scalar
from .._processes._sde import AbstractSampledSDE, AbstractSDE
from . import _stopping as stopping
from ._additive import check_additive
from ._before import check_run_fits, check_starts_fit, first_states, ranks_of, shapes_seen
from ._checkpoint import Checkpoint, Keeper, as_checkpoint, share_of
from ._devices import Layout, padding_message
from ._engine import (
    check_lengths,
    how_many,
    identity,
    initial,
    laid_out,
    loose_schedule,
    source,
)
from ._ensemble import Ensemble, SimulationError
from ._failures import failure_message
from ._fingerprint import fingerprint
from ._inside import as_inside
from ._integrate import LONGEST_STRETCH, choose_solver
from ._large_products import makes_large_products
from ._path import chain_keys
from ._program import Numbers, Plan, Watch, one_step, run_chunk
from ._progress import Position, beginning, drive
from ._reductions import Autocorrelation, as_reductions
from ._regauge import check_keeps_slice
from ._threefry import fastest
from ._together import agree, collected, reporting

_CHUNKS, _MANY_CHUNKS = 16, 64  # what a run is cut into; more where it is written or may stop


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
    until_ess: float | None = None,
    checkpoint: Any = None,
    devices: Any = None,
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
    - `key`: a `jax.random` key, best of threefry, which is the default. Of other generators (as
        `jax.random.key(0, impl="rbg")`) jax makes the numbers of all chains from the first one's
        key: chains are independent, but their numbers hang on the layout over devices.
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
    - `until_ess`: stop as soon as every entry of the observable has this effective sample size
        over all chains; `steps` is then the limit. It is looked at each time that the draws have
        grown by a quarter, and what was reached is in `reductions["until_ess"]`; a warning says
        so where the limit came first. Stopping on the effective sample size is not stopping on
        the mean: the rule looks at how draws of a chain resemble each other, not at where they
        are, and to first order leaves the mean unbiased and its intervals at their level. It does
        not judge the start: `burn_in` does. Chains that do not mix count as one draw each at most.
    - `checkpoint`: a folder, or a [`gaugebias.dynamics.Checkpoint`][]. What is known is written
        there every minute, whole or not at all; the same call after the process was killed goes
        on from there and ends bit for bit as one that was not. A finished run is read back. A
        checkpoint of another run is refused, saying what differs.
    - `devices`: how many devices to spread the chains over, a list of them, or a
        `jax.sharding.Mesh` of one axis. Nothing is exchanged between them. The noise is the same
        bits on any number of devices; states are so on CPUs with a multiple of 64 chains a device,
        and agree to rounding else. With those of several processes
        ([`gaugebias.distributed.initialize`][]) each simulates the chains of its own devices and
        all get the whole ensemble; all of them make the same call. `checkpoint` then holds a folder
        a process, and their number must stay.
    - `start`: number of the first step: `simulate(..., init=ens.final, batched=True, start=n)`
        goes on bit for bit as one run would have.
    - `regauge`: a `gaugebias.Quotient`: return to its slice by a group element after each
        step. Only for processes that keep the slice (measured, and refused otherwise): plain Euler
        steps leave it by `O(sqrt(T dt))`, and hop over strata that the process cannot cross.
    - `solver`: `diffrax.Euler()` for Ito and `diffrax.EulerHeun()` for Stratonovich equations;
        chosen from the calculus by default, and refused where it is of the other kind. For
        additive noise (as of [`gaugebias.dynamics.Langevin`][]) also `diffrax.Heun()`, in either
        calculus: two drifts a step and weak order two (measured: 2.0 on a linear equation, where
        Euler has 1.0), on the same noise as Euler's. Refused where the diffusion reads the
        parameters.
    - `stepsize_controller`: only fixed steps are possible over this noise; others are refused.
    - `progress`: called with the fraction done, after each chunk.
    - `throw`: raise where chains failed; with `False` their codes are in `results`.

    **Returns:** an [`gaugebias.dynamics.Ensemble`][].

    **Raises:** `ValueError` for bad arguments; [`gaugebias.distributed.ProcessLost`][] where
    another process of the run is lost; [`gaugebias.dynamics.SimulationError`][] where chains
    failed: how many, how, by when, and what to lower; its `.ensemble` holds all that was computed.
    Chains fail by themselves, the rest goes on: they diverge, leave `domain`, or reach a singular
    orbit Gram of `ProjectedLangevin` or `regauge` (looked at where the run is cut).

    !!! example

        ```python
        import jax, jax.numpy as jnp
        import gaugebias as gb

        sde = gb.dynamics.Langevin(lambda x: 0.5 * x**2, temperature=0.1)
        key = jax.random.key(0)
        ens = gb.simulate(sde, jnp.array(0.0), key=key, chains=256, steps=500, dt=0.01)
        ```
    """
    if not isinstance(sde, AbstractSDE):
        raise ValueError(
            "`sde` must be a process of `gaugebias.dynamics`, such as `Langevin(loss, T)` or "
            "`SDE(drift, diffusion, calculus=...)`."
        )
    if isinstance(stepsize_controller, diffrax.StepTo):
        raise ValueError(
            "`stepsize_controller` StepTo has times of its own, but steps are `dt` long, each of "
            "them: leave it out."
        )
    if not isinstance(stepsize_controller, diffrax.ConstantStepSize | None):
        raise ValueError(
            f"`stepsize_controller` {type(stepsize_controller).__name__} is adaptive, which is "
            "silently wrong over noise keyed by step number: leave it out and lower `dt`, or "
            "integrate with diffrax and `VirtualBrownianTree` yourself."
        )
    reductions = {} if reduce is None else as_reductions(reduce)
    every = 1 if every is None and reduce is not None else every
    steps, burn_in, every, start = check_lengths(steps, burn_in, every, start)
    if every is not None and every > LONGEST_STRETCH:
        raise ValueError(f"`every` must be below 2^24, but is {every}: record more often.")
    target = None if until_ess is None else stopping.as_target(until_ess)
    if target is not None:
        if every is None:
            raise ValueError("`until_ess` needs draws on the way: give `every`.")
        if stopping.NAME in reductions:
            raise ValueError(f"`reduce`: {stopping.NAME!r} is the name of what `until_ess` takes.")
    batched, throw = flag(batched, "batched"), flag(throw, "throw")
    if progress is not None:
        progress = function(progress, "progress", "fraction -> None")
    dt = scalar(dt, "dt", positive=True, fix="it is the step size.")
    key = as_key(key)
    solver = choose_solver(sde, solver)
    observe = identity if observe is None else function(observe, "observe", "params -> arrays")
    inside = as_inside(domain)
    saved = None if checkpoint is None else as_checkpoint(checkpoint)
    if not isinstance(regauge, Quotient | None):
        raise ValueError("`regauge` must be a `gaugebias.Quotient`, or `None`.")
    chains = how_many(init, chains, batched)
    layout = Layout(devices, chains)
    check_starts_fit(init, key, batched, layout)
    y, still, here = initial(init, key, chains, batched, layout.rows)
    check_wide(y, "init")
    if not all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(y)):
        raise ValueError("`init` holds values that are not finite.")
    dtype = jnp.result_type(*jax.tree.leaves(y))
    if not 0 < float(dt.astype(dtype)) < float("inf"):
        raise ValueError(f"`dt` is {float(dt):g}, which {dtype} cannot hold: start in float64.")
    point = eqx.combine(jax.tree.map(lambda x: x[0], y), still)
    check_additive(sde, solver, point)
    if isinstance(sde, AbstractSampledSDE):
        sde.check_start(point)
    if regauge is not None:
        check_keeps_slice(sde, regauge, point)
    if layout.padding:
        warnings.warn(padding_message(layout), UserWarning, stacklevel=2)

    y, axis = laid_out(y, here)
    keys = fastest(chain_keys(key, here, layout.first))
    sde, still, size_of_step = layout.everywhere((sde, still, dt))
    last_only = bool(reductions)
    if target is not None:
        reductions = reductions | {stopping.NAME: Autocorrelation()}
    watch = Watch(observe, reductions, inside)
    plan = loose_schedule(steps, burn_in, every, _pieces(steps, target, saved))
    most = 1 if last_only else max(records for _, records, _ in plan)
    fixed = Plan(1, most, axis, solver, regauge, layout)
    seen = shapes_seen(watch, y, still, axis)
    check_run_fits(sde, point, watch, seen, fixed, 1 if last_only else _draws(plan))
    y, keys = layout.place(y, axis), layout.place(keys, 0)
    states, problem = first_states(watch, y, still, fixed)
    plans = {length: dataclasses.replace(fixed, steps=length) for length, _, _ in plan}
    ranks = ranks_of(sde, regauge, still, axis)
    dimensions = None if ranks is None else ranks(y)
    how = {
        "donate": saved is None and target is None,  # nobody looks back at what was before
        "large_products": makes_large_products(one_step, sde, point, dt, regauge, watch),
    }

    def chunk(position: Position, length: int, records: int, keep: bool):
        numbers = Numbers.of(start + position.steps, length, records, position.drawn, keep)
        here = plans[length]
        arguments = sde, position.y, position.states, still, keys, size_of_step
        y, states, seen, finite, left = run_chunk(*arguments, watch, here, numbers, **how)
        lost = np.zeros(layout.here, bool) if ranks is None else ranks(y) < dimensions
        seen = jax.tree.map(lambda x: np.asarray(x)[:records], seen) if keep else None
        return y, states, seen, np.asarray(finite), left if left is None else np.asarray(left), lost

    settings = {
        "process": type(sde).__qualname__,
        "calculus": sde.calculus,
        "functions": {
            name: source(value)
            for name, value in [*vars(sde).items(), ("observe", observe), ("domain", inside)]
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
        "devices": layout.devices,
        "processes": layout.processes,
    }
    if target is not None:
        settings["until_ess"] = target
    stop = stopping.Stop(target, plan, reductions, layout)
    total = sum(length * records for length, records, _ in plan)
    report = reporting(layout, progress, total)
    run = {"start": start, "last_only": last_only, "enough": stop.enough}
    same = dict(settings)
    same["random key"] = np.asarray(jax.random.key_data(key)).ravel().tolist()
    first = beginning(y, states, here)
    if saved is None:
        agree(layout, same, problem, 0)
        end = drive(chunk, first, plan, after=report, **run)
    else:
        identity_of_run = fingerprint(settings, sde, y, still, key, watch, fixed, plan)
        if layout.processes > 1:
            identity_of_run["process"] = jax.process_index()
            saved = share_of(saved, jax.process_index(), layout.processes)
        kept = [records for _, records, keep in plan if keep]

        def shapes(i):
            n = 1 if last_only else kept[i]
            return jax.tree.map(lambda s: np.zeros((n, *s.shape), s.dtype), seen)

        with Keeper(saved, identity_of_run, last_only) as keeper:
            first = keeper.restored(first, shapes)
            first = eqx.tree_at(
                lambda p: (p.y, p.states),
                first,
                (layout.place(first.y, axis), watch.placed(first.states, layout)),
            )

            # Some process has gone on from all looks before this one, so nothing was enough there.
            stop.past = agree(layout, same, problem, first.chunks)

            def after(position: Position) -> None:
                keeper.note(position)
                report(position)

            try:
                end = drive(chunk, first, plan, after=after, **run)
            finally:
                keeper.finish()

    fell_short = stop.fell_short(end)
    if fell_short is not None:
        warnings.warn(fell_short, RuntimeWarning, stacklevel=2)

    found = collected(layout, end, reductions, axis)
    ensemble = Ensemble(
        values=found.values,
        steps=np.asarray(end.at),
        results=found.results,
        failed_by=found.failed_by,
        final=eqx.combine(found.last, still),
        key_data=np.asarray(jax.random.key_data(key)),
        reductions=found.reductions,
        settings=settings,
    )
    if throw and not ensemble.successful.all():
        raise SimulationError(failure_message(ensemble, float(dt)), ensemble)
    return ensemble


def _pieces(steps: int, target: float | None, saved: Checkpoint | None) -> int:
    """Into how many chunks a run is cut."""
    pieces = _CHUNKS if target is None and saved is None else _MANY_CHUNKS
    if saved is not None and saved.steps is not None:
        pieces = max(pieces, min(-(-steps // saved.steps), 10 * _MANY_CHUNKS))
    return pieces


def _draws(plan: list[tuple[int, int, bool]]) -> int:
    return sum(records for _, records, keep in plan if keep)
