"""Sums over lags that take draws sixteen at a time, against plain sums over all blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.stats._autocorrelation import finish_lags
from gaugebias.stats._multiple_tau import TOGETHER, lag_sums, settle_lags, start_lags, update_lags


def states_after_each(x, levels, lags):
    """The states after 1, 2, ... draws of `x`, (draws, chains, *shape); chains first, read-only."""
    x = jnp.moveaxis(jnp.asarray(x), 1, -1)

    def step(state, each):
        i, draw = each
        state = update_lags(state, draw, i)
        full = jnp.where((i + 1) % TOGETHER == 0, 1, 0)
        state = jax.lax.fori_loop(0, full, lambda _, s: settle_lags(s, i + 1), state)
        return state, state

    start = start_lags(x[0], levels, lags)
    after = jax.jit(lambda x: jax.lax.scan(step, start, (jnp.arange(len(x)), x))[1])(x)
    after = jax.tree.map(lambda a: np.moveaxis(np.asarray(a), -1, 1), after)
    for leaf in jax.tree.leaves(after):
        leaf.flags.writeable = False  # whoever looks at a state must leave it as it is
    return [jax.tree.map(lambda a, i=i: a[i], after) for i in range(len(x))]


def plain_sums(x, levels, lags):
    """Blocks of all levels by the definition; with them their sums, as `lag_sums` gives them."""
    blocks = np.asarray(x, np.float64) - np.asarray(x[0], np.float64)
    for _ in range(levels):
        n = len(blocks)
        products = np.zeros((lags, *blocks.shape[1:]))
        for k in range(min(lags, n)):
            products[k] = np.sum(blocks[k:] * blocks[: n - k], axis=0)
        yield n, blocks.sum(axis=0), products, blocks[:lags], blocks[::-1][:lags]
        blocks = 0.5 * (blocks[0 : n - n % 2 : 2] + blocks[1::2])


def agree(state, x, levels, lags):
    """Whether all sums of a state are those of the draws `x`."""

    def near(got, want):
        return got.shape == want.shape and np.allclose(got, want, rtol=1e-12, atol=1e-12)

    wanted = plain_sums(x, levels, lags)
    for got, (n, total, products, first, last) in zip(lag_sums(state, len(x)), wanted, strict=True):
        rows = (np.moveaxis(a, 1, 0) for a in (got.products, got.first[:, :n], got.last[:, :n]))
        found = (got.total, *rows)
        if got.blocks != n or not all(map(near, found, (total, products, first, last))):
            return False
    return True


@pytest.mark.parametrize("lags, shape", [(4, ()), (16, (2,)), (20, ())])
def test_sums_are_those_of_all_blocks_after_any_number_of_draws(lags, shape):
    x = np.random.default_rng(lags).normal(size=(291, 3, *shape)) + 5.0
    states = states_after_each(x, 5, lags)
    for draws, state in enumerate(states, 1):
        assert agree(state, x[:draws], 5, lags), draws
    # A draw too many, one that was left out, or two that changed places are seen at once.
    for draws in (15, 16, 17, 31, 33, 64, 255, 257):
        state = states[draws - 1]
        assert not agree(state, x[: draws + 1], 5, lags)
        assert not agree(state, np.delete(x[: draws + 1], draws // 2, axis=0), 5, lags)
        changed = x[:draws].copy()
        changed[[draws // 2, draws // 2 + 1]] = changed[[draws // 2 + 1, draws // 2]]
        assert not agree(state, changed, 5, lags)


def test_results_are_the_same_bits_however_a_state_lies_in_memory():
    """It comes from devices with chains last, and from other processes with chains first."""
    x = np.random.default_rng(3).normal(size=(203, 70, 2)).cumsum(axis=0)
    state = states_after_each(x, 4, 8)[-1]
    moved = jax.tree.map(
        lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0), state
    )
    apart = jax.tree.map(np.ascontiguousarray, state)
    assert moved.products.strides != apart.products.strides
    one, other = finish_lags(moved, 203), finish_lags(apart, 203)
    for name in ("ess", "time", "correlation", "block"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert np.any(one.block > 1)


def test_a_state_of_one_level_passes_nothing_up():
    x = np.random.default_rng(1).normal(size=(100, 2))
    for draws, state in enumerate(states_after_each(x, 1, 8), 1):
        assert agree(state, x[:draws], 1, 8)


def test_float32_sums_of_long_streams_are_right_to_one_rounding():
    """What is rounded within sixteen terms is lost and averages out; from there on it is kept.

    Without what is kept, the errors of ten thousand additions are some fifteen roundings.
    """
    draws, lags = 160_000, 8
    x = (2.0 + np.random.default_rng(2).normal(size=(draws, 4))).astype(np.float32)

    @jax.jit
    def run(x):
        def step(n, state):
            first = n * TOGETHER
            for i in range(TOGETHER):
                state = update_lags(state, x[first + i], first + i)
            return settle_lags(state, first + TOGETHER)

        return jax.lax.fori_loop(0, draws // TOGETHER, step, start_lags(x[0], 3, lags))

    state = jax.tree.map(lambda a: np.moveaxis(np.asarray(a), -1, 0), run(jnp.asarray(x)))
    eps = float(np.finfo(np.float32).eps)
    exact = plain_sums(x - x[0], 3, lags)  # deviations as they are taken, in float32
    for level, (got, want) in enumerate(zip(lag_sums(state, draws), exact, strict=True)):
        products = np.moveaxis(want[2], 0, 1)
        np.testing.assert_allclose(got.total, want[1], rtol=eps)
        np.testing.assert_allclose(got.products, products, rtol=eps)
        if level == 0:
            rounded = state.products[:, level].real[:, ::-1]
            assert np.abs(rounded / products - 1).max() > 8 * eps
