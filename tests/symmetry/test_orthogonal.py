"""Rotations against matrix formulas, and the coordinates of symmetric matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from gaugebias.symmetry import (
    Conjugation,
    Orthogonal,
    RightOrthogonal,
    orbit_jacobian,
    symmetric_from_vector,
    vector_from_symmetric,
)

ANGLES = np.array([0.3, -0.8, 1.1])
SKEW = np.array([[0.0, 0.3, -0.8], [-0.3, 0.0, 1.1], [0.8, -1.1, 0.0]])
TURN = scipy.linalg.expm(SKEW)


def test_right(getkey):
    u = jax.random.normal(getkey(), (4, 3))
    act = RightOrthogonal("0")
    np.testing.assert_allclose(act.tangent((u,), ANGLES)[0], u @ SKEW, atol=1e-14)
    np.testing.assert_allclose(act.flow((u,), ANGLES)[0], u @ TURN, atol=1e-13)


def test_left(getkey):
    x = jax.random.normal(getkey(), (3,))
    act = Orthogonal(lambda p: p[0])
    np.testing.assert_allclose(act.tangent((x,), ANGLES)[0], SKEW @ x, atol=1e-14)
    np.testing.assert_allclose(act.flow((x,), ANGLES)[0], TURN @ x, atol=1e-13)
    m = jax.random.normal(getkey(), (3, 2))
    np.testing.assert_allclose(act.flow((m,), ANGLES)[0], TURN @ m, atol=1e-13)


def test_conjugation(getkey):
    x = jax.random.normal(getkey(), (3, 3))
    act = Conjugation("0")
    np.testing.assert_allclose(act.tangent((x,), ANGLES)[0], SKEW @ x - x @ SKEW, atol=1e-14)
    np.testing.assert_allclose(act.flow((x,), ANGLES)[0], TURN @ x @ TURN.T, atol=1e-13)
    s = np.asarray(x + x.T)
    both = act.flow((vector_from_symmetric(s),), ANGLES)[0]
    np.testing.assert_allclose(symmetric_from_vector(both), TURN @ s @ TURN.T, atol=1e-13)


def test_conjugation_orbit_volume_is_the_vandermonde_product():
    """At diag(l), |X_ij| = sqrt(2) |l_i - l_j| (2602.12257, Example 2)."""
    values = np.array([2.0, -1.0, 0.5])
    j = orbit_jacobian(Conjugation("0"), (vector_from_symmetric(np.diag(values)),))
    gaps = values[[0, 0, 1]] - values[[1, 2, 2]]
    np.testing.assert_allclose(j.T @ j, np.diag(2 * gaps**2), atol=1e-13)


def test_radial_orbit_gram_has_the_rank_and_pseudo_determinant_of_a_sphere(getkey):
    """The basis is orthonormal for an invariant product: pdet = |x|^4 anywhere on the orbit."""
    for _ in range(3):
        x = jax.random.normal(getkey(), (3,))
        x = 1.3 * x / jnp.linalg.norm(x)
        j = orbit_jacobian(Orthogonal("0"), (x,))
        eigenvalues = np.sort(np.linalg.eigvalsh(j.T @ j))
        np.testing.assert_allclose(eigenvalues, [0.0, 1.3**2, 1.3**2], atol=1e-13)


@pytest.mark.parametrize("size", [1, 2])
def test_small_rotations(size):
    act = RightOrthogonal("0")
    params = (jnp.ones((2, size)),)
    k = size * (size - 1) // 2
    assert act.algebra(params).shape == (k,)
    end = act.flow(params, jnp.full((k,), np.pi / 2))[0]
    expected = {1: [1.0], 2: [-1.0, 1.0]}[size]  # (1, 1) @ [[0, 1], [-1, 0]]
    np.testing.assert_allclose(end, [expected] * 2, atol=1e-14)
    assert act.cotangent(params, params).shape == (k,)


@pytest.mark.parametrize("d", [1, 3])
def test_symmetric_coordinates_are_orthonormal(d, getkey):
    n = d * (d + 1) // 2
    x = jax.random.normal(getkey(), (2, n))
    matrix = symmetric_from_vector(x)
    np.testing.assert_allclose(matrix, jnp.swapaxes(matrix, -1, -2))
    np.testing.assert_allclose(jnp.sum(matrix**2, (-1, -2)), jnp.sum(x**2, -1))
    np.testing.assert_allclose(vector_from_symmetric(matrix), x, atol=1e-14)
    np.testing.assert_allclose(jnp.diagonal(matrix[0]), x[0, :d])
    if d > 1:
        np.testing.assert_allclose(matrix[0, 0, 1], x[0, d] / np.sqrt(2))
    # each is the transpose of the other
    y = jax.random.normal(getkey(), (d, d))
    lhs = jnp.sum(symmetric_from_vector(x[0]) * y)
    assert float(lhs) == pytest.approx(float(x[0] @ vector_from_symmetric(y)))


def test_wrong_shapes():
    with pytest.raises(ValueError, match="`x` must have length"):
        symmetric_from_vector(jnp.ones(4))
    with pytest.raises(ValueError, match="`matrix` must be square"):
        vector_from_symmetric(jnp.ones((2, 3)))
    for shape in ((4,), (2, 3), (2, 2, 2), ()):
        with pytest.raises(ValueError, match="conjugation needs a square matrix"):
            Conjugation("0").algebra((jnp.ones(shape),))
    with pytest.raises(ValueError, match="the matrix size is 2 .* but 3"):
        Conjugation(("0", "1")).algebra((jnp.ones((2, 2)), jnp.ones(6)))
    with pytest.raises(ValueError, match="the rotated size is 2 .* but 3"):
        RightOrthogonal(("0", "1")).algebra((jnp.ones((4, 2)), jnp.ones((4, 3))))
    with pytest.raises(ValueError, match="`axis` must hold integers"):
        Orthogonal("0", axis=None)
