"""Threefry written out round by round: the stock generator's bits, in a form that CPUs fuse."""

import os

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.extend.random import define_prng_impl
from jaxtyping import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_WORDS = {8: jnp.uint8, 16: jnp.uint16, 32: jnp.uint32, 64: jnp.uint64}
_CHOICES = ("auto", "stock", "unrolled")
_VARIABLE = "GAUGEBIAS_GENERATOR"


def _hash(key: Array | tuple[Array, ...], high: Array, low: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011) of the counters `(high, low)`."""
    words = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    # `+ words[2] + 1` is written `- less`: to add one to a vector LLVM subtracts -1, which it makes
    # by `vpternlogd` in any register. Zen 4 waits for what that held, maybe the last turn's end,
    # and no turn of the loop starts before the one ahead is over: steps took a quarter longer.
    less = key[0] ^ key[1] ^ jnp.uint32(_PARITY ^ 0xFFFFFFFF)
    x, y = high + words[0], low + words[1]
    for block in range(5):
        for r in _ROTATIONS[block % 2]:
            x = x + y
            y = x ^ ((y << jnp.uint32(r)) | (y >> jnp.uint32(32 - r)))
        x = x + words[(block + 1) % 3]
        y = y - less if block == 0 else y + words[(block + 2) % 3] + jnp.uint32(block + 1)
    return x, y


def _counters(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The position of every entry of `shape` in row-major order, as high and low words."""
    size = 1
    for n in shape:
        size *= n
    if size >= 2**32:
        raise ValueError(f"one draw holds {size} numbers: at most 2^32 - 1 are possible.")
    return jnp.zeros(shape, jnp.uint32), lax.iota(jnp.uint32, size).reshape(shape)


def _seed(seed: Array) -> Array:
    seed = jnp.asarray(seed)
    high = seed >> 32 if seed.dtype.itemsize == 8 else jnp.zeros_like(seed)
    low = seed & jnp.asarray(0xFFFFFFFF, seed.dtype) if seed.dtype.itemsize == 8 else seed
    return jnp.stack([high.astype(jnp.uint32), low.astype(jnp.uint32)])


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jnp.stack(_hash(key, *_counters(shape)), axis=-1)


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    return _joined(_hash(key, *_counters(shape)), bit_width)


def _joined(words: tuple[Array, Array], width: int) -> Array:
    high, low = words
    if width == 64:
        return (high.astype(jnp.uint64) << jnp.uint64(32)) | low.astype(jnp.uint64)
    return (high ^ low).astype(_WORDS[width])


def _fold_in(key: Array, data: int | Array) -> Array:
    data = jnp.asarray(data).astype(jnp.uint32)
    return jnp.stack(_hash(key, jnp.zeros_like(data), data))


_UNROLLED = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="gaugebias_threefry2x32",
    tag="gbt",
)


def unrolled(key: Array) -> Array:
    """The same key (or array of keys) for the unrolled generator: the same bits, always."""
    return jr.wrap_key_data(jr.key_data(key), impl=_UNROLLED)


def is_unrolled(keys: Array) -> bool:
    """Whether `keys` are of the unrolled generator."""
    return jr.key_impl(keys) == jr.key_impl(unrolled(jr.key(0)))


def folded_words(keys: Array, number: Array) -> tuple[Array, Array]:
    """The two words of `fold_in(key, number)` for each of the unrolled `keys`, shape `(n,)`."""
    data = jr.key_data(keys)
    words = data[:, 0], data[:, 1]
    number = jnp.broadcast_to(number.astype(jnp.uint32), words[0].shape)
    return _hash(words, jnp.zeros_like(number), number)


def words_at(words: tuple[Array, Array], first: int, size: int, axis: int, width: int) -> Array:
    """Entries `first .. first + size` of the random bits of `n` keys, given by their `words`.

    The bits of `jax.random.bits(key, (m,))` for any `m >= first + size`, of `width` 32 or 64, for
    all keys at once; shape `(n, size)`, or `(size, n)` for `axis=-1`. No array is transposed: the
    rounds run along the last axis of what is returned.
    """
    if first + size >= 2**32:
        raise ValueError(f"one draw holds {first + size} numbers: at most 2^32 - 1 are possible.")
    shape = (size, words[0].size) if axis == -1 else (words[0].size, size)
    # Broadcast by hand: XLA vectorises this form, and not that of an expanded pair of words.
    along, across = (1, 0) if axis == -1 else (0, 1)
    low = lax.broadcasted_iota(jnp.uint32, shape, across) + jnp.uint32(first)
    key = tuple(lax.broadcast_in_dim(w, shape, (along,)) for w in words)
    return _joined(_hash(key, jnp.zeros_like(low), low), width)


def fastest(keys: Array) -> Array:
    """`keys` for the generator that is fastest on this backend.

    On CPUs the stock lowering of threefry runs its rounds in loops with temporaries in memory;
    written out, the rounds fuse with what uses the numbers, several times faster. Elsewhere the
    stock generator is kept, and keys of any other implementation (as
    `jax.random.key(0, impl="rbg")`) are left alone. The bits are the same either way. The
    environment variable `GAUGEBIAS_GENERATOR` overrides: `auto`, `stock` or `unrolled`.
    """
    choice = os.environ.get(_VARIABLE, "auto")
    if choice not in _CHOICES:
        raise ValueError(
            f"the environment variable `{_VARIABLE}` is {choice!r}: use one of {_CHOICES}."
        )
    same_bits = str(jr.key_impl(keys)) == "threefry2x32" and jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    wanted = choice == "unrolled" or (choice == "auto" and jax.default_backend() == "cpu")
    return unrolled(keys) if same_bits and wanted else keys
