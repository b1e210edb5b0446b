import numpy as np
import pytest

from gaugebias.stats import maximum_mean_discrepancy


def test_the_statistic_of_two_far_groups(getkey):
    # Points at 0 and at 1 with h = 1 / sqrt(2): 2 - 2 exp(-1).
    found = maximum_mean_discrepancy(np.zeros(10), np.ones(12), getkey(), bandwidth=0.5**0.5)
    assert found.statistic == pytest.approx(2.0 - 2.0 * np.exp(-1.0))
    assert found.n == round(120 / 22) and found.p_value == 1 / 500


def test_another_dependence_with_equal_marginals_is_rejected(getkey):
    # A right implementation fails the first line with probability 1e-3.
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 800, 2))
    assert maximum_mean_discrepancy(first, second, getkey()).p_value > 1e-3
    tied = second.copy()
    tied[:, 1] = 0.9 * tied[:, 0] + 0.19**0.5 * tied[:, 1]
    assert maximum_mean_discrepancy(first, tied, getkey()).p_value < 1e-6


def test_heavy_tails_without_moments(getkey):
    rng = np.random.default_rng(2)
    first, second = rng.standard_cauchy(size=(2, 400))
    assert maximum_mean_discrepancy(first, second, getkey()).p_value > 1e-3
    assert maximum_mean_discrepancy(first, second + 1.0, getkey()).p_value < 1e-6


def test_bad_input_is_named(getkey):
    draws = np.random.default_rng(3).normal(size=(10, 2))
    with pytest.raises(ValueError, match="`bandwidth`"):
        maximum_mean_discrepancy(draws, draws, getkey(), bandwidth=0.0)
    with pytest.raises(ValueError, match="same dimension"):
        maximum_mean_discrepancy(draws, draws[:, 0], getkey())
    with pytest.raises(ValueError, match="`permutations`"):
        maximum_mean_discrepancy(draws, draws, getkey(), permutations=3)
