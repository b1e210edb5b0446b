import numpy as np
import pytest
from scipy.stats import chi2

from gaugebias.stats._quadratic import quadratic_tail, sign_tail, spectral_tail


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
