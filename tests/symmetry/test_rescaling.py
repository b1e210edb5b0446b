"""Rescaling, Scale and Translation against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.symmetry import Rescaling, Scale, Translation, orbit_jacobian


def test_hadamard_by_hand():
    u, v = jnp.array([1.0, -2.0]), jnp.array([3.0, 0.5])
    act = Rescaling(lambda p: p[0], lambda p: p[1])
    c = jnp.array([0.3, -0.7])
    tangent = act.tangent((u, v), c)
    np.testing.assert_allclose(tangent[0], c * u)
    np.testing.assert_allclose(tangent[1], -c * v)
    end = act.flow((u, v), c)
    np.testing.assert_allclose(end[0], jnp.exp(c) * u)
    np.testing.assert_allclose(end[1], jnp.exp(-c) * v)
    np.testing.assert_allclose(act.cotangent((u, v), (u, v)), u**2 - v**2)  # twice the moment map
    gram = orbit_jacobian(act, (u, v)).T @ orbit_jacobian(act, (u, v))
    np.testing.assert_allclose(gram, np.diag(u**2 + v**2))


def test_powers_keep_u_v_squared():
    act = Rescaling("0", "1", powers=(2.0, -1.0))
    u, v = jnp.array([1.5]), jnp.array([0.7])
    end = act.flow((u, v), jnp.array([0.4]))
    np.testing.assert_allclose(end[0] * end[1] ** 2, u * v**2, rtol=1e-14)
    np.testing.assert_allclose(end[0], u * jnp.exp(0.8))


def test_relu_neurons_keep_their_function(getkey):
    w, b, v = (jax.random.normal(getkey(), s) for s in ((5, 3), (5,), (2, 5)))
    act = Rescaling(("0", "1"), "2", axes=((0, 0), 1))
    x = jax.random.normal(getkey(), (3,))

    def predict(p):
        return p[2] @ jax.nn.relu(p[0] @ x + p[1])

    end = act.flow((w, b, v), jax.random.normal(getkey(), (5,)))
    np.testing.assert_allclose(predict(end), predict((w, b, v)), rtol=1e-12)


def test_shapes_of_coefficients():
    params = (jnp.ones((2, 3)), jnp.ones((2, 3)), jnp.ones(()))
    assert Rescaling("0", "1", axes=-1).algebra(params).shape == (3,)
    assert Rescaling("0", "1", axes=...).algebra(params).shape == (2, 3)
    assert Rescaling("0", "2", axes=None).algebra(params).shape == ()
    assert Translation("0", axis=1).algebra(params).shape == (2,)
    assert Translation("0", axis=...).algebra(params).shape == (2, 3)


def test_a_scalar_leaf_needs_the_axis_none():
    with pytest.raises(ValueError, match="`axes` asks for axis 0 of '0', which has shape"):
        Rescaling("0", "1").algebra((jnp.ones(()), jnp.ones(())))


@pytest.mark.parametrize("coeffs", [0.5, np.ones(3), (np.ones(2),), None])
def test_coefficients_of_the_wrong_shape(coeffs):
    act = Rescaling("0", "1")
    for method in (act.tangent, act.flow):
        with pytest.raises(ValueError, match="`coeffs` must have"):
            method((jnp.ones(2), jnp.ones(2)), coeffs)


def test_plain_numbers_are_coefficients():
    assert Scale("0").flow((jnp.ones(2),), 0)[0].tolist() == [1.0, 1.0]
    assert Scale("0").tangent((np.ones(2),), np.float64(2.0))[0].tolist() == [2.0, 2.0]


def test_powers_are_two_numbers():
    with pytest.raises(ValueError, match="`powers` must be two numbers"):
        Rescaling("0", "1", powers=(1.0, "x"))  # pyright: ignore


def test_softmax_shift(getkey):
    w, b = jax.random.normal(getkey(), (4, 3)), jax.random.normal(getkey(), (4,))
    x = jax.random.normal(getkey(), (3,))
    shifted = Translation("w").flow({"w": w, "b": b}, jax.random.normal(getkey(), (3,)))
    shifted = Translation("b").flow(shifted, 1.7)
    np.testing.assert_allclose(
        jax.nn.log_softmax(shifted["w"] @ x + shifted["b"]),
        jax.nn.log_softmax(w @ x + b),
        atol=1e-12,
    )
    assert Translation("w").cotangent({"w": w, "b": b}, {"w": w, "b": b}).shape == (3,)
