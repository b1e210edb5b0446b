"""The inverse of the normal distribution in float32, on every number it can be asked for."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import ndtri

from gaugebias.dynamics._runs._normal import from_bits, standard_normal
from gaugebias.dynamics._runs._path import chain_keys, ensemble_noise, step_noise
from gaugebias.dynamics._runs._threefry import unrolled

KEY = jr.key(4)


def test_all_float32_numbers_against_the_exact_quantile():
    """All 2^23 of them: relative error below 6e-7, increasing, and a variance of one to 1e-6."""
    k = np.arange(2**23, dtype=np.uint32)
    got = np.asarray(jax.jit(from_bits)(jnp.asarray(k << 9)), np.float64)
    u = k * 2.0**-22 - 1 + 2.0**-24  # jax's uniform numbers; exact in float32
    exact = -np.sign(u) * ndtri(np.minimum(1 + u, 1 - u) / 2)
    assert np.max(np.abs(got / exact - 1)) < 6e-7
    assert np.all(np.diff(got) >= 0)
    assert abs(got.mean()) < 1e-6 and abs(got.var() - 1) < 1e-6


def test_numbers_are_those_of_jax():
    for dtype, tolerance in ((jnp.float64, 0.0), (jnp.float32, 8e-6), (jnp.float16, 0.0)):
        ours, stock = standard_normal(KEY, (999,), dtype), jr.normal(KEY, (999,), dtype)
        assert ours.dtype == stock.dtype
        np.testing.assert_allclose(ours, stock, rtol=tolerance)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("axis", [0, -1])
def test_the_noise_of_all_chains_is_that_of_each(dtype, axis, users_emitters):
    """Bit for bit by either generator, on either axis, and of no key but its own."""
    keys = chain_keys(KEY, 9)
    shapes = {"a": jax.ShapeDtypeStruct((3, 2), dtype), "b": jax.ShapeDtypeStruct((), dtype)}
    step = jnp.int32(7)
    jit = functools.partial(jax.jit, compiler_options=users_emitters)
    each = jit(jax.vmap(lambda key: step_noise(key, step, shapes)))(keys)
    for which in (keys, unrolled(keys)):
        together = jit(lambda k: ensemble_noise(k, step, shapes, axis))(which)
        for name, z in together.items():
            np.testing.assert_array_equal(jnp.moveaxis(z, axis, 0), each[name])
    assert np.unique(np.concatenate([np.ravel(x) for x in each.values()])).size == 9 * 7
