"""Descent by eigenvalues, and the same on matrices."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

SPECTRUM = np.array([10.0, 5.0, 1.0] + 7 * [0.0])
TABLE = {
    2: (0.01, (806, 1542, 6903), 582),
    3: (0.1, (1037, 2092, 10773), 1024),
}
"""alpha, steps to 99% of 10, 5 and 1, step of the least effective rank."""


@pytest.mark.parametrize("depth", TABLE)
def test_table(depth):
    alpha, steps, lowest = TABLE[depth]
    path = flows.spectral_descent(SPECTRUM, depth, 1e-3, alpha, steps=12_000)
    first = np.asarray(path.first_step(0.99))
    np.testing.assert_array_equal(first[:3], steps)
    # A zero eigenvalue is never within 1% of itself, but it decays.
    assert np.isinf(first[3:]).all() and float(path.eigenvalues[-1, 3]) < alpha**depth
    time = flows.flow_time(SPECTRUM[:3], depth, alpha, (0.99 * SPECTRUM[:3]) ** (1 / depth))
    np.testing.assert_allclose(steps, time / 1e-3, rtol=2e-3)
    rank = np.asarray(path.effective_rank)
    assert rank[0] == pytest.approx(10) and rank.argmin() == lowest and path.monotone
    assert np.diff(rank[lowest:]).min() > -1e-9


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "fall"), [(2, 6e-7), (3, 9e-6)])
def test_the_effective_rank_falls_a_little_at_the_end(depth, fall):
    path = flows.spectral_descent(SPECTRUM, depth, 1e-3, TABLE[depth][0], steps=60_000)
    rank = np.asarray(path.effective_rank)[1024:]
    assert np.max(np.maximum.accumulate(rank) - rank) == pytest.approx(fall, rel=0.1)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_any_spectrum_goes_to_its_positive_part(depth):
    lam = np.array([2.0, 2.0, 0.5, 0.0, -0.7])
    path = flows.spectral_descent(lam, depth, 0.02, 0.5, steps=20_000, saves=1)
    end = np.asarray(path.eigenvalues[-1])
    wanted = lam if depth == 1 else np.maximum(lam, 0)
    np.testing.assert_allclose(end[[0, 1, 2]], wanted[:3], rtol=1e-9)
    k = 0.02 * 20_000
    if depth == 1:
        np.testing.assert_allclose(end, wanted, atol=1e-12)
    else:
        slow = ((2 * depth - 2) * k + 0.5 ** (2 - 2 * depth)) ** (-depth / (2 * depth - 2))
        assert end[3] == pytest.approx(slow, rel=0.02)
    if depth == 2:
        assert end[4] < (1 - 0.02 * 0.7) ** 40_000 * 1.0
    elif depth > 2:
        limit = ((depth - 2) * 0.7 * k + 0.5 ** (2 - depth)) ** (-depth / (depth - 2))
        assert end[4] == pytest.approx(limit, rel=0.05)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_a_perturbed_start_recovers_negative_eigenvalues(depth):
    lam = np.array([2.0, 0.5, -0.7])
    rows = np.full((depth, 3), 0.5)
    rows[0] = 0.2
    path = flows.spectral_descent(lam, depth, 0.02, rows, steps=20_000, saves=1)
    np.testing.assert_allclose(path.eigenvalues[-1], lam, rtol=1e-9)
    assert not path.monotone and path.factors.shape == (2, depth, 3)


@pytest.mark.parametrize("depth", [2, 3])
def test_matrices_follow_the_eigenvalues(depth):
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    lam = np.array([2.0, 1.0, 0.4, 0.0])
    values, vectors = flows.symmetric_eigen(q @ np.diag(lam) @ q.T)
    np.testing.assert_allclose(values, lam, atol=1e-12)
    loss = flows.MatrixEstimation(q @ np.diag(lam) @ q.T)
    start = flows.identical_start(4, depth, 0.3)
    run = flows.gradient_descent(flows.DeepProduct(), loss, start, 0.02, steps=400, saves=4)
    tied = flows.gradient_descent(
        flows.TiedProduct(depth), loss, start[0], 0.02 / depth, steps=400, saves=4
    )
    path = flows.spectral_descent(lam, depth, 0.02, 0.3, steps=400, saves=4)
    for each in (run, tied):
        seen = flows.eigen_trajectories(each.x, vectors)
        np.testing.assert_allclose(seen.values, path.eigenvalues, atol=1e-12)
        assert float(jnp.max(seen.rest)) < 1e-12
    np.testing.assert_allclose(flows.effective_rank(run.x), path.effective_rank, rtol=1e-9)


def test_the_flow_takes_its_exact_time():
    lam = jnp.array([2.0, 0.5, -0.7])
    loss = flows.MatrixEstimation(jnp.diag(lam))
    times = flows.flow_time(lam, 3, 0.3, [1.1, 0.6, 0.2])
    for time, i, level in zip(times, range(3), [1.1, 0.6, 0.2], strict=True):
        start = flows.identical_start(3, 3, 0.3)
        path = flows.gradient_flow(flows.DeepProduct(), loss, start, float(time))
        assert float(path.end[i, i]) == pytest.approx(level**3, rel=1e-8)


def test_the_trap_catches_free_factors_only():
    """Depth 2: exact ties end at 0 on a negative eigenvalue, a broken tie (1e-12) finds it."""
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    lam = np.array([5.0, 2.0, 1.0, 0.2, -1.5])
    target = q @ np.diag(lam) @ q.T
    loss = flows.MatrixEstimation(0.5 * (target + target.T))
    start = flows.identical_start(5, 2, 0.05)
    broken = start + 1e-12 * np.random.default_rng(2).standard_normal(start.shape)
    free = flows.gradient_descent(flows.DeepProduct(), loss, broken, 0.01, steps=20_000).end
    tied = flows.gradient_descent(flows.TiedProduct(2), loss, start[0], 0.005, steps=20_000).end
    exact = flows.spectral_descent(lam, 2, 0.01, 0.05, steps=20_000, saves=1).eigenvalues[-1]
    least = [float(jnp.linalg.eigvalsh(0.5 * (w + w.T))[0]) for w in (free, tied)]
    assert least[0] == pytest.approx(-1.5, abs=1e-6)
    assert abs(least[1]) < 1e-6 and 0 <= float(exact.min()) < 1e-6


def test_learning_rates():
    lam = [10.0, 5.0, -3.0]
    assert flows.stable_learning_rate(lam, 2, 0.1) == pytest.approx(1 / 30)
    assert flows.critical_learning_rate(lam, 2) == pytest.approx(0.1)
    assert flows.critical_learning_rate([1.0, -3.0], 2) == pytest.approx(2 / 3)
    assert flows.critical_learning_rate([-3.0], 3) == np.inf
    # Just below and above the critical one: it converges to the top, or circles it.
    path = flows.spectral_descent([10.0], 2, 0.099, 0.5, steps=4_000)
    assert float(path.eigenvalues[-1, 0]) == pytest.approx(10.0) and not path.monotone
    with pytest.raises(
        ValueError, match=r"unstable from 0\.1; every factor is monotone up to 0\.03"
    ):
        flows.spectral_descent(lam, 2, 0.1, 0.1, steps=10)
    with pytest.raises(ValueError, match=r"diverged.*monotone up to 0\.0"):
        flows.spectral_descent([1.0], 3, 0.6, 2.0, steps=100)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`init` must be finite and positive"):
        flows.spectral_descent([1.0], 2, 0.1, 0.0, steps=10)
    with pytest.raises(ValueError, match="`saves` must divide `steps`"):
        flows.spectral_descent([1.0], 2, 0.1, 0.1, steps=10, saves=3)
    with pytest.raises(ValueError, match="`init` must be a scalar or have shape"):
        flows.spectral_descent([1.0], 2, 0.1, [0.1, 0.2], steps=10)
    with pytest.raises(ValueError, match="`spectrum` must be a vector"):
        flows.spectral_descent(1.0, 2, 0.1, 0.1, steps=10)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        flows.spectral_descent([1.0], 2, -0.1, 0.1, steps=10)
