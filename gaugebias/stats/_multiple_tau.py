"""Sums over lags of every size of a stream, of blocks level by level, and many blocks at once."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._streaming import add_to_pair, empty_pair, value

_TWOS = 4
TOGETHER = 2**_TWOS  # blocks of a level that are worked into its sums at once


class LagState(NamedTuple):
    """A chain's sums, level by level: level `l` sees means of `2^l` draws, its blocks.

    Draws are taken as deviations from the first one, `shift`. Arrays have an axis of levels (the
    last three), one of blocks or lags, and the observable's own axes, of which chains may be the
    last.
    """

    shift: Array
    waiting: Array  # the draws since the last of `TOGETHER`, which no sum knows yet
    total: Array  # the sum of the others; sums are complex, see `empty_pair`
    windows: Array  # `lags + TOGETHER` blocks, the newest last; see `settle_lags`
    heads: Array  # the first blocks, `lags` of them and more, to a multiple of `TOGETHER`
    products: Array  # sums of products with the block `lags - 1, ..., 1, 0` before


class LagSums(NamedTuple):
    """The sums of one level over all of its blocks, in float64, chains first."""

    blocks: int
    total: np.ndarray
    products: np.ndarray  # with the block 0, 1, ... before
    first: np.ndarray  # the first blocks, as many as lags
    last: np.ndarray  # the last ones, newest first


def start_lags(like, levels: int, lags: int) -> LagState:
    """The state before any draw; `like` has the shape of one. Of 16 bits it is float32."""
    total = empty_pair(like)
    one = total.real

    def rows(*shape):
        return jnp.zeros((*shape, *one.shape), one.dtype)

    first = -(-lags // TOGETHER) * TOGETHER
    windows, heads = rows(levels, lags + TOGETHER), rows(levels, first)
    return LagState(one, rows(TOGETHER), total, windows, heads, empty_pair(rows(levels, lags)))


def update_lags(state: LagState, x: Array, index: Array) -> LagState:
    """The state after draw number `index` (from 0), `x`: it waits for `settle_lags`."""
    x = x.astype(state.shift.dtype)
    shift = jnp.where(index == 0, x, state.shift)
    waiting = jax.lax.dynamic_update_index_in_dim(state.waiting, x - shift, index % TOGETHER, 0)
    return state._replace(shift=shift, waiting=waiting)


@jax.jit  # traced once a shape, however many runs
def settle_lags(state: LagState, drawn: Array) -> LagState:
    """The state after `drawn` draws, a multiple of `TOGETHER`: those that wait are in the sums.

    Means of two blocks go up a level, as in a multiple-tau correlator (Magatti and Ferri 2001),
    and wait there in the last rows of the window until they are `TOGETHER`. So the sums of two
    levels are read and written in `TOGETHER` draws on average, however many levels there are.
    Up to `TOGETHER` terms are added in pairs of pairs, and their sum to one that is compensated.

    A window moves on when the first blocks come in, not when they are worked in: then one loop
    changes windows and nothing else, the next ones only read them, and compilers copy none.
    """
    levels, lags = state.products.shape[:2]
    drawn = jnp.asarray(drawn, jnp.int32)
    twos = jax.lax.population_count((drawn & -drawn) - 1)  # factors of two
    full = jnp.clip(twos - (_TWOS - 1), 0, levels)  # levels of which so many blocks wait
    windows = _put(state.windows, state.windows[0, TOGETHER:], 0, 0)
    windows = _put(windows, state.waiting, 0, lags)

    def pass_up(level, windows):
        second = (drawn >> (level + _TWOS)) % 2 == 0  # half of what the level above waits for
        above = _rows(windows, level + 1, jnp.where(second, 0, TOGETHER), lags)
        windows = _put(windows, above, level + 1, 0)
        new = _rows(windows, level, lags, TOGETHER)
        row = jnp.where(second, lags + TOGETHER // 2, lags)
        return _put(windows, 0.5 * (new[0::2] + new[1::2]), level + 1, row)

    windows = jax.lax.fori_loop(0, jnp.minimum(full, levels - 1), pass_up, windows)

    def work_in(turn, products):  # in halves, which caches hold
        level, half = turn // 2, TOGETHER // 2
        blocks = _rows(windows, level, turn % 2 * half, lags + half)
        terms = [
            blocks[lags + j : lags + j + 1] * blocks[j + 1 : j + 1 + lags] for j in range(half)
        ]
        old = _rows(products, level, 0, lags)
        return _put(products, add_to_pair(old, _by_pairs(terms)), level, 0)

    kept = state.heads.shape[1] // TOGETHER

    def remember(level, heads):
        times = drawn >> (level + _TWOS)
        row = (jnp.minimum(times, kept) - 1) * TOGETHER
        old = _rows(heads, level, row, TOGETHER)
        new = jnp.where(times <= kept, _rows(windows, level, lags, TOGETHER), old)
        return _put(heads, new, level, row)

    early = jnp.where(drawn >> (full - 1 + _TWOS) <= kept, full, 0)
    return LagState(
        state.shift,
        state.waiting,
        add_to_pair(state.total, _by_pairs(list(state.waiting))),
        windows,
        jax.lax.fori_loop(0, early, remember, state.heads),
        jax.lax.fori_loop(0, 2 * full, work_in, state.products),
    )


def _at(array: Array, level: Array | int, row: Array | int) -> list[Array]:
    return [jnp.asarray(n, jnp.int32) for n in (level, row, *(0,) * (array.ndim - 2))]


def _rows(array: Array, level: Array, row: Array | int, count: int) -> Array:
    """So many rows of a level, from `row` on."""
    size = (1, count, *array.shape[2:])
    return jax.lax.dynamic_slice(array, _at(array, level, row), size)[0]


def _put(array: Array, rows: Array, level: Array | int, row: Array | int) -> Array:
    """`array` with `rows` of a level from `row` on."""
    return jax.lax.dynamic_update_slice(array, rows[None], _at(array, level, row))


def _by_pairs(terms: list[Array]) -> Array:
    """The sum of a power of two of terms: each goes through so many additions."""
    while len(terms) > 1:
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


def lag_sums(state: LagState, draws: int) -> Iterator[LagSums]:
    """The sums of one level after the other, on the host; the state has chains first.

    What waits is worked in here, in float64, and the state stays as it is. Results have one layout
    in memory whatever that of the state is: NumPy's sums round as the layout has it.
    """
    levels, lags = state.products.shape[1:3]
    new = _wide(state.waiting[:, : draws % TOGETHER])
    recent = state.windows[:, 0, TOGETHER:]
    total = _wide(value(state.total)) + new.sum(axis=1)
    for level in range(levels):
        blocks, settled = draws >> level, draws >> (level + _TWOS)
        known = np.concatenate([_wide(recent), new], axis=1)
        before = np.lib.stride_tricks.sliding_window_view(known, lags, axis=1)[:, 1:]
        products = _wide(value(state.products[:, level]))
        products = (products + np.einsum("cj...,cj...k->ck...", new, before))[:, ::-1]
        first = _wide(state.heads[:, level, : settled * TOGETHER])
        first = np.concatenate([first, new], axis=1)[:, :lags]
        yield LagSums(blocks, total, products, first, known[:, ::-1][:, :lags])
        if level + 1 == levels:
            return
        # Half of the blocks that the level above waits for, or none, came from full ones below.
        odd = blocks % 2
        total = 0.5 * (total - odd * known[:, -1])
        pairs = 0.5 * (new[:, 0 : new.shape[1] - odd : 2] + new[:, 1::2])
        window = state.windows[:, level + 1]
        half = settled % 2 * (TOGETHER // 2)
        recent = window[:, :lags] if half else window[:, TOGETHER:]
        new = np.concatenate([_wide(window[:, lags : lags + half]), pairs], axis=1)


def _wide(x) -> np.ndarray:
    return np.ascontiguousarray(x, np.float64)
