"""Sums over streams that are as long as one likes."""

import jax
import jax.numpy as jnp
import numpy as np

from gaugebias.stats._streaming import (
    add_to_pair,
    empty_pair,
    mean_over_chains,
    sum_over_chains,
    value,
)


def test_a_long_sum_in_float32_keeps_its_digits():
    """200,000 numbers of mean 1: below one rounding (6e-8), where plain sums lose 7e-5."""
    x = jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, 500), jnp.float32)

    @jax.jit
    def total(x):
        def step(i, carry):
            running, pair, plain = carry
            term = x[i % 500]
            new = running[0] + term
            shadow = new - running[0]
            lost = running[1] + ((running[0] - (new - shadow)) + (term - shadow))
            return (new, lost), add_to_pair(pair, term), plain + term

        start = ((jnp.float32(0.0), jnp.float32(0.0)), empty_pair(x[0]), jnp.float32(0.0))
        return jax.lax.fori_loop(0, 200_000, step, start)

    running, pair, plain = total(x)
    exact = 400 * np.asarray(x, np.float64).sum()
    by_hand = float(running[0]) + float(running[1])
    assert abs(by_hand / exact - 1) < 1e-8
    assert value(pair) == by_hand
    assert abs(float(plain) / exact - 1) > 1e-5


def test_numbers_of_16_bits_are_summed_in_float32():
    x = jnp.asarray(np.random.default_rng(2).uniform(0.5, 1.5, 300), jnp.bfloat16)
    pair = jax.lax.fori_loop(0, 300, lambda i, s: add_to_pair(s, x[i]), empty_pair(x[0]))
    assert pair.dtype == jnp.complex64
    np.testing.assert_allclose(value(pair), np.asarray(x, np.float64).sum(), rtol=1e-7)


def test_sums_over_chains_are_taken_in_blocks_of_64_in_float64():
    x = np.random.default_rng(1).normal(size=(150, 3)).astype(np.float32)
    y = x.astype(np.float64)
    blocks = (y[:64].sum(0) + y[64:128].sum(0)) + y[128:].sum(0)
    np.testing.assert_array_equal(sum_over_chains(x), blocks)
    np.testing.assert_allclose(mean_over_chains(x), y.mean(0), rtol=1e-13)
