"""The compiled part of training: many updates, and what is looked at on the way."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PyTree

from .._runs._devices import Layout
from .._runs._engine import finite_chains, observer
from .._runs._program import Numbers, Watch
from .._runs._recipe import Recipe


class Shape(eqx.Module):
    """What is fixed while a chunk compiles: draws kept at most, and where the chains are."""

    most: int = eqx.field(static=True)
    axis: int = eqx.field(static=True)
    layout: Layout


@eqx.filter_jit
def train_chunk(
    recipe: Recipe, y, states, still, keys, rates, watch: Watch, shape: Shape, numbers: Numbers
):
    """`numbers.records` times `numbers.steps` updates of all chains.

    **Returns:** as `_runs._program.run_chunk`, without the domain.
    """

    def update(state, key, rate):
        moving, carry = state
        params = eqx.combine(moving, still)
        gradient = recipe.gradient(params, key)
        changes, carry = recipe.transformation(rate).update(gradient, carry, moving)
        moved = jax.tree.map(lambda p, u: p + u.astype(p.dtype), moving, changes)
        return moved, carry

    axis, layout = shape.axis, shape.layout
    over = jax.vmap(update, in_axes=(axis, 0, 0), out_axes=axis)
    see = observer(watch.observe, still, axis)

    def record(i, carry):
        y, states, kept = carry

        def step(j, y):
            number = numbers.first + i * numbers.steps + j
            return over(y, jax.vmap(lambda k: jr.fold_in(k, number))(keys), rates)

        y = jax.lax.fori_loop(0, numbers.steps, step, y)
        seen = see(y[0])
        slot = jnp.minimum(i, shape.most - 1)
        kept = jax.tree.map(lambda all_, x: all_.at[slot].set(x), kept, seen)
        if watch.reductions:
            states = jax.lax.cond(
                numbers.keep,
                lambda states, seen: watch.update(states, seen, numbers.drawn + i),
                lambda states, seen: states,
                states,
                seen,
            )
        return y, states, kept

    shapes = jax.eval_shape(see, y[0])
    kept = jax.tree.map(lambda s: jnp.zeros((shape.most, *s.shape), s.dtype), shapes)
    kept = layout.constrain(kept, 1)
    y, states, kept = jax.lax.fori_loop(0, numbers.records, record, (y, states, kept))
    states = watch.constrain(states, layout)
    return layout.constrain(y, axis), states, kept, finite_chains(y[0], axis)


@eqx.filter_jit
def first_carry(recipe: Recipe, y: PyTree, rates: Array, axis: int) -> PyTree:
    """The optimisers' states of all chains before any update, chains on `axis`."""

    def one(moving, rate):
        return recipe.transformation(rate).init(moving)

    return jax.vmap(one, in_axes=(axis, 0), out_axes=axis)(y, rates)
