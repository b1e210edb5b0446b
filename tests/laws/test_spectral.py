"""Spectra of matrix laws: closed forms, and laws that have no spectrum of their own."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.laws import (
    DensityLaw,
    LawRefused,
    NotNormalisable,
    conditioned,
    horizontal,
    projected,
    spectral,
)
from gaugebias.quotient import Domain, Quotient
from gaugebias.symmetry import (
    GeneralLinear,
    RightOrthogonal,
    symmetric_from_vector,
    vector_from_symmetric,
)

T = 0.3


def differences(values):
    values = np.asarray(values)
    return values - values[0]


def factors_lift(w):
    left, s, right = jnp.linalg.svd(w, full_matrices=False)
    root = jnp.sqrt(s)[None, :]
    return left * root, right.T * root


FACTORS = Quotient(
    lambda p: p[0] @ p[1].T,
    GeneralLinear(lambda p: p[0], lambda p: p[1], axes=(1, 1)),
    lift=factors_lift,
    at=(jnp.array([[1.0, 0.2], [0.1, 0.8]]), jnp.array([[0.7, -0.3], [0.2, 1.1]])),
)
SPECTRA = np.array([[1.0, 0.3], [2.0, 0.1], [0.7, 0.6]])


def energy(w):
    return 0.25 * jnp.sum((w.T @ w - jnp.eye(2)) ** 2)


def test_square_factorisation_with_horizontal_noise():
    law = spectral(horizontal(FACTORS, energy, T))
    s1, s2 = SPECTRA.T
    expected = -0.25 * np.sum((SPECTRA**2 - 1) ** 2, axis=1) / T
    expected = expected - 0.5 * np.log(s1 * s2) + np.log(s1 - s2)
    weights = -law.effective_loss(SPECTRA) / T
    np.testing.assert_allclose(differences(weights), differences(expected), atol=1e-8)


def test_conditioning_a_square_factorisation_is_refused_at_det_zero():
    with pytest.raises(NotNormalisable, match="least singular value"):
        conditioned(FACTORS, energy, T)


def gram_lift(z):
    values, vectors = jnp.linalg.eigh(symmetric_from_vector(z))
    return (vectors * jnp.sqrt(values)[None, :]) @ vectors.T


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_gram_matrices_with_projected_noise(beta):
    q = Quotient(
        lambda u: vector_from_symmetric(u @ u.T),
        RightOrthogonal(lambda u: u),
        lift=gram_lift,
        at=jnp.array([[1.0, 0.2], [0.1, 0.8]]),
    )
    # The domain is only looked at by log_density: the cone of positive matrices is not a box.
    box = Domain(np.array([0.5, 0.5, -0.3]), np.array([3.0, 3.0, 0.3]))
    law = projected(q, lambda z: 0.5 * (z[0] + z[1]), 1.0, 1.0, beta, domain=box)
    out = spectral(law, "positive")
    w1, w2 = SPECTRA.T
    power = 0.5 * (beta**2 - 1)
    expected = -0.5 * (w1 + w2) - 0.5 * np.log(w1 * w2) + np.log(w1 - w2)
    expected = expected + power * np.log(w1 + w2)
    weights = -out.effective_loss(SPECTRA)
    np.testing.assert_allclose(differences(weights), differences(expected), atol=1e-8)


def test_symmetric_matrices_given_by_coordinates_or_entries():
    line = lambda n: Domain(np.full(n, -np.inf), np.full(n, np.inf))  # noqa: E731
    vector = spectral(DensityLaw(lambda x, at: -0.5 * jnp.sum(x**2) / at, line(3)), "eigen")
    np.testing.assert_allclose(vector.log_normaliser(), np.log(2 * np.sqrt(np.pi)), atol=1e-8)
    assert vector.shape == (2,) and vector.domain.ordered
    assert float(vector.log_density(np.array([0.0, 1.0]))) == -np.inf


def test_laws_without_rotation_invariance_are_refused():
    line = Domain(np.full(4, -np.inf), np.full(4, np.inf))
    law = DensityLaw(lambda w, at: -jnp.sum(w**4) / at, line, shape=(2, 2))
    with pytest.raises(LawRefused, match="rotation") as error:
        spectral(law)
    assert not error.value.conditions[-1].holds
    with pytest.raises(ValueError, match="`kind`"):
        spectral(law, "other")
    with pytest.raises(ValueError, match="ordered"):
        spectral(law, domain=Domain(np.zeros(2), np.ones(2)))
