"""The discrete process: minibatch training with any optimiser, as an ensemble."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from ..._arguments import as_key
from .._checks import count, evaluated, flag, function, scalar
from .._processes._samples import PerSample, as_data
from .._runs._devices import Layout, padding_message
from .._runs._engine import (
    check_lengths,
    how_many,
    identity,
    initial,
    laid_out,
    loose_schedule,
    observer,
    source,
)
from .._runs._ensemble import Ensemble, SimulationError
from .._runs._large_products import makes_large_products
from .._runs._mixing import check_samples_apart
from .._runs._path import folded_keys
from .._runs._program import Numbers, Watch, first_look
from .._runs._progress import Position, beginning, drive
from .._runs._recipe import NOISES, Recipe, carried, check_moves
from .._runs._reductions import as_reductions, check_reductions
from .._runs._threefry import fastest
from .._runs._together import agree, collected, reporting
from ._program import Shape, first_carry, one_update, train_chunk


def train(
    per_sample_loss: Callable,
    init: PyTree | Callable,
    data: PyTree | Callable,
    *,
    optimiser: Any,
    batch_size: int = 32,
    key,
    steps: int,
    chains: int | None = None,
    learning_rates: ArrayLike | Sequence[float] | None = None,
    observe: Callable | None = None,
    burn_in: int = 0,
    every: int | None = None,
    reduce: Any = None,
    replacement: bool = True,
    noise: str = "minibatch",
    devices: Any = None,
    batched: bool = False,
    start: int = 0,
    carry: PyTree = None,
    chunk: int | None = None,
    vectorised: bool = False,
    progress: Callable[[float], None] | None = None,
    throw: bool = True,
) -> Ensemble:
    """Many runs of minibatch training, with one observable recorded on the way.

    The discrete process itself, one compiled loop over steps, all chains at once. Batches are
    keyed by chain and step number: they do not depend on the number of chains, on where the run is
    cut, or on when observables are taken.

    **Arguments:**

    - `per_sample_loss`: `(params, sample) -> scalar`, or with `vectorised`
        `(params, batch) -> (b,)`; see [`gaugebias.dynamics.MinibatchSDE`][].
    - `init`: the start: one point for all chains, a function of a key (one key a chain), or with
        `batched=True` a pytree with a leading chain axis on its moving leaves.
    - `data`: pytree of arrays with a leading sample axis; or a function of a key that draws one
        fresh sample, for which there is no data set to repeat.
    - `optimiser`: an `optax.GradientTransformation`; momentum, Adam, weight decay and schedules
        work. With `learning_rates` a function of the learning rate, as `optax.sgd` itself.
    - `batch_size`: samples a step, 1 to the number of samples.
    - `key`: a `jax.random` key. `steps`: number of steps in all, burn-in included.
    - `chains`: number of chains (default 64, or the batch's), for each learning rate.
    - `learning_rates`: shape `(r,)`. The chain axis of the result then has `r * chains` entries,
        rate after rate; chain `c` sees the same batches at every rate.
    - `observe`, `burn_in`, `every`, `reduce`, `batched`, `start`, `progress`, `throw`: as in
        `gaugebias.simulate`. With `learning_rates` the statistics of `reduce` are over the
        chains of all rates together; for each rate apart, train once a rate.
    - `replacement`: draw each batch with replacement; without, a batch has no sample twice (batches
        of different steps are independent either way).
    - `noise`: `"minibatch"`; or a control, all with the optimiser and learning rate as they are:
        `"gaussian"`, the full gradient with Gaussian noise of the minibatches' covariance;
        `"isotropic"`, the same with isotropic noise of the same trace; `"full"`, no noise.
    - `devices`: how many devices to spread the chains (of all learning rates) over, a list of them,
        or a mesh, of one process or several, as in `gaugebias.simulate`. Each device holds the data
        and nothing passes between them. Batches are the same bits on any number of devices. On
        CPUs parameters are the same bits in processes of one device each with a multiple of 64
        chains, and agree to rounding on several devices of a process.
    - `carry`: the optimisers' states to start from, as in an earlier result's `carry`:
        `train(..., ens.final, batched=True, start=n, carry=ens.carry)` goes on bit for bit.
    - `chunk`: samples processed at once where all of them are needed (the controls).

    **Returns:** an [`gaugebias.dynamics.Ensemble`][]; `settings["learning_rates"]` has the rate of
    each chain where `learning_rates` were given.

    **Raises:** `ValueError` for bad arguments, among them a batch larger than the data, a loss that
    mixes samples and an optimiser that moves nothing; [`gaugebias.distributed.ProcessLost`][] where
    another process of the run is lost; [`gaugebias.dynamics.SimulationError`][]
    where chains diverged, with all that was computed in its `.ensemble`.

    !!! example

        ```python
        import jax, jax.numpy as jnp, optax
        import gaugebias as gb

        x = jax.random.normal(jax.random.key(0), (64,))

        def loss(w, sample):
            x, y = sample
            return 0.5 * (w * x - y) ** 2

        run = gb.train(
            loss, jnp.array(0.0), (x, 2.0 * x), optimiser=optax.sgd(0.1), batch_size=8,
            key=jax.random.key(1), chains=16, steps=200,
        )
        run.values.shape       # (16, 1)
        ```
    """
    if noise not in NOISES:
        raise ValueError(
            f"`noise` must be one of {', '.join(map(repr, NOISES))}, but is {noise!r}."
        )
    batch_size = count(batch_size, "batch_size", least=1)
    draw, data = _as_source(data, batch_size, noise)
    samples = PerSample(per_sample_loss, data, chunk, vectorised)
    replacement = flag(replacement, "replacement")
    rates = _as_rates(learning_rates, optimiser)
    recipe = Recipe(
        samples, draw, optimiser, batch_size, replacement, noise, learning_rates is not None
    )
    reductions = {} if reduce is None else as_reductions(reduce)
    every = 1 if every is None and reduce is not None else every
    steps, burn_in, every, start = check_lengths(steps, burn_in, every, start)
    key = as_key(key)
    observe = identity if observe is None else function(observe, "observe", "params -> arrays")
    chains = 64 if chains is None and not batched else chains
    total, chains = _counts(init, chains, batched, rates.shape[0])
    layout = Layout(devices, total)
    rows = np.arange(total) if layout.rows is None else layout.rows
    y, still = _starts(init, key, chains, batched, rates.shape[0], layout.rows)
    if not all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(y)):
        raise ValueError("`init` holds values that are not finite.")
    first = jax.tree.map(lambda x: x[0], y)
    point = eqx.combine(first, still)
    if draw is None:
        check_samples_apart(samples, point)
    else:
        samples.check(point)
    seen = jax.tree.leaves(evaluated(observe, "observe", "observe(params)", point))
    if not any(isinstance(x, jax.ShapeDtypeStruct) for x in seen):
        raise ValueError("`observe` returns no array: let it return what is to be recorded.")
    check_moves(recipe, first, rates[0], start + steps)
    if layout.padding:
        warnings.warn(padding_message(layout), UserWarning, stacklevel=2)

    y, axis = laid_out(y, layout.here)
    y = layout.place(y, axis)
    keys = layout.place(fastest(folded_keys(key, jnp.asarray(rows % chains))), 0)
    rate_of = layout.place(jnp.asarray(np.asarray(rates)[rows // chains]), 0)
    recipe, still = layout.everywhere((recipe, still))
    if carry is None:
        state = first_carry(recipe, y, rate_of, axis)
    else:
        state = carried(carry, recipe, first, rates[0], total, rows, axis)
    state = layout.place(state, axis)

    watch = Watch(observe, reductions, None)
    shapes = jax.eval_shape(lambda y: observer(observe, still, axis)(y), y)
    check_reductions(reductions, shapes)
    states = first_look(y, still, watch, axis, layout)[1] if reductions else {}
    plan = loose_schedule(steps, burn_in, every)
    shape = Shape(1 if reductions else max(records for _, records, _ in plan), axis, layout)
    large = makes_large_products(one_update, recipe, point, fastest(key), observe)

    none = np.zeros(layout.here, bool)  # no chain meets a singular orbit here

    def run(position: Position, length: int, records: int, keep: bool):
        numbers = Numbers.of(start + position.steps, length, records, position.drawn, keep)
        arguments = recipe, position.y, position.states, still, keys, rate_of, watch, shape, numbers
        y, states, seen, finite = train_chunk(*arguments, donate=True, large_products=large)
        seen = jax.tree.map(lambda x: np.asarray(x)[:records], seen) if keep else None
        return y, states, seen, np.asarray(finite), None, none

    settings = {
        "process": "train",
        "functions": {
            name: source(value)
            for name, value in (("per_sample_loss", per_sample_loss), ("observe", observe))
        },
        "samples": samples.size if draw is None else None,
        "batch_size": batch_size,
        "replacement": replacement,
        "noise": noise,
        "learning_rates": np.repeat(np.asarray(rates), chains).tolist() if recipe.scanned else None,
        "chains": total,
        "steps": steps,
        "start": start,
        "burn_in": burn_in,
        "every": every,
        "devices": layout.devices,
        "processes": layout.processes,
    }
    same = dict(settings)
    same["random key"] = np.asarray(jr.key_data(key)).ravel().tolist()
    agree(layout, same, None, 0)
    end = drive(
        run,
        beginning((y, state), states, layout.here),
        plan,
        start=start,
        last_only=bool(reductions),
        after=reporting(layout, progress, steps),
        enough=lambda position: False,
    )
    found = collected(layout, end, reductions, axis)
    moved, state = found.last
    ensemble = Ensemble(
        values=found.values,
        steps=np.asarray(end.at),
        results=found.results,
        failed_by=found.failed_by,
        final=eqx.combine(moved, still),
        key_data=np.asarray(jr.key_data(key)),
        settings=settings,
        carry=state,
        reductions=found.reductions,
    )
    if throw and not ensemble.successful.all():
        raise SimulationError(_diverged(ensemble), ensemble)
    return ensemble


def _as_source(data, batch_size: int, noise: str) -> tuple[Callable | None, PyTree]:
    """A function that draws fresh samples, and one sample of it; or `None` and the data set."""
    if not callable(data):
        return None, as_data(data, batch_size)[0]
    if noise != "minibatch":
        raise ValueError(
            f"`noise={noise!r}` needs a data set: `data` draws fresh samples, of which there is no "
            "full gradient."
        )
    evaluated(data, "data", "data(key)", jr.key(0))
    return data, jax.tree.map(lambda x: jnp.asarray(x)[None], data(jr.key(0)))


def _as_rates(learning_rates, optimiser: Any) -> Array:
    made = hasattr(optimiser, "init") and hasattr(optimiser, "update")
    if learning_rates is None:
        if not made:
            raise ValueError(
                "`optimiser` must be an optax.GradientTransformation, as `optax.sgd(1e-2)`; a "
                "function of the learning rate goes with `learning_rates`."
            )
        return jnp.zeros((1,))
    if made or not callable(optimiser):
        raise ValueError(
            "`optimiser` must be a function of the learning rate where `learning_rates` are given, "
            "as `optax.sgd` or `lambda rate: optax.sgd(rate, momentum=0.9)`."
        )
    try:
        rates = jnp.atleast_1d(jnp.asarray(learning_rates, float))
    except (TypeError, ValueError):
        raise ValueError(f"`learning_rates` must be numbers, but is {learning_rates!r}.") from None
    if rates.ndim != 1 or rates.shape[0] == 0:
        raise ValueError(f"`learning_rates` must have shape (r,), not {rates.shape}.")
    for rate in rates:
        scalar(rate, "learning_rates", positive=True, fix="each is the size of a step.")
    if not hasattr(optimiser(rates[0]), "update"):
        raise ValueError(
            "`optimiser` must return an optax.GradientTransformation for a learning rate, as "
            "`optax.sgd` does."
        )
    return rates


def _counts(init, chains: int | None, batched: bool, rates: int) -> tuple[int, int]:
    """Chains in all, and chains at each rate."""
    if not batched:
        chains = how_many(init, chains, False)
        return rates * chains, chains
    total = how_many(init, None, True)
    if chains is not None and rates * chains != total or total % rates:
        raise ValueError(
            f"`init` holds a batch of {total}, which is not `chains` ({chains}) for each of "
            f"{rates} learning rates: leave `chains` out, or give the batch of all."
        )
    return total, total // rates


def _starts(
    init, key, chains: int, batched: bool, rates: int, rows: np.ndarray | None
) -> tuple[PyTree, PyTree]:
    """Moving leaves of the chains numbered `rows` (`None`: all), and still leaves.

    There are `chains` at each rate, and they start at the same points whatever the rate.
    """
    if batched or rates == 1:
        return initial(init, key, None if batched else chains, batched, rows)[:2]
    y, still, _ = initial(init, key, chains, False)
    numbers = (np.arange(rates * chains) if rows is None else rows) % chains
    return jax.tree.map(lambda x: x[numbers], y), still


def _diverged(ensemble: Ensemble) -> str:
    bad = ensemble.failed_by[~ensemble.successful]
    return (
        f"{bad.size} of {ensemble.chains} chains diverged (the first by step {bad.min()}, half of "
        f"them by step {int(np.median(bad))}): lower the learning rate, or clip gradients; pass "
        "`throw=False` to keep the chains that did not."
    )
