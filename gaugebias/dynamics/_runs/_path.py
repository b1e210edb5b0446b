"""The noise: a path keyed by chain and integer step, so that it depends on nothing else."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from diffrax import AbstractPath
from jaxtyping import Array, PyTree

from ..._arguments import as_key


def chain_keys(key, chains: int, first: int = 0) -> Array:
    """The keys of chains `first .. first + chains`: `fold_in(key, chain)`."""
    return _folded(as_key(key), jnp.arange(first, first + chains))


@jax.jit
def _folded(key: Array, numbers: Array) -> Array:
    return jax.vmap(lambda i: jr.fold_in(key, i))(numbers)


def step_noise(key: Array, step: Array, shapes: PyTree) -> PyTree:
    """Standard normal noise of one chain at one step.

    One flat vector, `normal(fold_in(chain_key, step), (n,))`, cut into the leaves of `shapes` in
    order: the numbers do not depend on how the parameters are arranged in their pytree.
    """
    leaves, treedef = jax.tree.flatten(shapes)
    dtype = jnp.result_type(*[s.dtype for s in leaves])
    total = sum(s.size for s in leaves)
    flat = jr.normal(jr.fold_in(key, step), (total,), dtype)
    out, at = [], 0
    for s in leaves:
        out.append(flat[at : at + s.size].reshape(s.shape).astype(s.dtype))
        at += s.size
    return jax.tree.unflatten(treedef, out)


class CounterPath(AbstractPath):
    """Standard normal increments keyed by chain and integer step.

    Time is the local step number: the increment over `[i, i+1]` is the noise of step
    `start + i`, of unit variance (steps carry their own `sqrt(dt)`). It depends on the chain's key
    and the step's number alone, not on the ensemble's size, the devices, cuts of the run, or
    rounding of times. It holds no path between steps, so it is for fixed steps only: adaptive step
    control over it would be silently wrong, and is refused by the engines.

    **Arguments:**

    - `keys`: one key for each chain, shape `(chains,)`, or a single key of shape `()`.
    - `start`: number of the first step.
    - `shapes`: pytree of `jax.ShapeDtypeStruct`: one chain's noise.
    - `axis`: where the chain axis goes in the output.
    """

    keys: Array
    start: Array
    treedef: Any = eqx.field(static=True)
    structs: tuple[jax.ShapeDtypeStruct, ...] = eqx.field(static=True)
    axis: int = eqx.field(static=True)

    def __init__(self, keys: Array, start, shapes: PyTree, axis: int = 0):
        self.keys = keys
        self.start = jnp.asarray(start, jnp.int32)
        leaves, self.treedef = jax.tree.flatten(shapes)
        self.structs = tuple(leaves)
        self.axis = axis

    @property
    def t0(self):
        return 0

    @property
    def t1(self):
        return jnp.inf

    def evaluate(self, t0, t1=None, left: bool = True) -> PyTree:
        del left
        if t1 is None:
            raise ValueError("`t1` is needed: a counter path has increments, not values.")
        step = self.start + jnp.round(t0).astype(jnp.int32)
        shapes = jax.tree.unflatten(self.treedef, self.structs)
        if self.keys.ndim == 0:
            return step_noise(self.keys, step, shapes)
        draw = jax.vmap(lambda key: step_noise(key, step, shapes), out_axes=self.axis)
        return draw(self.keys)
