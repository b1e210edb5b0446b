"""Estimation and sensing of matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows


def test_sensing_all_entries_is_estimation(getkey):
    target, w = jax.random.normal(getkey(), (2, 3, 3))
    entries = jnp.eye(9).reshape(9, 3, 3)
    sensing = flows.MatrixSensing.of(entries, target)
    np.testing.assert_allclose(sensing.observe(w), w.ravel())
    assert float(sensing(w)) == pytest.approx(float(flows.MatrixEstimation(target)(w)))
    assert float(sensing(target)) == 0.0


def test_measurements(getkey):
    a = flows.gaussian_measurements(getkey(), 200, 20)
    np.testing.assert_allclose(a, jnp.swapaxes(a, 1, 2))
    b = flows.gaussian_measurements(getkey(), 200, 20, symmetric=False)
    # 80,000 draws: 5% is ten standard errors of the mean square.
    assert float(jnp.mean(b**2)) == pytest.approx(1 / 200, rel=0.05)


def sensed(depth, alpha, seed):
    """One run of the protocol, with numpy's draws: relative error and effective rank."""
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((10, 10)))[0][:, :2]
    target = q @ np.diag([1.0, 0.5]) @ q.T
    a = rng.standard_normal((30, 10, 10))
    a = 0.5 * (a + np.swapaxes(a, 1, 2)) / np.sqrt(30)
    path = flows.gradient_descent(
        flows.DeepProduct(),
        flows.MatrixSensing.of(a, target),
        flows.identical_start(10, depth, alpha),
        0.1,
        steps=20_000,
    )
    error = float(jnp.linalg.norm(path.end - target)) / np.linalg.norm(target)
    return error, float(flows.effective_rank(path.end))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "alpha", "error", "rank"),
    [(1, 0.0, 0.66, 2.87), (2, 0.01, 0.013, 1.512), (3, 0.1, 0.011, 1.511), (4, 0.2, 0.012, 1.515)],
)
def test_table_of_sensing(depth, alpha, error, rank):
    ends = np.median(np.array([sensed(depth, alpha, seed) for seed in range(3)]), axis=0)
    assert ends[0] == pytest.approx(error, abs=0.006) and ends[1] == pytest.approx(rank, rel=0.02)


def test_symmetric_eigen():
    values, vectors = flows.symmetric_eigen(np.array([[0.0, 2.0], [2.0, 0.0]]))
    np.testing.assert_allclose(values, [2.0, -2.0])
    np.testing.assert_allclose(vectors @ jnp.diag(values) @ vectors.T, [[0, 2], [2, 0]], atol=1e-12)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match=r"`target` is asymmetric.*Take its symmetric part"):
        flows.symmetric_eigen(np.array([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="`target` must be a square matrix"):
        flows.symmetric_eigen(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`target` must be finite"):
        flows.symmetric_eigen(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="`target` must be a matrix"):
        flows.MatrixEstimation(jnp.ones(1))
    with pytest.raises(ValueError, match="`operators` must have shape"):
        flows.MatrixSensing(jnp.ones((2, 3)), jnp.ones(2))
    with pytest.raises(ValueError, match="`operators` must have shape"):
        flows.MatrixSensing.of(np.ones((2, 3, 3)), np.ones((2, 2)))
