"""Moments, histograms, quantiles and autocorrelations of streams against all draws at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.stats import QuantileSummary, effective_sample_size
from gaugebias.stats._autocorrelation import finish_lags
from gaugebias.stats._histogram import (
    as_edges,
    finish_histogram,
    start_histogram,
    update_histogram,
)
from gaugebias.stats._moments import finish_moments, start_moments, update_moments
from gaugebias.stats._multiple_tau import TOGETHER, settle_lags, start_lags, update_lags
from gaugebias.stats._quantile_sketch import Scale, finish_sketch, start_sketch, update_sketch


def autoregression(chains, draws, a, seed, shape=()):
    """Stationary AR(1) chains about 3, of integrated autocorrelation time (1 + a) / (1 - a)."""
    z = np.random.default_rng(seed).normal(size=(chains, draws, *shape))
    x = np.empty_like(z)
    x[:, 0] = z[:, 0] / np.sqrt(1 - a * a)
    for i in range(1, draws):
        x[:, i] = a * x[:, i - 1] + z[:, i]
    return x + 3.0


def streamed(x, start, update):
    """The states after all draws of `x`, shape (chains, draws, ...); they stay natively batched."""
    x = jnp.asarray(x)

    @jax.jit
    def run(x):
        def step(i, state):
            return update(state, x[:, i], i)

        return jax.lax.fori_loop(0, x.shape[1], step, start(x[:, 0]))

    return jax.tree.map(np.asarray, run(x))


def lags(x, levels, count):
    def update(state, v, i):
        state = update_lags(state, v[0], i)
        turns = jnp.where((i + 1) % TOGETHER == 0, 1, 0)
        return jax.lax.fori_loop(0, turns, lambda _, s: settle_lags(s, i + 1), state)

    start = np.moveaxis(x, 0, -1)[None]
    state = streamed(start, lambda v: start_lags(v[0], levels, count), update)
    moved = jax.tree.map(lambda a: np.moveaxis(a, -1, 0), state)
    return finish_lags(moved, x.shape[1])


def test_moments_are_those_of_all_draws():
    x = autoregression(70, 200, 0.8, 0, (2,))
    got = finish_moments(streamed(x, start_moments, update_moments), 200)
    flat = x.reshape(-1, 2)
    np.testing.assert_allclose(got.mean, flat.mean(0), rtol=1e-13)
    np.testing.assert_allclose(got.variance, flat.var(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(got.within, x.var(axis=1).mean(0), rtol=1e-12)
    means = x.mean(axis=1)
    np.testing.assert_allclose(got.chain_means, means, rtol=1e-13)
    np.testing.assert_allclose(got.standard_error, means.std(0, ddof=1) / np.sqrt(70), rtol=1e-11)
    assert (got.chains, got.draws) == (70, 200)
    alone = finish_moments(streamed(x[:1], start_moments, update_moments), 200)
    assert np.all(np.isinf(alone.standard_error))


def test_moments_in_float32_do_not_lose_a_large_offset():
    x = (1000.0 + autoregression(8, 5000, 0.2, 3)).astype(np.float32)
    got = finish_moments(streamed(x, start_moments, update_moments), 5000)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(got.variance, exact.var(ddof=1), rtol=1e-6)
    assert abs(got.mean - exact.mean()) < 1e-6


def test_histograms_are_those_of_all_draws_edges_included():
    edges = as_edges([0.0, 1.0, 2.5, 3.0, 4.0])
    x = np.concatenate([autoregression(5, 96, 0.5, 1), np.tile([0.0, 4.0, 2.5, np.nan], (5, 1))], 1)
    states = streamed(
        x,
        jax.vmap(lambda v: start_histogram(v, jnp.asarray(edges))),
        lambda s, v, i: jax.vmap(lambda s, v: update_histogram(s, v, jnp.asarray(edges)))(s, v),
    )
    got = finish_histogram(states, edges, 100)
    known = x[~np.isnan(x)]
    np.testing.assert_array_equal(got.counts, np.histogram(known, edges)[0])
    assert got.below == np.sum(known < 0.0) and got.above == np.sum(known > 4.0)
    assert got.undefined == 5
    assert got.counts.sum() + got.below + got.above + got.undefined == x.size
    inside = got.counts.sum() / x.size
    np.testing.assert_allclose(np.sum(got.density * np.diff(edges)), inside)


@pytest.mark.parametrize(
    "edges, message",
    [([1.0], "shape .bins"), ([0.0, 0.0, 1.0], "increasing"), ([0.0, np.inf], "finite")],
)
def test_edges_must_make_bins(edges, message):
    with pytest.raises(ValueError, match=message):
        as_edges(edges)


FLOATS = [np.float64, np.float32, np.float16, jnp.bfloat16]


def critical(points, dtype):
    """Each of the points, its two neighbours, zeros, infinities and what is not a number."""
    points = np.asarray(points, dtype)
    up, down = (np.nextafter(points, np.asarray(to, dtype)) for to in (np.inf, -np.inf))
    return np.concatenate(
        [points, up, down, np.asarray([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)]
    )


def bins_one_by_one(x, start, update):
    """The bin into which each entry of `x` goes, as a chain of its own."""
    states = np.asarray(jax.vmap(lambda v: update(start(v), v))(jnp.asarray(x)))
    np.testing.assert_array_equal(states.sum(axis=1), 1)
    return np.argmax(states, axis=1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_edges_belong_to_the_bin_above_them_to_the_last_digit(dtype):
    edges = as_edges([-2.0, -0.3, 0.0, 1 / 3, 1.0, 3.0])
    rounded = edges.astype(dtype).astype(np.float64)
    x = critical(edges[edges != 0], dtype)
    at = jnp.asarray(edges)
    got = bins_one_by_one(
        x, lambda v: start_histogram(v, at), lambda s, v: update_histogram(s, v, at)
    )
    x = x.astype(np.float64)
    want = np.searchsorted(rounded, x, side="right")
    assert np.sum(got != want) == 2  # the last edge, and what is not a number
    want[x == rounded[-1]], want[np.isnan(x)] = 5, 7
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_below_the_normal_ones_are_in_their_bin_or_in_that_of_zero(dtype):
    """XLA on CPUs computes with them as with zero."""
    tiny = float(jnp.finfo(dtype).smallest_subnormal)
    at = jnp.asarray(as_edges([-1.0, 0.0, 1.0]))
    got = bins_one_by_one(
        np.asarray([tiny, -tiny], dtype),
        lambda v: start_histogram(v, at),
        lambda s, v: update_histogram(s, v, at),
    )
    assert got[0] == 2 and got[1] in (1, 2)
    scale = Scale(0.02, 1e-3, 1e3)
    got = bins_one_by_one(
        np.asarray([tiny, -tiny], dtype),
        lambda v: start_sketch(v, scale),
        lambda s, v: update_sketch(s, v, scale),
    )
    assert got.tolist() == [scale.size + 1] * 2


def test_counts_of_several_coordinates_do_not_mix():
    edges = as_edges([-1.0, 0.0, 0.5, 2.0])
    x = np.random.default_rng(10).normal(size=(7, 60, 2, 3))
    at = jnp.asarray(edges)
    states = streamed(
        x,
        jax.vmap(lambda v: start_histogram(v, at)),
        lambda s, v, i: jax.vmap(lambda s, v: update_histogram(s, v, at))(s, v),
    )
    got = finish_histogram(states, edges, 60)
    want = np.array([[np.histogram(x[:, :, i, j], edges)[0] for j in range(3)] for i in range(2)])
    np.testing.assert_array_equal(got.counts, np.moveaxis(want, -1, 0))
    np.testing.assert_array_equal(got.below, np.sum(x < -1.0, axis=(0, 1)))
    # Every chain has its own, so that one that fails can be left out.
    alone = finish_histogram(states[2:3], edges, 60)
    np.testing.assert_array_equal(alone.counts[:, 1, 2], np.histogram(x[2, :, 1, 2], edges)[0])


@pytest.mark.parametrize("dtype", FLOATS)
def test_draws_lie_between_the_edges_of_their_bin_of_a_sketch(dtype):
    """To a rounding of the draw, or of the logarithm in float32 (1e-5 of a number this size)."""
    scale = Scale(0.02, 1e-3, 1e3)
    edges = scale.edges()
    x = critical(np.concatenate([edges[:: scale.size // 40], [-1e4, -1.0, 1e-4, 1.0, 1e4]]), dtype)
    got = bins_one_by_one(
        x, lambda v: start_sketch(v, scale), lambda s, v: update_sketch(s, v, scale)
    )
    x = x.astype(np.float64)
    np.testing.assert_array_equal(got == scale.bins - 1, np.isnan(x))
    slack = 1e-5 if dtype != np.float64 else 1e-12
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])

    def inside(bins):
        lower, upper = bounds[bins], bounds[bins + 1]
        lower, upper = lower * (1 - slack * np.sign(lower)), upper * (1 + slack * np.sign(upper))
        return (lower <= x) & (x <= upper)

    known = ~np.isnan(x)
    assert np.all(inside(np.where(known, got, 0))[known])
    beyond = known & (np.abs(x) < 900) & (np.abs(x) > 2e-3)
    assert not np.any(inside(np.where(beyond, got, 1) - 2)[beyond])  # two bins off is seen


def sketch(x, scale) -> QuantileSummary:
    states = streamed(
        x,
        jax.vmap(lambda v: start_sketch(v, scale)),
        lambda s, v, i: jax.vmap(lambda s, v: update_sketch(s, v, scale))(s, v),
    )
    return finish_sketch(states, scale, x.shape[1])


def test_quantiles_are_right_to_the_accuracy_stated():
    scale = Scale(0.02, 1e-2, 1e2)
    x = autoregression(6, 500, 0.9, 2, (2,)) - np.array([3.0, 0.0])
    got = sketch(x, scale)
    q = np.array([0.0, 0.003, 0.2, 0.5, 0.9, 0.999, 1.0])
    flat = x.reshape(-1, 2)
    exact = np.quantile(flat, q, axis=0, method="inverted_cdf")
    lower, upper = got.bounds(q)
    assert lower.shape == (7, 2) and np.all(lower <= exact) and np.all(exact <= upper)
    allowed = np.maximum(0.02 * np.abs(exact), 1e-2) * (1 + 1e-9)
    assert np.all(np.abs(got.quantile(q) - exact) <= allowed)
    assert got.quantile(0.5).shape == (2,)
    assert np.any(np.abs(sketch(x, Scale(0.3, 1e-2, 1e2)).quantile(q) - exact) > allowed)


def test_quantiles_beyond_the_range_or_of_undefined_draws_are_refused():
    x = np.array([[-500.0, 0.0, 0.001, 500.0, 1.0, 1.0, 2.0, 3.0]])
    got = sketch(x, Scale(0.02, 1e-2, 1e2))
    assert got.quantile(0.3) == 0.0  # within `smallest` of zero
    assert got.bounds(0.01)[0] == -np.inf and got.bounds(1.0)[1] == np.inf
    with pytest.raises(ValueError, match="a larger `largest`"):
        got.quantile(1.0)
    with pytest.raises(ValueError, match="`q` must lie between 0 and 1"):
        got.quantile(1.5)
    with pytest.raises(ValueError, match="1 draws are not a number"):
        sketch(np.array([[1.0, np.nan]]), Scale(0.02, 1e-2, 1e2)).quantile(0.5)


@pytest.mark.parametrize("chains, draws, a", [(20, 501, 0.5), (1, 1000, 0.3), (7, 64, -0.4)])
def test_the_effective_sample_size_is_that_of_all_draws_where_lags_suffice(chains, draws, a):
    x = autoregression(chains, draws, a, chains)
    got = lags(x, 6, 32)
    assert got.block == 1 and got.resolved
    np.testing.assert_allclose(got.ess, effective_sample_size(x), rtol=1e-10)
    np.testing.assert_allclose(got.time * got.ess, x.size)


@pytest.mark.parametrize("a, seed", [(0.95, 4), (0.99, 5)])
def test_long_correlations_are_summed_over_blocks(a, seed):
    """(1 + a) / (1 - a) draws make one; from 64 chains of 8000 draws that is known to 5-10 %."""
    x = autoregression(64, 8000, a, seed)
    got = lags(x, 12, 8)
    expected = x.size * (1 - a) / (1 + a)
    assert got.block > 1 and got.resolved
    assert abs(got.ess / expected - 1) < 0.25
    assert abs(got.ess / effective_sample_size(x) - 1) < 0.15
    np.testing.assert_allclose(got.correlation[:8], a ** np.arange(8), atol=0.05)
    # Summed over the lags there are, without blocks, the time would be far too short.
    unblocked = lags(x, 1, 8)
    assert not unblocked.resolved and unblocked.ess > 2 * expected


def test_chains_that_never_move_or_hardly_ever_have_no_effective_draws():
    still = lags(np.ones((4, 40)), 4, 8)
    assert still.ess == 0 and still.time == np.inf
    apart = lags(np.repeat(np.arange(6.0), 40).reshape(6, 40), 4, 8)
    assert apart.ess < 7  # six different numbers, however often repeated


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_quantiles_of_numbers_of_16_bits_are_right_to_the_accuracy_stated(dtype):
    """Their own logarithms are off by 0.4 and 3 %, more than a bin of 1 %."""
    x = jnp.asarray(autoregression(2, 400, 0.5, 7) - 3.0, dtype)
    got = sketch(x, Scale(0.01, 1e-3, 1e3))
    q = np.linspace(0.0, 1.0, 41)
    exact = np.quantile(np.asarray(x, np.float64), q, method="inverted_cdf")
    assert np.all(np.abs(got.quantile(q) - exact) <= np.maximum(0.0101 * np.abs(exact), 1e-3))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_autocorrelations_of_numbers_of_16_bits_are_those_of_the_same_numbers(dtype):
    """Sums of squares pass 65,504, the largest number of float16, and 8 bits cannot hold them."""
    x = jnp.asarray(autoregression(2, 30_000, 0.9, 8), dtype)
    got, want = lags(x, 6, 8), lags(np.asarray(x, np.float64), 6, 8)
    assert got.resolved and got.block == want.block
    np.testing.assert_allclose(got.ess, want.ess, rtol=1e-3)
    np.testing.assert_allclose(got.correlation, want.correlation, atol=1e-3)


def test_quantiles_have_any_range_that_float32_has():
    x = jnp.asarray([[-3.0, 1e-35, 2.0, 5e30, 7.0]], jnp.float32)
    got = sketch(x, Scale(0.01, 1e-30, 1e31))
    want = np.sort(np.asarray(x[0], np.float64))
    np.testing.assert_allclose(got.quantile(np.arange(1, 6) / 5), want, rtol=0.01, atol=1e-30)


@pytest.mark.parametrize("draws", [8, 60, 3000])
def test_chains_that_never_mix_are_no_more_draws_than_chains(draws):
    """Half of 40 chains sit at -1, half at 1, and hardly move; chains about one mean are told."""
    noise = 0.01 * np.random.default_rng(9).normal(size=(40, draws))
    stuck = lags(noise + np.where(np.arange(40) < 20, -1.0, 1.0)[:, None], 16, 16)
    assert 10 < stuck.ess <= 40
    mixed = lags(noise, 16, 16)
    assert mixed.resolved and mixed.ess > 0.5 * noise.size
