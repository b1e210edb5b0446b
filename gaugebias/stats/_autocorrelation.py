"""Autocovariances of a stream at lags of every size, and its effective sample size."""

import equinox as eqx
import numpy as np

from ._multiple_tau import LagState, LagSums, lag_sums
from ._streaming import mean_over_chains, sum_over_chains


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


def _covariances(sums: LagSums) -> tuple[np.ndarray, np.ndarray]:
    """Each chain's mean block, `(chains, *shape)`, and the mean over chains of autocovariances.

    These are about each chain's own mean, with divisor `blocks`; `(lags, *shape)`, of the lags that
    there are.
    """
    products, blocks = sums.products, sums.blocks
    lags = min(products.shape[1], blocks)
    mean = sums.total / blocks
    centre = mean[:, None]
    # Sums of products with the mean: of all blocks twice, without the first and the last k.
    edges = centre * (sums.first[:, : lags - 1] + sums.last[:, : lags - 1])
    parts = [products[:, :lags], centre**2, edges]
    products, square, edges = np.split(
        mean_over_chains(np.concatenate(parts, axis=1)), [lags, lags + 1]
    )
    without = np.concatenate([np.zeros_like(square), edges.cumsum(axis=0)])
    pairs = (blocks + np.arange(lags)).reshape((lags,) + (1,) * (mean.ndim - 1))
    return mean, (products - pairs * square + without) / blocks


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
    lags = state.products.shape[2]
    shape = state.shift.shape[1:]
    chains = state.shift.shape[0]
    ess, block = np.zeros(shape), np.ones(shape, np.int64)
    resolved = np.zeros(shape, bool)
    correlation = np.zeros((min(lags, draws), *shape))
    variance = np.zeros(shape)
    shift = np.ascontiguousarray(state.shift, np.float64)
    for level, sums in enumerate(lag_sums(state, draws)):
        blocks = sums.blocks
        if blocks < 4:
            break
        mean, covariance = _covariances(sums)
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
