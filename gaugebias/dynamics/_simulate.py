"""Ensembles of chains, from the host: progress, chunks, errors."""

import hashlib
import inspect
import math
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
from ._checks import count, function, scalar, strong
from ._ensemble import DIVERGED, OK, Ensemble, SimulationError
from ._fits import check_fits
from ._integrate import LONGEST_STRETCH, SMALL_STATE, choose_solver, stretch
from ._path import chain_keys
from ._regauge import check_keeps_slice
from ._sde import AbstractSDE
from ._threefry import fastest

_CHUNKS = 16  # chunks a run is cut into, for progress and early detection of divergence


def _identity(params: PyTree) -> PyTree:
    return params


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

    def see(y):
        def one(p):
            return eqx.filter(observe(eqx.combine(p, still)), eqx.is_array)

        return jax.vmap(one, in_axes=plan.axis, out_axes=0)(y)

    def record(i, carry):
        y, seen = carry
        y = advance(y, i)
        return y, jax.tree.map(lambda all_, x: all_.at[i].set(x), seen, see(y))

    empty = jax.tree.map(
        lambda s: jnp.zeros((plan.records, *s.shape), s.dtype), jax.eval_shape(see, y)
    )
    y, seen = jax.lax.fori_loop(0, records, record, (y, empty))
    finite = True
    for leaf in jax.tree.leaves(y):
        axes = tuple(i for i in range(leaf.ndim) if i != plan.axis % leaf.ndim)
        finite = finite & jnp.all(jnp.isfinite(leaf), axis=axes)
    return y, seen, finite


def _source(fn: Callable) -> dict[str, str]:
    """A function's qualified name and the hash of its source, for provenance."""
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    module = getattr(fn, "__module__", "?")
    try:
        text = inspect.getsource(fn if inspect.isroutine(fn) else type(fn))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    except (OSError, TypeError):
        digest = "unknown"
    return {"name": f"{module}.{name}", "sha256": digest}


def _initial(init, key, chains: int | None, batched: bool) -> tuple[PyTree, PyTree, int]:
    """Moving leaves with a leading chain axis, still leaves, number of chains."""
    if batched:
        moving, still = eqx.partition(init, eqx.is_inexact_array)
        sizes = {int(jnp.shape(x)[0]) if jnp.ndim(x) else -1 for x in jax.tree.leaves(moving)}
        if len(sizes) != 1 or -1 in sizes:
            raise ValueError(
                "`init` with `batched=True` needs a leading chain axis of one size on every moving "
                f"leaf, but the sizes are {sorted(sizes)} (-1: no axis)."
            )
        (size,) = sizes
        if chains is not None and chains != size:
            raise ValueError(
                f"`chains` is {chains}, but `init` holds a batch of {size}: leave `chains` out."
            )
        return jax.tree.map(strong, moving), still, size
    chains = count(chains if chains is not None else 1024, "chains", least=1)
    if callable(init) and not isinstance(init, eqx.Module):
        keys = chain_keys(jax.random.fold_in(as_key(key), 2**31 - 1), chains)
        first = init(keys[0])
        if not any(eqx.is_inexact_array(x) for x in jax.tree.leaves(first)):
            raise ValueError("`init` returns no floating leaf: nothing would move.")
        still = eqx.filter(first, eqx.is_inexact_array, inverse=True)
        moving = jax.vmap(lambda k: eqx.filter(init(k), eqx.is_inexact_array))(keys)
        return jax.tree.map(strong, moving), still, chains
    moving, still = eqx.partition(init, eqx.is_inexact_array)
    if not jax.tree.leaves(moving):
        raise ValueError("`init` has no floating leaf: nothing would move.")

    def repeat(x):
        x = strong(x)
        return jnp.broadcast_to(x[None], (chains, *x.shape))

    return jax.tree.map(repeat, moving), still, chains


def _divisor(total: int, most: int) -> int:
    """The largest divisor of `total` that is at most `most`."""
    most = max(1, min(total, most))
    for d in range(most, 0, -1):
        if total % d == 0:
            return d
    return 1


def _lengths(total: int) -> list[int]:
    """Chunk lengths of a stretch of `total` steps: equal ones, and one remainder if need be."""
    if total == 0:
        return []
    target = min(max(1, total // _CHUNKS), LONGEST_STRETCH)
    even = _divisor(total, target)
    if even * 8 >= target:
        return [even] * (total // even)
    whole, rest = divmod(total, target)
    return [target] * whole + ([rest] if rest else [])


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
    steps = count(steps, "steps", least=1)
    burn_in = count(burn_in, "burn_in", least=0)
    start = count(start, "start", least=0)
    dt = scalar(dt, "dt", positive=True, fix="it is the step size.")
    if burn_in >= steps:
        raise ValueError(f"`burn_in` ({burn_in}) must be below `steps` ({steps}).")
    if every is not None:
        every = count(every, "every", least=1)
        if every > steps - burn_in:
            raise ValueError(
                f"`every` ({every}) is more than the {steps - burn_in} steps after `burn_in`: "
                "nothing would be recorded."
            )
    if start + steps >= 2**31:
        raise ValueError("`steps` and `start` must stay below 2^31 together.")
    key = as_key(key)
    solver = choose_solver(sde, solver)
    observe = _identity if observe is None else function(observe, "observe", "params -> arrays")
    if not isinstance(regauge, Quotient | None):
        raise ValueError("`regauge` must be a `gaugebias.Quotient`, or `None`.")
    y, still, chains = _initial(init, key, chains, batched)
    if not all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(y)):
        raise ValueError("`init` holds values that are not finite.")
    point = eqx.combine(jax.tree.map(lambda x: x[0], y), still)
    check_fits(sde, observe, point)
    if regauge is not None:
        check_keeps_slice(sde, regauge, point)

    size = sum(x.size for x in jax.tree.leaves(y)) // chains
    axis = -1 if size <= SMALL_STATE else 0
    y = jax.tree.map(lambda x: jnp.moveaxis(x, 0, axis), y)
    keys = fastest(chain_keys(key, chains))

    schedule = _schedule(steps, burn_in, every)
    seen: list[PyTree] = []
    at, recorded = 0, []
    failed_by = np.full(chains, -1)
    for length, records, keep in schedule:
        plan = _Plan(length, records, axis, solver, regauge)
        now = jnp.asarray(start + at, jnp.int32)
        number = jnp.asarray(records, jnp.int32)
        y, values, finite = _chunk(sde, y, still, keys, now, dt, observe, plan, number)
        failed_by[(failed_by < 0) & ~np.asarray(finite)] = start + at + length * records
        if keep:
            seen.append(jax.tree.map(np.asarray, values))
            recorded.extend(start + at + length * (i + 1) for i in range(records))
        at += length * records
        if progress is not None:
            progress(at / steps)

    values = jax.tree.map(lambda *xs: np.moveaxis(np.concatenate(xs), 0, 1), *seen)
    ensemble = Ensemble(
        values=values,
        steps=np.asarray(recorded),
        results=np.where(failed_by < 0, OK, DIVERGED),
        failed_by=failed_by,
        final=eqx.combine(jax.tree.map(lambda x: np.asarray(jnp.moveaxis(x, axis, 0)), y), still),
        key_data=np.asarray(jax.random.key_data(key)),
        settings={
            "process": type(sde).__qualname__,
            "calculus": sde.calculus,
            "functions": {
                name: _source(value)
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


def _schedule(steps: int, burn_in: int, every: int | None) -> list[tuple[int, int, bool]]:
    """Chunks as (steps a record, records, kept), ending after the last record."""
    if every is None:
        lengths = _lengths(steps)
        return [(n, 1, i == len(lengths) - 1) for i, n in enumerate(lengths)]
    draws = (steps - burn_in) // every
    last = burn_in + draws * every
    tail = [(n, 1, False) for n in _lengths(steps - last)]
    if burn_in % every == 0:
        first = burn_in // every
        each = _divisor(math.gcd(first, draws), max(1, (first + draws) // _CHUNKS))
        head = [(every, each, False)] * (first // each)
    else:
        each = _divisor(draws, max(1, draws // _CHUNKS))
        head = [(n, 1, False) for n in _lengths(burn_in)]
    return head + [(every, each, True)] * (draws // each) + tail


def _diverged(ensemble: Ensemble, dt: float) -> str:
    bad = ensemble.failed_by[~ensemble.successful]
    total = ensemble.chains
    return (
        f"{bad.size} of {total} chains diverged (the first by step {bad.min()}, half of them by "
        f"step {int(np.median(bad))}): lower `dt` (now {dt:g}), for instance to {dt / 4:g}, or the "
        "temperature; pass `throw=False` to keep the chains that did not."
    )
