"""The inverse of the normal distribution: in float32 on every number it can be asked for."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import mpmath
import numpy as np
import pytest
from scipy.special import erfc, erfinv, ndtri

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


def relative_errors(u, z):
    """Of `z` as the normal quantile of `(1 + u) / 2`, with one Newton step where `u` is far out.

    There `erfc` of what was found is compared with `1 - |u|`, which is exact in float64.
    """
    near = np.abs(u) < 0.5
    out = np.abs(z / (np.sqrt(2) * erfinv(np.where(near, u, 0.1))) - 1)
    size = np.abs(z)
    density = np.sqrt(2 / np.pi) * np.exp(-(size**2) / 2)
    missed = (erfc(size / np.sqrt(2)) - (1 - np.abs(u))) / np.where(near, 1, density * size)
    return np.where(near, out, np.abs(missed))


def test_float64_numbers_against_the_exact_quantile():
    """A million of them, those next to 0 and to both ends, and those where polynomials meet.

    jax's own are wrong by 1e-10 far out, which the same judge finds.
    """
    powers, half = 2 ** np.arange(52), 2**51
    seam = half * (1 + np.sqrt(1 - np.exp(-8.0)) * (1 + np.linspace(-1e-6, 1e-6, 1001)))
    near = [[0], powers, 2**52 - powers, half + powers[:51], half - powers[:51], seam.astype(int)]
    k = np.concatenate([np.random.default_rng(0).integers(0, 2**52, 10**6), *near])
    k = np.sort(k).astype(np.uint64)
    got = np.asarray(jax.jit(from_bits)(jnp.asarray(k << np.uint64(12))))
    u = k * 2.0**-51 + np.nextafter(-1.0, 0.0)  # jax's uniform numbers
    assert np.max(relative_errors(u, got)) < 2e-15
    assert np.all(np.diff(got) >= -1e-15 * np.abs(got[1:]))
    assert np.max(np.abs(got)) < 8.3
    stock = np.sqrt(2) * np.asarray(jax.jit(jax.lax.erf_inv)(jnp.asarray(u)))
    assert 1e-11 < np.max(relative_errors(u, stock)) < 1e-9


def test_float64_numbers_are_right_to_rounding():
    """To the 1e-15 that is said, which the judge above is too rough to see."""
    draws, ends = np.random.default_rng(1).integers(0, 2**52, 3000), 2 ** np.arange(52)
    k = np.concatenate([draws, ends, 2**52 - ends]).astype(np.uint64)
    got = np.asarray(jax.jit(from_bits)(jnp.asarray(k << np.uint64(12))))
    with mpmath.workprec(120):
        for u, z in zip(k * 2.0**-51 + np.nextafter(-1.0, 0.0), map(mpmath.mpf, got), strict=True):
            missed = mpmath.erf(z / mpmath.sqrt(2)) - mpmath.mpf(u)  # one Newton step is enough
            slope = mpmath.sqrt(2 / mpmath.pi) * mpmath.exp(-(z**2) / 2)
            assert abs(missed / slope) < 1e-15 * abs(z)


def test_numbers_are_those_of_jax():
    for dtype, tolerance in ((jnp.float64, 1e-12), (jnp.float32, 8e-6), (jnp.float16, 0.0)):
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
