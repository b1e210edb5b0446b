import numpy as np
import pytest
from scipy.stats import chi2, norm

from gaugebias.stats import kolmogorov_smirnov, mean_detectable, mean_test
from gaugebias.stats._mean import saddlepoint_tail


@pytest.mark.parametrize("variance", [1.0, None])
def test_p_values_are_uniform_under_the_law(variance):
    # 400 tests of 50 normal draws; a right implementation fails here with probability 1e-3.
    rng = np.random.default_rng(0)
    p = [mean_test(rng.normal(size=50), 0.0, variance).p_value for _ in range(400)]
    assert kolmogorov_smirnov(np.asarray(p), lambda u: u).p_value > 1e-3


def test_a_wrong_mean_is_rejected():
    draws = np.random.default_rng(1).normal(size=1000)
    assert mean_test(draws, 0, 1).p_value > 1e-3
    assert mean_test(draws, 0.3, 1.0).p_value < 1e-6
    assert mean_test(draws, 0.3).statistic < -5.0


def test_the_detectable_shift_is_seen_that_often():
    # Power 0.9 at level 0.01 over 400 tests: outside 0.84..0.95 with probability below 1e-3.
    shift = mean_detectable(100, 4.0, level=0.01, power=0.9)
    rng = np.random.default_rng(2)
    seen = [mean_test(2.0 * rng.normal(size=100) + shift, 0.0, 4.0).p_value for _ in range(400)]
    assert 0.84 < np.mean(np.asarray(seen) < 0.01) < 0.95


def test_bad_input_is_named():
    draws = np.arange(10.0)
    with pytest.raises(ValueError, match="`mean`"):
        mean_test(draws, np.nan)
    with pytest.raises(ValueError, match="`variance`"):
        mean_test(draws, 0.0, -1.0)
    with pytest.raises(ValueError, match="all draws are equal"):
        mean_test(np.ones(10), 0.0)
    with pytest.raises(ValueError, match="`n`"):
        mean_detectable(0, 1.0)
    with pytest.raises(ValueError, match="`variance`"):
        mean_detectable(10, 0.0)
    with pytest.raises(ValueError, match="`power`"):
        mean_detectable(10, 1.0, power=1.0)


def test_skewed_draws_are_not_rejected_too_often():
    # Squares of normal numbers, 8 a test: with their skewness p <= 1e-3 is no more frequent than
    # that (more than 14 of 4,000 have probability 1e-4), without it 6 times as frequent.
    x = np.random.default_rng(5).normal(size=(4000, 8)) ** 2

    def low(skewness):
        return sum(mean_test(row, 1.0, 2.0, skewness).p_value <= 1e-3 for row in x)

    assert low(8.0**0.5) <= 14 < low(0.0)
    assert mean_test(1.5 * x[:200].ravel(), 1.0, 2.0, 8.0**0.5).p_value < 1e-6
    # The gamma law's mean has a gamma law: exact in the heavy tail.
    total = 8.0 * (1.0 + 4.0 * 0.5)  # 4 standard deviations up
    assert mean_test(np.full(8, total / 8), 1.0, 2.0, 8.0**0.5).p_value == pytest.approx(
        2.0 * chi2.sf(total, 8), rel=1e-6
    )
    assert mean_detectable(100, 2.0, skewness=8.0**0.5) > mean_detectable(100, 2.0)
    with pytest.raises(ValueError, match="`skewness`"):
        mean_test(x[0], 1.0, None, 1.0)


def test_the_saddlepoint_tail_is_that_of_a_sum_of_squares():
    edges = np.linspace(0.0, 12.0, 50_001)
    x = (edges[1:] + edges[:-1]) / 2
    weights = np.exp(-(x**2) / 2)
    weights /= weights.sum()
    for total in (24.0, 48.0):
        tail = saddlepoint_tail(x**2, weights, total / 8 - 1.0, 8)
        assert tail == pytest.approx(chi2.sf(total, 8), rel=0.02)
    # The light side is no lighter than the normal law says; beyond all values as well.
    assert saddlepoint_tail(-(x**2), weights, 0.9, 8) == pytest.approx(norm.sf(0.9 * 2.0))
    assert saddlepoint_tail(-(x**2), weights, 1.1, 8) == pytest.approx(norm.sf(1.1 * 2.0))
