import jax
import numpy as np
import pytest
from scipy.stats import chi2

from gaugebias.stats import (
    energy_distance,
    kernel_stein,
    kolmogorov_smirnov_two_sample,
    maximum_mean_discrepancy,
)
from gaugebias.stats._quadratic import least_sign_tail, quadratic_tail, sign_tail, spectral_tail


def test_tail_of_a_weighted_sum_of_chi_squares():
    for degrees, value in ((1, 20.0), (3, 20.0), (3, 60.0)):
        exact = chi2.sf(value, degrees)
        assert quadratic_tail(np.full(degrees, 2.0), 2.0 * value) == pytest.approx(exact, rel=0.15)
    assert quadratic_tail(np.ones(5), 4.0) == 1.0


def test_tail_of_a_kernel_matrix():
    # 50 points in 3 orthogonal directions of equal weight: eigenvalues 2, 2, 2 over 50.
    kernel = np.zeros((50, 50))
    kernel[:3, :3] = 100.0 * np.eye(3)
    assert spectral_tail(kernel, 40.0) == pytest.approx(chi2.sf(20.0, 3), rel=0.15)


def test_the_bound_for_random_signs_is_one():
    # All 2^12 signs: the bound is above the exact tail at every value that the form takes, with
    # weights of very different sizes and of one size.
    rng = np.random.default_rng(0)
    signs = 1.0 - 2.0 * ((np.arange(4096)[:, None] >> np.arange(12)) & 1)
    for rows in (rng.normal(size=(12, 3)) ** 3, rng.normal(size=(12, 1)), np.ones((12, 1))):
        form = rows @ rows.T
        values = np.sum((signs @ rows) ** 2, axis=1)
        for e, value in zip(signs[::41], values[::41], strict=True):
            exact = np.mean(values >= value - 1e-9)
            assert sign_tail(form * np.outer(e, e)) >= exact
    # 1^T M 1 = n^2 for M = 1 1^T: the bound n^(1/2) exp(-(n - 1) / 2), in several blocks' size too.
    for n in (40, 700):
        exact = np.sqrt(n) * np.exp(-(n - 1) / 2)
        assert sign_tail(np.ones((n, n))) == pytest.approx(exact, rel=1e-6)
    assert sign_tail(np.zeros((5, 5))) == 1.0 and sign_tail(np.eye(5)) == 1.0


@pytest.mark.parametrize("n", [8, 16, 40])
def test_the_least_bound_for_random_signs_is_that_of_equal_ones(n):
    rng = np.random.default_rng(n)
    np.testing.assert_allclose(sign_tail(np.ones((n, n))), least_sign_tail(n), rtol=1e-9)
    for _ in range(20):
        half = rng.normal(size=(n, 3)) * [1.0, 0.3, 0.1] + [1.0, 0.0, 0.0]
        assert sign_tail(half @ half.T) >= least_sign_tail(n) * (1 - 1e-9)


@pytest.mark.parametrize("n", [10, 16, 40])
def test_no_draws_go_below_the_least_p_value(n):
    """Samples that are as far apart as can be reach it, or nearly."""
    x, y = np.random.default_rng(n).normal(size=(2, n, 1))
    found = kolmogorov_smirnov_two_sample(x, y + 1e3)
    np.testing.assert_allclose(found.p_value, found.least, rtol=1e-9)
    assert kolmogorov_smirnov_two_sample(x, y).least == found.least
    for test in (energy_distance, maximum_mean_discrepancy):
        found = test(x, y + 1e3, jax.random.key(n))
        assert found.least <= found.p_value <= 1.2 * found.least
    found = kernel_stein(x, -(x + 1e3), jax.random.key(n))
    assert found.p_value >= found.least == 1 / 500
