"""Intervals over repetitions hold the truth as often as they say."""

import numpy as np

from gaugebias.papers._intervals import mean_interval, median_interval


def test_the_interval_of_a_median():
    assert median_interval(np.arange(8.0)) == (3.5, 3.5)
    assert median_interval(np.arange(32.0)) == (15.5, 7.5)
    assert median_interval(np.arange(7.0))[1] == np.inf
    # 400 draws of 32: the true median is inside in 99%; below 96% with probability 1e-6.
    draws = np.random.default_rng(0).exponential(size=(400, 32))
    inside = [abs(m - np.log(2)) <= r for m, r in map(median_interval, draws)]
    assert np.mean(inside) > 0.96


def test_the_interval_of_a_mean():
    assert mean_interval(np.array([2.0])) == (2.0, np.inf)
    assert mean_interval(np.array([2.0, np.nan, 1.0]))[1] == np.inf
    middle, reach = mean_interval(np.array([1.0, 3.0]))
    # Student's quantile with one degree of freedom at 0.995 is 63.66.
    assert middle == 2.0 and np.isclose(reach, 63.657, rtol=1e-4)
    # 1000 draws of 6 normals: inside in 99%, outside [0.98, 0.998] with probability 0.2% or less.
    draws = np.random.default_rng(0).normal(size=(1000, 6))
    inside = [abs(m) <= r for m, r in map(mean_interval, draws)]
    assert 0.98 <= np.mean(inside) <= 0.998
    # An interval from the normal quantile is too short for six values.
    short = [abs(np.mean(x)) <= 2.576 * np.std(x, ddof=1) / 6**0.5 for x in draws]
    assert np.mean(short) < 0.98
