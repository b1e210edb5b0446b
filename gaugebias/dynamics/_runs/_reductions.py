"""Statistics of all draws, taken as they come: memory does not grow with the number of steps."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ...stats._autocorrelation import finish_lags
from ...stats._checks import Numbers
from ...stats._histogram import as_edges, finish_histogram, start_histogram, update_histogram
from ...stats._moments import MomentState, finish_moments, start_moments, update_moments
from ...stats._multiple_tau import TOGETHER, LagState, settle_lags, start_lags, update_lags
from ...stats._quantile_sketch import Scale, finish_sketch, start_sketch, update_sketch
from .._checks import count, function, number

SETTLED = TOGETHER  # draws between two calls of `AbstractSettledReduction.settle`


class AbstractReduction(eqx.Module):
    """A statistic of all draws of all chains, as `simulate(..., reduce=...)` takes it.

    States belong to chains: nothing passes between chains while a run goes on, and a chain that
    fails is left out whole. `chain_axis` says where the chain axis is in every array of a state.
    """

    chain_axis: ClassVar[int]

    @abc.abstractmethod
    def start(self, values: PyTree) -> PyTree:
        """The states before any draw. `values`: an observable of all chains, chains first."""

    @abc.abstractmethod
    def update(self, states: PyTree, values: PyTree, index: Array) -> PyTree:
        """The states after draw number `index` (from 0) of all chains, chains first."""

    @abc.abstractmethod
    def finish(self, states: PyTree, draws: int) -> PyTree:
        """The result, on the host: states of the chains that did not fail, chains first."""


class AbstractSettledReduction(AbstractReduction):
    """A reduction whose `update` puts draws aside, and which works them in now and then.

    What touches most of a large state then stands outside of the loop over single draws, which
    stays small.
    """

    @abc.abstractmethod
    def settle(self, states: PyTree, drawn: Array) -> PyTree:
        """The states after `drawn` draws, a multiple of `SETTLED`; called after each so many."""


def _picked(of: Callable | None, values: PyTree) -> PyTree:
    picked = values if of is None else of(values)
    for leaf in jax.tree.leaves(picked):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"`observe` gives numbers of dtype {leaf.dtype}, of which reductions make no "
                "sense: let it return floating numbers, or choose with `of`."
            )
    return picked


def _chosen(of: Callable | None) -> Callable | None:
    return None if of is None else function(of, "of", "observable -> arrays")


class Moments(AbstractReduction):
    """Mean and variance of the observable over all draws, entry by entry.

    **Arguments:** `of`: which part of the observable, `lambda seen: seen["w"]`; it is applied to
    the observables of all chains, so it may choose leaves but not index them. All of it by default.

    The result is a pytree like the observable of [`gaugebias.stats.MomentSummary`][]. Sums are
    compensated: in float32 too they are right to about one rounding of the spread.
    """

    of: Callable | None = eqx.field(default=None, converter=_chosen)
    chain_axis: ClassVar[int] = 0

    def start(self, values: PyTree) -> PyTree:
        return jax.tree.map(start_moments, _picked(self.of, values))

    def update(self, states: PyTree, values: PyTree, index: Array) -> PyTree:
        return jax.tree.map(
            lambda x, s: update_moments(s, x, index), _picked(self.of, values), states
        )

    def finish(self, states: PyTree, draws: int) -> PyTree:
        return jax.tree.map(lambda s: finish_moments(s, draws), states, is_leaf=_is(MomentState))


class Histogram(AbstractReduction):
    """Counts of the observable in fixed bins, entry by entry.

    **Arguments:**

    - `edges`: increasing, shape `(bins + 1,)`; rounded to the observable's dtype.
    - `of`: which part of the observable; see [`gaugebias.dynamics.Moments`][].

    The result is a pytree like the observable of [`gaugebias.stats.HistogramSummary`][]. Memory is
    four bytes a chain, entry and bin.
    """

    edges: np.ndarray
    of: Callable | None = eqx.field(default=None, converter=_chosen)
    chain_axis: ClassVar[int] = 0

    def __init__(self, edges: Numbers, of: Callable | None = None):
        self.edges = as_edges(edges)
        self.of = _chosen(of)

    def start(self, values: PyTree) -> PyTree:
        picked, edges = _picked(self.of, values), jnp.asarray(self.edges)
        for leaf in jax.tree.leaves(picked):
            self._check_apart(leaf.dtype)
        return jax.tree.map(jax.vmap(lambda x: start_histogram(x, edges)), picked)

    def _check_apart(self, dtype) -> None:
        """`ValueError` where edges fall together in the dtype of the observable."""
        if not isinstance(self.edges, np.ndarray):
            return  # within a compiled function, and checked before
        rounded = self.edges.astype(dtype).astype(np.float64)
        if not (np.all(np.isfinite(rounded)) and np.all(np.diff(rounded) > 0)):
            raise ValueError(
                f"`edges` are too close or too large for an observable of dtype {dtype}, in which "
                "they fall together: make the bins wider, or compute in float64."
            )

    def update(self, states: PyTree, values: PyTree, index: Array) -> PyTree:
        edges = jnp.asarray(self.edges)
        add = jax.vmap(lambda s, x: update_histogram(s, x, edges))
        return jax.tree.map(add, states, _picked(self.of, values))

    def finish(self, states: PyTree, draws: int) -> PyTree:
        return jax.tree.map(lambda s: finish_histogram(s, self.edges, draws), states)


class Quantiles(AbstractReduction):
    """A sketch from which quantiles of the observable are read, entry by entry.

    Bins grow geometrically from zero in both directions (arXiv 1908.10693), so that any quantile
    of the draws is known to a relative accuracy stated beforehand.

    **Arguments:**

    - `accuracy`: relative error of a quantile, in (0, 1).
    - `smallest`, `largest`: the magnitudes between which it holds. Draws closer to zero than
        `smallest` are told apart from it no longer; a quantile beyond `largest` is refused.
    - `of`: which part of the observable; see [`gaugebias.dynamics.Moments`][].

    The result is a pytree like the observable of [`gaugebias.stats.QuantileSummary`][]. Memory is
    four bytes a chain, entry and bin, about `ln(largest / smallest) / accuracy` bins.
    """

    scale: Scale
    of: Callable | None = eqx.field(default=None, converter=_chosen)
    chain_axis: ClassVar[int] = 0

    def __init__(
        self,
        accuracy: Any = 0.01,
        smallest: Any = 1e-3,
        largest: Any = 1e3,
        of: Callable | None = None,
    ):
        accuracy, smallest, largest = (
            number(x, name)
            for x, name in (
                (accuracy, "accuracy"),
                (smallest, "smallest"),
                (largest, "largest"),
            )
        )
        if not 1e-5 <= accuracy < 1:
            raise ValueError(f"`accuracy` must be between 1e-5 and 1, but is {accuracy}.")
        if not 0 < smallest < largest < np.inf:
            raise ValueError(
                "`smallest` and `largest` must be positive, finite and in this order, but are "
                f"{smallest:g} and {largest:g}."
            )
        self.scale = Scale(accuracy, smallest, largest)
        self.of = _chosen(of)

    def start(self, values: PyTree) -> PyTree:
        return jax.tree.map(
            jax.vmap(lambda x: start_sketch(x, self.scale)), _picked(self.of, values)
        )

    def update(self, states: PyTree, values: PyTree, index: Array) -> PyTree:
        add = jax.vmap(lambda s, x: update_sketch(s, x, self.scale))
        return jax.tree.map(add, states, _picked(self.of, values))

    def finish(self, states: PyTree, draws: int) -> PyTree:
        return jax.tree.map(lambda s: finish_sketch(s, self.scale, draws), states)


def _as_lags(lags: Any) -> int:
    out = count(lags, "lags", least=4)
    if out % 2:
        raise ValueError(f"`lags` must be even, but is {lags}.")
    return out


def _as_levels(levels: Any) -> int:
    return count(levels, "levels", least=1)


class Autocorrelation(AbstractSettledReduction):
    """Autocorrelation and effective sample size of the observable, entry by entry.

    Lags `0 .. lags - 1` of blocks of `1, 2, 4, ..., 2^(levels - 1)` draws: correlation times up to
    about `lags 2^(levels - 1)` draws are resolved in a memory of about `(4 lags + 16) levels`
    numbers a chain and entry. Where the autocorrelation dies out within `lags` draws, the effective
    sample size is exactly that of [`gaugebias.stats.effective_sample_size`][]; where it does not,
    the sum over lags is taken over blocks, and agrees to its statistical error.

    **Arguments:**

    - `lags`: even, at least 4. `levels`: at least 1.
    - `of`: which part of the observable; see [`gaugebias.dynamics.Moments`][].

    The result is a pytree like the observable of [`gaugebias.stats.AutocorrelationSummary`][]. It
    speaks of the draws taken: a start far from the law is not seen by it, `burn_in` is for that.
    """

    lags: int = eqx.field(default=16, static=True, converter=_as_lags)
    levels: int = eqx.field(default=16, static=True, converter=_as_levels)
    of: Callable | None = eqx.field(default=None, converter=_chosen)
    chain_axis: ClassVar[int] = -1

    def start(self, values: PyTree) -> PyTree:
        def one(x):
            return start_lags(jnp.moveaxis(x, 0, -1), self.levels, self.lags)

        return jax.tree.map(one, _picked(self.of, values))

    def update(self, states: PyTree, values: PyTree, index: Array) -> PyTree:
        def one(x, state):
            return update_lags(state, jnp.moveaxis(x, 0, -1), index)

        return jax.tree.map(one, _picked(self.of, values), states)

    def settle(self, states: PyTree, drawn: Array) -> PyTree:
        return jax.tree.map(lambda s: settle_lags(s, drawn), states, is_leaf=_is(LagState))

    def finish(self, states: PyTree, draws: int) -> PyTree:
        return jax.tree.map(lambda s: finish_lags(s, draws), states, is_leaf=_is(LagState))


class Reduction(AbstractReduction):
    """A statistic of your own, written for one chain.

    **Arguments:**

    - `init`: `value -> state`, arrays of fixed shape, before any draw; `value` is the observable
        where the run starts, for its shape.
    - `update`: `(state, value) -> state`, of the same shapes and dtypes.
    - `finish`: `states -> pytree of arrays`, called once on the host with NumPy arrays that have a
        leading axis over the chains that did not fail.

    !!! example

        ```python
        import jax, jax.numpy as jnp
        import gaugebias as gb

        largest = gb.dynamics.Reduction(
            init=lambda x: jnp.full_like(x, -jnp.inf), update=jnp.maximum, finish=lambda s: s.max(0)
        )
        sde = gb.dynamics.Langevin(lambda x: 0.5 * x**2, temperature=0.1)
        run = dict(key=jax.random.key(0), chains=64, steps=100, dt=0.01)
        ens = gb.simulate(sde, jnp.array(0.0), reduce={"largest": largest}, **run)
        ens.reductions["largest"]       # the largest x that any chain has seen
        ```
    """

    init_fn: Callable
    update_fn: Callable
    finish_fn: Callable
    chain_axis: ClassVar[int] = 0

    def __init__(self, init: Callable, update: Callable, finish: Callable):
        self.init_fn = function(init, "init", "value -> state")
        self.update_fn = function(update, "update", "(state, value) -> state")
        self.finish_fn = function(finish, "finish", "states -> arrays")

    def start(self, values: PyTree) -> PyTree:
        return jax.vmap(lambda x: jax.tree.map(jnp.asarray, self.init_fn(x)))(values)

    def update(self, states: PyTree, values: PyTree, index: Array) -> PyTree:
        return jax.vmap(self.update_fn)(states, values)

    def finish(self, states: PyTree, draws: int) -> PyTree:
        return jax.tree.map(np.asarray, self.finish_fn(jax.tree.map(np.array, states)))


def _is(kind: type) -> Callable:
    return lambda x: isinstance(x, kind)


def as_reductions(reduce: Any) -> dict[str, AbstractReduction]:
    """Named reductions from one or a mapping; `ValueError` for anything else."""
    if isinstance(reduce, AbstractReduction):
        return {type(reduce).__name__.lower(): reduce}
    named = isinstance(reduce, Mapping) and all(
        isinstance(name, str) and name.replace("_", "").isalnum() for name in reduce
    )
    if not (named and reduce and all(isinstance(r, AbstractReduction) for r in reduce.values())):
        raise ValueError(
            "`reduce` must be a reduction, as `gb.dynamics.Moments()`, or a dictionary of them by "
            f"name (letters, digits, underscores), but is {reduce!r}."
        )
    return dict(reduce)


def check_reductions(reductions: dict[str, AbstractReduction], seen: PyTree) -> None:
    """`ValueError` where an update would change a state's shapes; `seen`: shapes, chains first."""
    for name, reduction in reductions.items():
        before = jax.eval_shape(reduction.start, seen)
        index = jax.ShapeDtypeStruct((), jnp.int32)
        after = jax.eval_shape(reduction.update, before, seen, index)
        if isinstance(reduction, AbstractSettledReduction):
            after = jax.eval_shape(reduction.settle, after, index)
        kinds = [
            [(x.shape, str(x.dtype)) for x in jax.tree.leaves(t)] + [jax.tree.structure(t)]
            for t in (before, after)
        ]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"`reduce`: the state of {name!r} is {before} at the start but {after} after an "
                "update: keep its structure, shapes and dtypes."
            )


def finish_reductions(
    reductions: dict[str, AbstractReduction],
    states: dict[str, PyTree],
    kept: np.ndarray,
    draws: int,
) -> dict[str, PyTree]:
    """The results over the chains `kept`, a mask; empty where no chain is left.

    States may hold more chains than the mask, and those are left out. They are not copied where
    none has to be.
    """
    if not kept.any():
        return {}
    out = {}
    for name, reduction in reductions.items():
        axis = reduction.chain_axis

        def mine(x, axis=axis):
            some = np.asarray(x) if kept.all() else np.compress(kept, np.asarray(x), axis)
            return np.moveaxis(some, axis, 0)[: kept.size]

        out[name] = reduction.finish(jax.tree.map(mine, states[name]), draws)
    return out
