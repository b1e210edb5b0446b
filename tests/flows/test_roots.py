"""Roots of increasing functions."""

import jax
import jax.numpy as jnp
import numpy as np

from gaugebias.flows._roots import increasing_root

INF = jnp.full(3, jnp.inf)


def cube_root(y):
    low, high = jnp.full_like(y, -jnp.inf), jnp.full_like(y, jnp.inf)
    return increasing_root(lambda t: t + t**3, y, low, high, jnp.zeros_like(y))


def test_far_and_near():
    y = jnp.array([-1e12, 1e-9, 3e5])
    t = cube_root(y)
    np.testing.assert_allclose(t + t**3, y, rtol=1e-14)


def test_derivatives_are_those_of_the_inverse_function():
    first = jax.grad(lambda y: cube_root(y[None])[0])
    t = float(cube_root(jnp.array([2.0]))[0])
    slope = 1.0 / (1.0 + 3.0 * t**2)
    np.testing.assert_allclose(first(2.0), slope, rtol=1e-13)
    np.testing.assert_allclose(jax.grad(first)(2.0), -6.0 * t * slope**3, rtol=1e-12)


def test_what_is_not_attained_is_nan():
    y = jnp.array([0.5, 0.999999, 3.0])
    t = increasing_root(jnp.tanh, y, -INF, INF, jnp.zeros(3))
    np.testing.assert_allclose(t[:2], np.arctanh(y[:2]), rtol=1e-9)
    assert np.isnan(t[2])


def test_a_bracket_with_singular_ends():
    y = jnp.array([-1e6, 0.1, 1e6])
    ones = jnp.ones(3)
    t = increasing_root(lambda z: z / (1.0 - z**2), y, -ones, ones, jnp.zeros(3))
    np.testing.assert_allclose(t / (1.0 - t**2), y, rtol=1e-9)
