"""The compiled part of a simulation: many steps, and what is looked at on the way."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from ..._xla import small_products_inline
from ...quotient import Quotient, fix_gauge
from .._processes._sde import AbstractSDE
from ._devices import Layout
from ._engine import finite_chains, observer
from ._integrate import SMALL_STATE, flattened, of_one_chain, shaped, stretch
from ._reductions import SETTLED, AbstractReduction, AbstractSettledReduction

LARGE_STATE = 4096  # numbers a chain; beyond, products of matrices are worth threads


class Plan(eqx.Module):
    """What is fixed while a chunk compiles."""

    steps: int = eqx.field(static=True)  # between two draws
    most: int = eqx.field(static=True)  # draws kept at most; 1 keeps the last
    axis: int = eqx.field(static=True)
    solver: diffrax.AbstractSolver
    regauge: Quotient | None
    layout: Layout


class Watch(eqx.Module):
    """What is looked at: an observable, its reductions, and where it must stay."""

    observe: Callable
    reductions: dict[str, AbstractReduction]
    inside: Callable | None

    def start(self, seen: PyTree) -> dict[str, PyTree]:
        return {name: r.start(seen) for name, r in self.reductions.items()}

    def constrain(self, states: dict[str, PyTree], layout: Layout) -> dict[str, PyTree]:
        return {
            name: layout.constrain(state, self.reductions[name].chain_axis)
            for name, state in states.items()
        }

    def placed(self, states: dict[str, PyTree], layout: Layout) -> dict[str, PyTree]:
        return {
            name: layout.place(state, self.reductions[name].chain_axis)
            for name, state in states.items()
        }

    def update(self, states: dict[str, PyTree], seen: PyTree, index: Array) -> dict[str, PyTree]:
        return {name: r.update(states[name], seen, index) for name, r in self.reductions.items()}

    def settle(self, states: dict[str, PyTree], drawn: Array) -> dict[str, PyTree]:
        settled = dict(states)
        for name, r in self.reductions.items():
            if isinstance(r, AbstractSettledReduction):
                settled[name] = r.settle(states[name], drawn)
        return settled

    def over_draws(
        self, record: Callable, states: dict[str, PyTree], rest: PyTree, numbers: "Numbers"
    ) -> tuple[dict[str, PyTree], PyTree]:
        """`record(i, (states, rest))` for each draw of a chunk, and `settle` between some of them.

        Draws up to the next that settles have a loop of their own: XLA compiles loops that touch
        little as one function on CPUs, and what settles may touch much.
        """
        start = states, rest
        if not any(isinstance(r, AbstractSettledReduction) for r in self.reductions.values()):
            return jax.lax.fori_loop(0, numbers.records, record, start)

        def some(n, carry):
            begin = n * SETTLED - numbers.drawn
            end = jnp.minimum(begin + SETTLED, numbers.records)
            states, rest = jax.lax.fori_loop(jnp.maximum(begin, 0), end, record, carry)
            drawn = jnp.asarray(numbers.drawn + end)
            full = numbers.keep & (drawn % SETTLED == 0)
            return _where_kept(full, lambda states: self.settle(states, drawn), states), rest

        last = (numbers.drawn + numbers.records - 1) // SETTLED
        return jax.lax.fori_loop(numbers.drawn // SETTLED, last + 1, some, start)

    def room(self, shapes: PyTree, most: int, layout: Layout) -> PyTree:
        """Where the draws of a chunk go, draw axis first; `None` for one, which is its end."""
        if most == 1:
            return None
        kept = jax.tree.map(lambda s: jnp.zeros((most, *s.shape), s.dtype), shapes)
        return layout.constrain(kept, 1)

    def recorded(
        self,
        states: dict[str, PyTree],
        kept: PyTree,
        see: Callable,
        y: PyTree,
        i: Array,
        numbers: "Numbers",
    ) -> tuple[dict[str, PyTree], PyTree]:
        """The reductions' states and the draws after the `i`-th draw of a chunk, at state `y`."""

        def look():
            return see(y)

        if kept is not None:
            seen = see(y)
            kept, look = jax.tree.map(lambda x, new: x.at[i].set(new), kept, seen), lambda: seen
        if self.reductions:
            states = _where_kept(
                numbers.keep, lambda states: self.update(states, look(), i + numbers.drawn), states
            )
        return states, kept

    def draws(self, kept: PyTree, see: Callable, y: PyTree, layout: Layout) -> PyTree:
        """The draws of a chunk that ends at state `y`."""
        if kept is not None:
            return kept
        return layout.constrain(jax.tree.map(lambda x: x[None], see(y)), 1)

    def outside(self, seen: PyTree) -> Array:
        """Which chains have left, shape `(chains,)`. What is not finite has diverged instead."""
        finite = jnp.asarray(True)
        for leaf in jax.tree.leaves(seen):
            finite = finite & jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
        assert self.inside is not None
        return finite & ~jax.vmap(self.inside)(seen)


def _where_kept(keep: Array | np.ndarray, update: Callable, states: PyTree) -> PyTree:
    """`update(states)`, or the states as they are."""
    if jax.default_backend() == "cpu":
        # A loop of one turn or none: XLA compiles it as one function with the steps around it, as
        # it does no `cond`.
        turns = keep.astype(jnp.int32)
        return jax.lax.fori_loop(0, turns, lambda _, states: update(states), states)
    return jax.lax.cond(keep, update, lambda states: states, states)


class Numbers(NamedTuple):
    """Where a chunk stands, unknown to the compiler: arrays of shape ().

    Were lengths known to it, a loop of one step would be inlined and rounded differently, and cuts
    of a run would not be exact.
    """

    first: np.ndarray  # number of the first step
    steps: np.ndarray  # `Plan.steps` again
    records: np.ndarray
    drawn: np.ndarray  # draws before this chunk
    keep: np.ndarray  # whether draws count, or belong to the burn-in

    @classmethod
    def of(cls, first: int, steps: int, records: int, drawn: int, keep: bool) -> "Numbers":
        a, b, c, d = (np.asarray(n, np.int32) for n in (first, steps, records, drawn))
        return cls(a, b, c, d, np.asarray(keep))


def compiler_options(
    backend: str, size: int, large_products: bool = False
) -> dict[str, bool | int | str] | None:
    """What the compiler is told about the long loops of small steps that runs are made of.

    `size` is that of a chain's state; `large_products`: whether a step, or what is looked at, makes
    some (`_large_products`). On CPUs:

    - Vectors of 512 bits: XLA's default of 256 halves the speed of the noise where the hardware has
        them, and where it does not the option has no effect.
    - No threads within an operation: cutting a step of microseconds into tasks for every core costs
        more than it saves, up to products of large matrices. Independent operations still run side
        by side.
    - Small states: copies of what a loop carries are left out where nothing needs them, as XLA does
        on accelerators; their steps make as many copies as sums. Larger ones lose more by what then
        has to wait.
    - Small products of matrices are written out where they stand, so that loops can be one function
      each; XLA is slow at large ones there, which go to a library.
    """
    if backend != "cpu":
        return None
    return {
        "xla_cpu_prefer_vector_width": 512,
        "xla_cpu_multi_thread_eigen": size > LARGE_STATE,
        "xla_cpu_copy_insertion_use_region_analysis": size <= SMALL_STATE,
    } | ({} if large_products else small_products_inline())


def one_step(
    sde: AbstractSDE, params: PyTree, dt: ArrayLike, regauge: Quotient | None, watch: Watch
) -> PyTree:
    """What a step computes of one chain, and what is looked at: the arrays of it."""
    seen = eqx.filter(watch.observe(params), eqx.is_array)
    outside = None if watch.inside is None else watch.inside(seen)
    move = None if regauge is None else (lambda p: fix_gauge(regauge, p))
    noise = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(params))
    return eqx.filter((of_one_chain(sde, params, noise, dt, move), seen, outside), eqx.is_array)


def _chunk(sde, y, states, still, keys, dt, watch: Watch, plan: Plan, numbers: Numbers):
    """`numbers.records` times `plan.steps` steps of all chains.

    **Returns:** the state, the states of the reductions, the draws (draw axis first), which chains
    are finite at the end, and the number of steps by which a chain had left the domain, or -1.
    """
    q = plan.regauge
    move = None if q is None else (lambda p: fix_gauge(q, p))
    shapes = [x.shape for x in jax.tree.leaves(y)]
    observe = observer(watch.observe, still, plan.axis)

    def see(y):
        return observe(shaped(y, shapes))

    def go(y, first, steps):
        moved = stretch(
            sde,
            shaped(y, shapes),
            still,
            keys,
            first,
            dt,
            steps=steps,
            axis=plan.axis,
            solver=plan.solver,
            regauge=move,
            adjoint=diffrax.ForwardMode(),
            max_steps=None,
        )
        return flattened(moved, plan.axis)

    def advance(y, left, first):
        if watch.inside is None:
            return go(y, first, plan.steps), left

        def step(j, carry):
            y, left = carry
            y = go(y, first + j, 1)
            gone = (left < 0) & watch.outside(see(y))
            return y, jnp.where(gone, first + j + 1, left)

        return jax.lax.fori_loop(0, numbers.steps, step, (y, left))

    def record(i, carry):
        states, (y, left, kept) = carry
        y, left = advance(y, left, numbers.first + i * plan.steps)
        states, kept = watch.recorded(states, kept, see, y, i, numbers)
        return states, (y, left, kept)

    # Between steps as within them: a loop of one step is inlined, and goes by the shapes outside.
    y = flattened(y, plan.axis)
    kept = watch.room(jax.eval_shape(see, y), plan.most, plan.layout)
    left = None
    if watch.inside is not None:
        left = plan.layout.constrain(jnp.full(keys.shape, -1, jnp.int32), 0)
    states, (y, left, kept) = watch.over_draws(record, states, (y, left, kept), numbers)
    states, kept = watch.constrain(states, plan.layout), watch.draws(kept, see, y, plan.layout)
    y = shaped(y, shapes)
    return plan.layout.constrain(y, plan.axis), states, kept, finite_chains(y, plan.axis), left


class Compiled:
    """A function `(process, state, statistics, still leaves, keys, ...)` of many steps, compiled.

    The options are those for the size of a chain's state, and for the backend that is there when it
    is called. `donate`: the state and the statistics given are of no use afterwards, and the new
    ones are written over them. They take megabytes, and new memory for them costs more than a few
    steps or draws. `large_products`: see `compiler_options`.
    """

    def __init__(self, fn: Callable):
        self._fn = fn
        self._compiled: dict[str, Any] = {}

    def _of(
        self,
        process,
        y,
        statistics,
        still,
        keys,
        *rest,
        donate: bool = False,
        large_products: bool = False,
    ) -> tuple[Any, tuple]:
        """What is compiled for these arguments, and how it takes them."""
        size = sum(x.size for x in jax.tree.leaves(y)) // max(keys.size, 1)
        options = compiler_options(jax.default_backend(), size, large_products)
        kind = repr((options, donate))
        if kind not in self._compiled:

            def fn(rest, changing):
                process, still, keys, *others = rest
                y, statistics = changing
                return self._fn(process, y, statistics, still, keys, *others)

            self._compiled[kind] = eqx.filter_jit(  # pyright: ignore[reportCallIssue]
                fn, donate="all-except-first" if donate else "none", compiler_options=options
            )
        return self._compiled[kind], ((process, still, keys, *rest), (y, statistics))

    def __call__(self, *args, **how):
        compiled, given = self._of(*args, **how)
        return compiled(*given)

    def lower(self, *args, **how):
        compiled, given = self._of(*args, **how)
        return compiled.lower(*given)


run_chunk = Compiled(_chunk)


@eqx.filter_jit
def first_look(y, still, watch: Watch, axis: int, layout: Layout):
    """Which chains start outside of the domain, and the reductions' states before any draw."""
    seen = observer(watch.observe, still, axis)(y)
    outside = None if watch.inside is None else watch.outside(seen)
    return outside, watch.constrain(watch.start(seen), layout)
