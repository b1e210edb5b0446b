"""The noise: a path keyed by chain and integer step, so that it depends on nothing else."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from diffrax import AbstractPath
from jax import lax
from jaxtyping import Array, PyTree

from ..._arguments import as_key
from ._normal import bits_per_number, from_bits, standard_normal
from ._threefry import folded_words, is_unrolled, words_at


def chain_keys(key, chains: int, first: int = 0) -> Array:
    """The keys of chains `first .. first + chains`: `fold_in(key, chain)`."""
    return folded_keys(as_key(key), jnp.arange(first, first + chains))


@jax.jit
def folded_keys(key: Array, numbers: Array) -> Array:
    """`fold_in(key, n)` of every number."""
    return jax.vmap(lambda i: jr.fold_in(key, i))(numbers)


def step_noise(key: Array, step: Array, shapes: PyTree) -> PyTree:
    """Standard normal noise of one chain at one step.

    One flat vector, `normal(fold_in(chain_key, step), (n,))`, cut into the leaves of `shapes` in
    order: the numbers do not depend on how the parameters are arranged in their pytree. They are
    jax's to rounding (`_normal.from_bits`).
    """
    leaves, treedef = jax.tree.flatten(shapes)
    flat = standard_normal(jr.fold_in(key, step), (_size(leaves),), _dtype(leaves))
    out = [
        flat[at : at + s.size].reshape(s.shape).astype(s.dtype)
        for at, s in zip(_offsets(leaves), leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, out)


def ensemble_noise(keys: Array, step: Array, shapes: PyTree, axis: int) -> PyTree:
    """`step_noise` of all chains, with the chain axis first (`axis=0`) or last (`axis=-1`)."""
    leaves, treedef = jax.tree.flatten(shapes)
    width = bits_per_number(_dtype(leaves))
    if width is None or not is_unrolled(keys):
        return jax.vmap(lambda key: step_noise(key, step, shapes), out_axes=axis)(keys)
    # Leaf by leaf, so that the numbers of each fuse with what they move.
    if axis == -1 and _size(leaves) > 1 and jax.default_backend() == "cpu":
        words = _kept_words(keys, step)
    else:
        words = folded_words(keys, step)
    out = []
    for at, s in zip(_offsets(leaves), leaves, strict=True):
        z = from_bits(words_at(words, at, s.size, axis, width)).astype(s.dtype)
        chains = keys.shape
        out.append(z.reshape(s.shape + chains if axis == -1 else chains + s.shape))
    return jax.tree.unflatten(treedef, out)


def _kept_words(keys: Array, step: Array) -> tuple[Array, Array]:
    """`folded_words(keys, step)` as arrays in memory, made once.

    Where loops run over chains, XLA on CPUs makes a chain's step key anew for each of its numbers.
    It does not reach into a loop: here one of a single turn. And of two results it makes each by
    itself, from the beginning: here they are the halves of one, whose bits nothing computes with.
    """
    turns = ((step | 1) != 0).astype(jnp.int32)  # always 1, which compilers do not know

    def make(_, both):
        words = folded_words(keys, step)
        return lax.complex(*(lax.bitcast_convert_type(w, jnp.float32) for w in words))

    both = lax.fori_loop(0, turns, make, jnp.zeros(keys.shape, jnp.complex64))
    high, low = (lax.bitcast_convert_type(x, jnp.uint32) for x in (both.real, both.imag))
    return high, low


def _size(leaves: list) -> int:
    return sum(s.size for s in leaves)


def _dtype(leaves: list):
    return jnp.result_type(*[s.dtype for s in leaves])


def _offsets(leaves: list) -> list[int]:
    return [_size(leaves[:i]) for i in range(len(leaves))]


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
        return ensemble_noise(self.keys, step, shapes, self.axis)
