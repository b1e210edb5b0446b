"""Derivatives of singular-value routines, and orthonormal frames of any rank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from gaugebias.quotient._grams._linalg import (
    frame_rank,
    log_pseudo_det_gram,
    orthonormalise,
    pseudo_inverse,
)


def matrix(seed, rows=5, columns=3, rank=3):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns)))


@pytest.mark.parametrize("rank", [2, 3])
def test_the_pseudo_inverse_is_that_of_numpy_and_its_derivative_that_of_differences(rank):
    left, right = matrix(0, 5, rank, rank), matrix(1, rank, 3, rank)
    moved = matrix(2, 5, rank, rank)

    def path(t):  # a curve of constant rank
        return (left + t * moved) @ right

    np.testing.assert_allclose(pseudo_inverse(path(0.0)), np.linalg.pinv(path(0.0)), atol=1e-12)
    _, slope = jax.jvp(lambda t: pseudo_inverse(path(t)), (0.0,), (1.0,))
    h = 1e-5
    difference = (np.linalg.pinv(path(h)) - np.linalg.pinv(path(-h))) / (2 * h)
    np.testing.assert_allclose(slope, difference, atol=1e-7 * np.abs(difference).max())


@pytest.mark.slow  # as for the orbit Grams
def test_the_log_determinant_has_a_finite_hessian_at_equal_singular_values():
    def value(x):
        return log_pseudo_det_gram(x)

    def reference(x):
        return jnp.linalg.slogdet(x.T @ x)[1]

    frame = jnp.eye(4, 2)
    assert jnp.isfinite(jax.hessian(value)(frame)).all()
    np.testing.assert_allclose(jax.hessian(value)(frame), jax.hessian(reference)(frame), atol=1e-12)
    slopes = jax.grad(value)(matrix(3)), jax.grad(reference)(matrix(3))
    np.testing.assert_allclose(*slopes, rtol=1e-10)


def test_the_log_determinant_of_a_singular_frame_is_that_over_its_rank():
    frame = matrix(4, 6, 4, 2)
    s = np.linalg.svd(frame, compute_uv=False)[:2]
    np.testing.assert_allclose(log_pseudo_det_gram(frame), 2 * np.log(s).sum(), rtol=1e-12)
    assert int(frame_rank(frame)) == 2
    assert float(log_pseudo_det_gram(jnp.zeros((3, 2)))) == 0.0


@given(st.integers(0, 100), st.sampled_from([1, 2, 3]))
def test_orthonormal_frames_project_as_the_pseudo_inverse_does(seed, rank):
    frame = matrix(seed, 5, 3, rank)
    basis = orthonormalise([frame[:, i] for i in range(3)])
    projector = sum(jnp.outer(q, q) for q in basis)
    np.testing.assert_allclose(projector, frame @ np.linalg.pinv(frame, rcond=1e-10), atol=1e-9)
