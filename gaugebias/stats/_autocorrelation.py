"""Autocovariances of a stream at lags of every size, and its effective sample size."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._streaming import Sum, add, empty_sum, mean_over_chains, sum_over_chains, value


class AutocorrelationSummary(eqx.Module):
    """How much the draws of a chain repeat each other, for each coordinate of the observable.

    **Fields** (float64, of the observable's shape where not said otherwise):

    - `ess`: effective number of independent draws for the mean, over all chains. 0 for a
        coordinate that never changes or is not finite; more than `chains * draws` for
        anticorrelated draws.
    - `time`: `chains * draws / ess`, the integrated autocorrelation time in draws (infinite where
        `ess` is 0).
    - `correlation`: autocorrelations at lags `0, 1, ...`, shape `(lags, *shape)`.
    - `block`: draws averaged into one before the sum over lags, a power of 2.
    - `resolved`: whether the sum over lags ended before the lags kept did, or took all lags of the
        run. Where it is false, correlations outlast the lags kept, and `ess` is too large. Chains
        that do not mix are resolved: by the spread of their means each counts as one draw at most.
    - `chains`, `draws`: how many chains, and draws of each.
    """

    ess: np.ndarray = eqx.field(converter=np.asarray)
    time: np.ndarray = eqx.field(converter=np.asarray)
    correlation: np.ndarray = eqx.field(converter=np.asarray)
    block: np.ndarray = eqx.field(converter=np.asarray)
    resolved: np.ndarray = eqx.field(converter=np.asarray)
    chains: int
    draws: int


class LagState(NamedTuple):
    """One chain's sums, level by level: level `l` sees means of `2^l` draws.

    Draws are taken as deviations from the first one, `shift`. A level is one array, with the rows
    of `_rows` and the observable's own axes; levels are arrays of their own, because compilers
    then leave those alone that nothing happens to.
    """

    shift: Array
    levels: tuple[Array, ...]


class _Level(NamedTuple):
    """What is kept at one level; the last four rows are sums and what rounding lost of them."""

    pending: Array  # the first block of a pair that is not complete
    recent: Array  # the last blocks, newest first
    head: Array  # the first blocks
    totals: Sum  # the sum of blocks
    products: Sum  # sums of products with the block 0, 1, ... before


def _rows(level, axis: int) -> _Level:
    """The rows of a level along `axis`: `1 + lags + lags + 2 + 2 * lags` of them."""
    lags = (level.shape[axis] - 3) // 4

    def take(first, count):
        return level[(slice(None),) * axis + (slice(first, first + count),)]

    return _Level(
        take(0, 1),
        take(1, lags),
        take(1 + lags, lags),
        Sum(take(1 + 2 * lags, 1), take(2 + 2 * lags, 1)),
        Sum(take(3 + 2 * lags, lags), take(3 + 3 * lags, lags)),
    )


def start_lags(like, levels: int, lags: int) -> LagState:
    """The state before any draw; `like` has the shape of one. Of 16 bits it is float32."""
    one = empty_sum(like).total
    return LagState(one, (jnp.zeros((3 + 4 * lags, *one.shape), one.dtype),) * levels)


def update_lags(state: LagState, x: Array, index: Array) -> LagState:
    """The state after draw number `index` (from 0), `x`.

    Blocks of two go up a level, as in a multiple-tau correlator (Magatti and Ferri 2001): two
    levels a draw on average, however many there are.
    """
    x = x.astype(state.shift.dtype)
    shift = jnp.where(index == 0, x, state.shift)

    def push(levels, d, k):
        old = _rows(levels[0], 0)
        recent = jnp.concatenate([d, old.recent[:-1]])
        lags = recent.shape[0]
        first = (jnp.arange(lags) == k).reshape((lags,) + (1,) * (d.ndim - 1))
        head = jnp.where(first, d, old.head)
        new = _Level(d, recent, head, add(old.totals, d), add(old.products, recent * d))
        here, above = jnp.concatenate(jax.tree.leaves(new)), levels[1:]
        if above:  # after an odd block a pair is complete
            mean = 0.5 * (old.pending + d)
            above = jax.lax.cond(
                k % 2 == 1, push, lambda above, mean, k: above, above, mean, k // 2
            )
        return (here, *above)

    return LagState(shift, push(state.levels, (x - shift)[None], jnp.asarray(index, jnp.int32)))


def _covariances(state: LagState, level: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Each chain's mean block, `(chains, *shape)`, and autocovariances, `(chains, lags, *shape)`.

    About the chain's own mean, with divisor `blocks`; of the lags that there are.
    """
    kept = _rows(np.asarray(state.levels[level]), 1)
    totals, products = value(kept.totals)[:, 0], value(kept.products)
    lags = min(products.shape[1], blocks)
    mean = totals / blocks

    def without(edge):  # sums of all blocks but the first (or last) 0, 1, ..., lags - 1
        seen = np.cumsum(np.asarray(edge, np.float64), axis=1)[:, : lags - 1]
        none = np.zeros_like(totals)[:, None]
        return totals[:, None] - np.concatenate([none, seen], axis=1)

    pairs = (blocks - np.arange(lags)).reshape((1, lags) + (1,) * (mean.ndim - 1))
    centre = mean[:, None]
    ends = without(kept.head) + without(kept.recent)
    return mean, (products[:, :lags] - centre * ends + pairs * centre**2) / blocks


def _geyer(rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integrated autocorrelation time by Geyer's initial monotone sequence; whether it ended.

    `rho` has shape `(lags, *shape)`, an even number of lags. As in Stan (arXiv 1903.08008), the
    first even term after the positive pairs is kept once.
    """
    even, odd = rho[0::2], rho[1::2]
    positive = np.logical_and.accumulate(even + odd > 0, axis=0)
    kept = positive.sum(axis=0)
    pairs = np.where(positive, even + odd, 0.0)
    ended = kept < len(even)
    after = np.minimum(kept, len(even) - 1)
    extra = np.maximum(np.take_along_axis(even, after[None], axis=0)[0], 0.0)
    pairs = np.minimum.accumulate(pairs, axis=0)
    time = -1.0 + 2.0 * pairs.sum(axis=0) + np.where(ended, extra, 0.0)
    return np.asarray(time), np.asarray(ended)


def finish_lags(state: LagState, draws: int) -> AutocorrelationSummary:
    """The summary, from the states of chains (leading axis) after `draws` draws each.

    The sum over lags is taken at the lowest level at which it ends within the lags there are; at
    level 0 the result is that of `effective_sample_size`.
    """
    levels, lags = len(state.levels), (state.levels[0].shape[1] - 3) // 4
    shape = state.shift.shape[1:]
    chains = state.shift.shape[0]
    ess, block = np.zeros(shape), np.ones(shape, np.int64)
    resolved = np.zeros(shape, bool)
    correlation = np.zeros((min(lags, draws), *shape))
    variance = np.zeros(shape)
    shift = np.asarray(state.shift, np.float64)
    for level in range(levels):
        blocks = draws >> level
        if blocks < 4:
            break
        mean, covariances = _covariances(state, level, blocks)
        covariance = mean_over_chains(covariances)
        means = shift + mean
        between = np.zeros(shape)
        if chains > 1:
            between = sum_over_chains((means - mean_over_chains(means)) ** 2) / (chains - 1)
        within = covariance[0] * blocks / (blocks - 1)
        total = covariance[0] + between
        safe = np.where(total > 0, total, 1.0)
        rho = 1.0 - (within - covariance) / safe
        rho[0] = 1.0
        rho = rho[: len(rho) - len(rho) % 2]
        if level == 0:
            variance, correlation = total, np.where(total > 0, rho, 0.0)
        time, ended = _geyer(rho)
        ended = ended | (blocks <= lags)
        time = np.maximum(time, 1.0 / np.log10(chains * blocks))
        # The mean's variance is total * time / (chains * blocks).
        here = np.where(total > 0, variance / safe * chains * blocks / time, 0.0)
        new = ~resolved
        ess, block = np.where(new, here, ess), np.where(new, 1 << level, block)
        resolved = resolved | ended
        if resolved.all():
            break
    time = np.where(ess > 0, chains * draws / np.where(ess > 0, ess, 1.0), np.inf)
    return AutocorrelationSummary(ess, time, correlation, block, resolved, chains, draws)
