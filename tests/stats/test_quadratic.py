import numpy as np
import pytest
from scipy.stats import chi2

from gaugebias.stats._quadratic import quadratic_tail, spectral_tail


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
