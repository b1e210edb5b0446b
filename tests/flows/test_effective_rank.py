"""Effective rank and trajectories along eigenvectors."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows


def test_effective_rank():
    assert float(flows.spectral_effective_rank(np.array([4.0, -2.0, 0.0]))) == 1.5
    assert float(flows.spectral_effective_rank(np.zeros(2))) == 0.0
    w = np.random.default_rng(0).standard_normal((2, 3, 4))
    s = np.linalg.svd(w, compute_uv=False)
    np.testing.assert_allclose(flows.effective_rank(w), s.sum(-1) / s[:, 0], rtol=1e-12)


def test_trajectories_separate_the_rest():
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    inside = q @ np.diag([3.0, 1.0, -2.0]) @ q.T
    across = np.outer(q[:, 0], q[:, 2])
    seen = flows.eigen_trajectories(jnp.stack([inside, inside + 0.5 * across]), q)
    np.testing.assert_allclose(seen.values, [[3, 1, -2]] * 2, atol=1e-12)
    np.testing.assert_allclose(seen.rest, [0.0, 0.5], atol=1e-12)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`w` must be a matrix"):
        flows.effective_rank(np.ones(1))
    with pytest.raises(ValueError, match="`values` must have shape"):
        flows.spectral_effective_rank(1.0)
    with pytest.raises(ValueError, match="`path` must have shape"):
        flows.eigen_trajectories(np.ones((2, 3, 3)), np.ones((2, 2)))
