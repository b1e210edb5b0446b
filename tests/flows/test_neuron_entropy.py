"""The potential of a single neuron."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

X = jnp.array([0.6, -1.1, 0.4])


@pytest.mark.parametrize("delta", [-0.7, 0.0, 1.3])
def test_gradient_hessian_conjugate(delta):
    q = flows.NeuronEntropy(delta)
    m = np.sqrt(float(jnp.sum(X**2)) + delta**2 / 4)
    assert float(q.value(X)) == pytest.approx(np.sqrt(m + delta / 2) * (m - delta), rel=1e-13)
    a, w = flows.neuron_start(X, delta)
    assert float(a**2 - jnp.sum(w**2)) == pytest.approx(delta, abs=1e-12)
    s, auto, back, from_conjugate, hessian, applied, dual = everything(q, X)
    np.testing.assert_allclose(s, 1.5 * np.asarray(w), rtol=1e-13)
    np.testing.assert_allclose(auto, s, rtol=1e-12)
    np.testing.assert_allclose(back, X, rtol=1e-12)
    np.testing.assert_allclose(from_conjugate, X, rtol=1e-12)
    np.testing.assert_allclose(applied, hessian, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(np.asarray(dual) @ np.asarray(hessian), np.eye(3), atol=1e-12)
    assert np.linalg.eigvalsh(hessian).min() > 0


@jax.jit
def everything(q, x):
    s, eye = q.gradient(x), jnp.eye(3)
    applied = jax.vmap(lambda v: q.hessian_apply(x, v))(eye)
    return (
        s,
        jax.grad(q.value)(x),
        q.from_dual(s),
        jax.grad(q.conjugate)(s),
        jax.hessian(q.value)(x),
        applied,
        q.dual_gram(s, eye),
    )


def test_domain():
    assert not bool(flows.NeuronEntropy(-1.0).contains(jnp.zeros(3)))
    assert bool(flows.NeuronEntropy(1.0).contains(jnp.zeros(3)))
    assert not bool(flows.NeuronEntropy(-1.0).contains_dual(jnp.zeros(3)))
    a, b = jnp.ones((1, 3)), jnp.ones(1)
    with pytest.raises(ValueError, match="outside the domain.*all of space without 0"):
        flows.certificate(flows.NeuronEntropy(-1.0), a, X, jnp.zeros(3), b)


def test_small_predictors_keep_their_digits():
    q = flows.NeuronEntropy(-2.0)
    x = 1e-9 * X
    # a = |x|/sqrt(2), w = sqrt(2) x/|x| to first order.
    expected = 1.5 * np.sqrt(2.0) * X / jnp.linalg.norm(X)
    np.testing.assert_allclose(q.gradient(x), expected, rtol=1e-9)
