"""Distances modulo a group."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.symmetry import Rescaling, RightOrthogonal, Translation


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


NETWORK = {"w1": normal(1, 4, 3), "b1": normal(2, 4), "w2": normal(3, 2, 4)}
UNITS = Rescaling(("w1", "b1"), "w2", axes=((0, 0), 1))


def test_networks_that_differ_by_a_group_element_only():
    other = UNITS.flow(NETWORK, jnp.array([1.5, -0.7, 0.2, -2.0]))
    got = gb.distance_modulo(UNITS, NETWORK, other)
    assert got.plain > 3.0 and got.distance < 1e-8 * got.plain
    np.testing.assert_allclose(got.aligned["w1"], other["w1"], atol=1e-7)
    np.testing.assert_allclose(jnp.sum(got.coefficients, axis=0), [1.5, -0.7, 0.2, -2.0], atol=1e-7)
    assert got.element == 0 and got.rate < 1e-6


def test_networks_that_differ_by_more():
    """A real change stays: the distance is between zero and the one without alignment."""
    other = UNITS.flow(NETWORK, jnp.array([1.5, -0.7, 0.2, -2.0]))
    other["w1"] = other["w1"].at[0, 0].add(0.5)
    got = gb.distance_modulo(UNITS, NETWORK, other)
    assert 0.05 < got.distance < 0.5 and got.rate < 1e-6
    # The slope vanishes along every unit: a minimum of the distance.
    gap = jax.tree.map(jnp.subtract, got.aligned, other)
    np.testing.assert_allclose(UNITS.cotangent(got.aligned, gap), 0.0, atol=1e-6)


@pytest.mark.parametrize("reflected", [pytest.param(False, marks=pytest.mark.slow), True])
def test_rotations_agree_with_procrustes(reflected):
    """The least |a O - b| over rotations is known from singular values; O(3) by a reflection."""
    a, b = normal(4, 5, 3), normal(5, 5, 3)
    u, s, vt = np.linalg.svd(a.T @ b)
    sign = np.sign(np.linalg.det(u @ vt))
    best = s.sum() if reflected else s[:2].sum() + sign * s[2]
    expected = np.sqrt(np.sum(a**2) + np.sum(b**2) - 2.0 * best)
    flips = (lambda p: p * jnp.array([[1.0, 1.0, -1.0]]),) if reflected else ()
    got = gb.distance_modulo(RightOrthogonal(lambda p: p), a, b, elements=flips)
    np.testing.assert_allclose(got.distance, expected, rtol=1e-8)
    assert got.element == (1 if reflected and sign < 0 else 0)


def test_what_it_refuses():
    a = {"u": jnp.ones(2)}
    with pytest.raises(ValueError, match="`a` and `b` must have the same structure"):
        gb.distance_modulo(Translation("u"), a, {"u": jnp.ones(3)})
    with pytest.raises(ValueError, match="`starts` is 0"):
        gb.distance_modulo(Translation("u"), a, a, starts=0)
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda p: gb.distance_modulo(Translation("u"), p, p).distance)(a)
    with pytest.raises(ValueError, match="not finite at any start"):
        gb.distance_modulo(Translation("u"), a, {"u": jnp.array([1.0, jnp.nan])})
