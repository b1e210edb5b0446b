import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gamma, gammainc

from gaugebias.design import monotone


class Line(eqx.Module):
    """`slope |w|`: its number is an array, so that tests share its compilation."""

    slope: jax.Array = eqx.field(converter=jnp.asarray)

    def __call__(self, w):
        return self.slope.astype(w.dtype) * jnp.abs(w)


@pytest.fixture(scope="module")
def laplace():
    return monotone(Line(-3.0), symmetric=True)


def exact(u):
    return -jnp.sign(u) / 3.0 * jnp.log1p(-3.0 * jnp.abs(u))


@pytest.mark.slow
def test_blow_up_at_finite_u_against_the_closed_form(laplace):
    u = jnp.linspace(-0.3333, 0.3333, 1001)
    assert laplace.folds[1] == pytest.approx(1.0 / 3.0, rel=1e-9)
    np.testing.assert_allclose(laplace(u), exact(u), atol=2e-8)
    assert jnp.all(jnp.diff(laplace(u)) > 0.0)
    w = jnp.concatenate([jnp.linspace(-4.0, 4.0, 301), jnp.asarray([-1e-7, 0.0, 1e-10])])
    np.testing.assert_allclose(
        laplace.inverse(w), np.sign(w) * -np.expm1(-3 * np.abs(w)) / 3.0, atol=1e-11
    )
    np.testing.assert_allclose(laplace(laplace.inverse(w)), w, atol=1e-8)
    assert laplace.accuracy < 1e-5


def test_derivatives_both_ways_are_those_of_the_table(laplace):
    """The custom derivative against finite differences of the table, and its own derivative."""
    u, h = jnp.linspace(-0.28, 0.28, 30), 1e-6
    slope = jax.vmap(jax.grad(laplace))(u)
    np.testing.assert_allclose(slope, (laplace(u + h) - laplace(u - h)) / (2 * h), rtol=1e-6)
    bend = jax.vmap(jax.grad(jax.grad(laplace)))(u + 1e-3)
    x = u + 1e-3
    np.testing.assert_allclose(bend, np.sign(x) * 3.0 / (1.0 - 3.0 * np.abs(x)) ** 2, rtol=1e-6)
    w = laplace(u)
    np.testing.assert_allclose(jax.vmap(jax.grad(laplace.inverse))(w) * slope, 1.0, rtol=1e-9)


def test_the_error_stated_is_relative_to_the_scale():
    """At a scale of 1e-6 an error over `max(|w|, 1e-3)` would be one of next to nothing."""
    map = monotone(Line(-3e6), symmetric=True, scale=1e-6)
    w = jnp.linspace(0.01, 0.999, 4001) * map.reach[1]
    found = float(jnp.max(jnp.abs(map(map.inverse(w)) / w - 1.0)))
    assert 0.05 * map.accuracy < found <= 1.05 * map.accuracy


def test_compiles_and_maps_and_reflects(laplace):
    u = jnp.linspace(-0.3, 0.3, 12).reshape(3, 4)
    np.testing.assert_array_equal(jax.jit(lambda m, x: m(x))(laplace, u), laplace(u))
    np.testing.assert_allclose(jax.vmap(laplace)(u), laplace(u), atol=0)
    end = laplace.folds[1]
    np.testing.assert_allclose(laplace(2 * end - u), laplace(u), atol=1e-9)


def test_powers_keep_relative_accuracy_on_every_scale():
    map = monotone(lambda w: -0.4 * jnp.log(jnp.abs(w)), symmetric=True)
    u = jnp.logspace(-4, 3, 401)
    np.testing.assert_allclose(map(u), (0.6 * u) ** (1 / 0.6), rtol=1e-12)
    np.testing.assert_allclose(map(-u), -map(u), atol=0)
    assert map.folds == (None, None)


@pytest.mark.slow
def test_walls_are_reflected_as_a_sine():
    map = monotone(lambda w: -0.5 * jnp.log1p(-w * w), lower=-1.0, upper=1.0)
    u = jnp.linspace(-7.0, 7.0, 501)
    np.testing.assert_allclose(map(u), jnp.sin(u), atol=1e-9)
    np.testing.assert_allclose(jax.vmap(jax.grad(map))(u), jnp.cos(u), atol=1e-7)
    assert np.isnan(map.inverse(jnp.asarray(1.5)))
    assert not np.any(map.beyond(u))
    half = monotone(lambda w: -3.0 * w, lower=0.0)
    end = half.folds[1] or 0.0
    np.testing.assert_array_equal(
        half.beyond(end * jnp.asarray([0.5, -0.5, 1.1, -1.1])), [False, False, True, True]
    )


@pytest.mark.slow
def test_distances_in_several_dimensions():
    """u^3 du = w^3 exp(-3 w) dw: an incomplete gamma function."""
    map = monotone(Line(-3.0), lower=0.0, dimension=4)
    w = np.linspace(0.01, 4.0, 60)
    u = (4 * gamma(4) / 3**4 * gammainc(4, 3 * w)) ** 0.25
    np.testing.assert_allclose(map(jnp.asarray(u)), w, atol=1e-7)
    np.testing.assert_allclose(map.inverse(jnp.asarray(w)), u, rtol=1e-9)
    x, h = jnp.asarray(u[5:40]), 1e-6
    slope = jax.vmap(jax.grad(map))(x)
    np.testing.assert_allclose(slope, (map(x + h) - map(x - h)) / (2 * h), rtol=1e-6)


@pytest.mark.slow
def test_float32_holds_to_1e_4():
    with jax.enable_x64(False):
        map = monotone(Line(-3.0), symmetric=True)
        u = jnp.linspace(-0.3, 0.3, 101)
        assert map(u).dtype == jnp.float32
        np.testing.assert_allclose(map(u), exact(u), atol=2e-5)
        np.testing.assert_allclose(map(map.inverse(map(u))), map(u), atol=1e-4)


def test_nan_stays_nan(laplace):
    bad = jnp.asarray([jnp.nan, jnp.inf])
    assert np.isnan(laplace(bad)[0]) and np.isnan(laplace.inverse(bad)[0])
    assert np.isnan(jax.grad(laplace)(bad[0]))
