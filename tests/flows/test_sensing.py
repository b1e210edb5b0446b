"""Wide factorisations under commuting measurements."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from gaugebias import flows

D, N = 4, 2


@pytest.fixture(scope="module")
def sensing():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((D, D)))[0]
    rows = rng.standard_normal((N, D))
    x = np.einsum("ij,nj,kj->nik", basis, rows, basis)
    return jnp.asarray(x), jnp.asarray(rows @ np.array([1.0, -0.5, 0.0, 0.0]))


def test_the_flow_of_isotropic_factors_is_the_mirror_flow(sensing):
    """`exp(-[[0, S], [S, 0]])` on both sides of `c I`, by its matrix exponential."""
    x, y = sensing
    coefficients, c = np.array([0.7, -0.4]), 0.09
    s = np.einsum("n,nij->ij", coefficients, np.asarray(x))
    zero = np.zeros((D, D))
    step = expm(-np.block([[zero, s], [s, zero]]))
    made = (c * step @ step.T)[:D, D:]
    reached = np.einsum("nij,ij->n", np.asarray(x), made)
    found = flows.commuting_sensing(x, reached, np.sqrt(c / 50), 50)
    np.testing.assert_allclose(found.matrix, made, atol=1e-9)
    other = flows.commuting_sensing(x, reached, np.sqrt(c / 50), 100)
    assert np.max(np.abs(other.matrix - made)) > 1e-3


@pytest.mark.slow
def test_gradient_flow_from_an_isotropic_start_ends_at_the_prediction(sensing):
    """Rows of [U; V] that are exactly orthogonal: what Gaussian ones tend to as they get wider."""
    x, y = sensing
    size, width = 0.3, 2 * D
    found = flows.commuting_sensing(x, y, size / np.sqrt(width), width)
    zero, eye = jnp.zeros((D, D)), size * jnp.eye(D)
    start = (jnp.hstack([eye, zero]), jnp.hstack([zero, eye]))

    def loss(m):
        return 0.5 * jnp.sum((jnp.einsum("nij,ij->n", x, m) - y) ** 2)

    path = flows.gradient_flow(lambda w: w[0] @ w[1].T, loss, start, 1e3, stop=1e-10)
    np.testing.assert_allclose(path.end, found.matrix, atol=1e-7)
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvalsh(np.asarray(found.matrix))), np.sort(found.spectrum), atol=1e-12
    )
    other = flows.commuting_sensing(x, y, 0.5 * size / np.sqrt(width), width)
    assert float(jnp.max(jnp.abs(other.matrix - found.matrix))) > 1e-3
    assert float(found.fluctuation) == pytest.approx(size**2 / np.sqrt(width), rel=1e-12)


def test_measurements_that_coincide_on_a_block_need_no_basis_of_it():
    """Equal eigenvalues: any basis of the block gives the same matrix."""
    x = jnp.stack([jnp.diag(jnp.array([1.0, 1.0, 2.0])), jnp.eye(3)])
    found = flows.commuting_sensing(x, jnp.array([1.0, 0.4]), 0.01, 100)
    np.testing.assert_allclose(found.matrix[0, 0], found.matrix[1, 1], rtol=1e-9)
    np.testing.assert_allclose(found.matrix, jnp.diag(jnp.diag(found.matrix)), atol=1e-12)


def test_bad_input(sensing):
    x, y = sensing
    rng = np.random.default_rng(1)
    other = rng.standard_normal((N, D, D))
    with pytest.raises(ValueError, match="`measurements` must be symmetric, but number"):
        flows.commuting_sensing(other, y, 0.1, 8)
    with pytest.raises(ValueError, match="`measurements` 0 and 1 do not commute"):
        flows.commuting_sensing(other + other.transpose(0, 2, 1), y, 0.1, 8)
    with pytest.raises(ValueError, match="`measurements` must be finite matrices"):
        flows.commuting_sensing(x[:, 0], y, 0.1, 8)
    with pytest.raises(ValueError, match="`y` must have shape"):
        flows.commuting_sensing(x, y[:1], 0.1, 8)
    with pytest.raises(ValueError, match="`b` is not in the range of `A`"):
        flows.commuting_sensing(jnp.stack([x[0], x[0]]), jnp.array([0.0, 1.0]), 0.1, 8)
