"""Losses of linear models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

A = jnp.asarray(np.random.default_rng(0).standard_normal((3, 5)))
X = jnp.asarray(np.random.default_rng(1).standard_normal(5))


def test_values():
    z = A @ X
    y = jnp.array([0.1, 0.5, 0.9])
    squared = flows.LinearModel(A, y)
    assert float(squared(X)) == pytest.approx(float(jnp.mean((z - y) ** 2)) / 2)
    p = 1 / (1 + jnp.exp(-z))
    logistic = flows.LinearModel(A, y, link="logistic")
    assert float(logistic(X)) == pytest.approx(float(jnp.mean((p - y) ** 2)) / 2)
    entropy = flows.LinearModel(A, y, link="logistic", loss="cross-entropy")
    kl = y * jnp.log(y / p) + (1 - y) * jnp.log((1 - y) / (1 - p))
    assert float(entropy(X)) == pytest.approx(float(jnp.mean(kl)))
    # Canonical: the gradient is A^T (p - y)/n.
    np.testing.assert_allclose(jax.grad(entropy)(X), A.T @ (p - y) / 3, rtol=1e-10)
    np.testing.assert_allclose(1 / (1 + jnp.exp(-entropy.targets)), y, rtol=1e-12)
    own = flows.LinearModel(A, y, link=jnp.tanh, loss=lambda f, t: jnp.abs(f - t) ** 3)
    assert float(own(X)) == pytest.approx(float(jnp.mean(jnp.abs(jnp.tanh(z) - y) ** 3)))


def test_rows():
    y = jnp.array([0.1, 0.5, 0.9])
    some = flows.LinearModel(A, y).rows(jnp.array([2, 2]))
    assert float(some(X)) == pytest.approx(float((A[2] @ X - 0.9) ** 2) / 2)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match=r"`y` must lie in \(0, 1\).*entry 2"):
        flows.LinearModel(A, jnp.array([0.1, 0.5, 1.0]), link="logistic")
    with pytest.raises(ValueError, match='needs `link="logistic"`'):
        flows.LinearModel(A, jnp.ones(3), loss="cross-entropy")
    with pytest.raises(ValueError, match="`y` must have shape"):
        flows.LinearModel(A, jnp.ones(2))
    with pytest.raises(ValueError, match="`targets` are not known"):
        flows.LinearModel(A, jnp.ones(3), link=jnp.tanh).targets  # noqa: B018
