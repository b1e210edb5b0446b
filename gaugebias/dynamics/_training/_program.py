"""The compiled part of training: many updates, and what is looked at on the way."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, PyTree

from .._runs._devices import Layout
from .._runs._engine import finite_chains, observer
from .._runs._program import Compiled, Numbers, Watch
from .._runs._recipe import Recipe, packed, unpacked


class Shape(eqx.Module):
    """What is fixed while a chunk compiles: draws kept at most, and where the chains are."""

    most: int = eqx.field(static=True)
    axis: int = eqx.field(static=True)
    layout: Layout


def _chunk(
    recipe: Recipe, y, states, still, keys, rates, watch: Watch, shape: Shape, numbers: Numbers
):
    """`numbers.records` times `numbers.steps` updates of all chains.

    **Returns:** as `_runs._program.run_chunk`, without the domain.
    """

    shapes = jax.eval_shape(lambda keys: recipe.batch(recipe.chosen(keys[0])), keys)

    def update(state, batch, rate):
        moving, carry = state
        params = eqx.combine(moving, still)
        gradient = recipe.gradient(params, unpacked(batch, shapes))
        changes, carry = recipe.transformation(rate).update(gradient, carry, moving)
        moved = jax.tree.map(lambda p, u: p + u.astype(p.dtype), moving, changes)
        return moved, carry

    axis, layout = shape.axis, shape.layout
    over = jax.vmap(update, in_axes=(axis, 0, 0), out_axes=axis)
    see = observer(watch.observe, still, axis)

    # A step's batch is chosen two turns ahead and drawn one turn ahead: what takes part in a turn
    # waits for nothing of it, and random numbers do not fuse with a gradient that slows them down.
    choose = jax.vmap(lambda key, number: recipe.chosen(jr.fold_in(key, number)), (0, None))
    drawn = jax.vmap(lambda chosen: packed(recipe.batch(chosen)))

    def record(i, carry):
        states, (y, ahead, kept) = carry
        first = numbers.first + i * numbers.steps

        def step(j, carry):
            y, (batch, chosen) = carry
            y = over(y, batch, rates)
            return y, (drawn(chosen), choose(keys, first + j + 2))

        y, ahead = jax.lax.fori_loop(0, numbers.steps, step, (y, ahead))
        states, kept = watch.recorded(states, kept, see, y[0], i, numbers)
        return states, (y, ahead, kept)

    kept = watch.room(jax.eval_shape(see, y[0]), shape.most, layout)
    ahead = drawn(choose(keys, numbers.first)), choose(keys, numbers.first + 1)
    states, (y, _, kept) = watch.over_draws(record, states, (y, ahead, kept), numbers)
    states, kept = watch.constrain(states, layout), watch.draws(kept, see, y[0], layout)
    return layout.constrain(y, axis), states, kept, finite_chains(y[0], axis)


def one_update(recipe: Recipe, params: PyTree, key: Array, observe: Callable) -> PyTree:
    """What a step computes of one run, and what is looked at: the arrays of it."""
    gradient = recipe.gradient(params, recipe.batch(recipe.chosen(key)))
    return eqx.filter((gradient, observe(params)), eqx.is_array)


train_chunk = Compiled(_chunk)


@eqx.filter_jit
def first_carry(recipe: Recipe, y: PyTree, rates: Array, axis: int) -> PyTree:
    """The optimisers' states of all chains before any update, chains on `axis`."""

    def one(moving, rate):
        return recipe.transformation(rate).init(moving)

    return jax.vmap(one, in_axes=(axis, 0), out_axes=axis)(y, rates)
