import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom

from gaugebias.stats import kolmogorov_smirnov, kolmogorov_smirnov_two_sample


def identity(u):
    return u


def test_p_values_are_uniform_under_the_law():
    # 400 tests of 64 uniform draws; a right implementation fails here with probability 1e-3.
    rng = np.random.default_rng(0)
    p = [kolmogorov_smirnov(rng.uniform(size=64), identity).p_value for _ in range(400)]
    assert kolmogorov_smirnov(np.asarray(p), identity).p_value > 1e-3


def test_two_sample_p_values_are_valid():
    # The statistic is discrete, so p is at most slightly conservative: at each of three levels
    # the count of alarms in 400 tests fails its binomial bounds with probability at most 1e-3.
    rng = np.random.default_rng(1)
    p = np.asarray(
        [
            kolmogorov_smirnov_two_sample(rng.normal(size=70), rng.normal(size=90)).p_value
            for _ in range(400)
        ]
    )
    for level in (0.05, 0.2, 0.5):
        alarms = np.count_nonzero(p <= level)
        assert binom.sf(alarms - 1, 400, level) > 5e-4
        assert binom.cdf(alarms, 400, 0.8 * level) > 5e-4


def test_known_distance_and_location():
    draws = np.arange(1, 11) / 10.0
    found = kolmogorov_smirnov(draws, identity)
    assert found.statistic == pytest.approx(0.1) and found.n == 10
    shifted = kolmogorov_smirnov_two_sample(np.arange(10.0), np.arange(10.0) + 5.0)
    assert shifted.statistic == pytest.approx(0.5) and shifted.n == 5


def test_a_wrong_law_is_rejected():
    draws = np.random.default_rng(2).normal(size=4000)
    assert kolmogorov_smirnov(draws, ndtr).p_value > 1e-3
    assert kolmogorov_smirnov(draws, lambda x: ndtr(x / 1.2)).p_value < 1e-6
    other = np.random.default_rng(3).normal(size=4000)
    assert kolmogorov_smirnov_two_sample(draws, other).p_value > 1e-3
    assert kolmogorov_smirnov_two_sample(draws, 1.2 * other).p_value < 1e-6


def test_far_tail_does_not_underflow_to_nonsense():
    found = kolmogorov_smirnov(np.random.default_rng(4).uniform(size=2000), lambda u: u**4)
    assert 0.0 <= found.p_value < 1e-100


@pytest.mark.parametrize(
    ("draws", "says"),
    [
        ([], "empty"),
        (np.zeros(7), "at least 8"),
        (np.array([0.1] * 9 + [np.nan]), "1 non-finite values of 10"),
        (np.zeros((10, 2)), "one-dimensional"),
        (np.array(["a"] * 10), "real numbers"),
        (3.0, "scalar"),
    ],
)
def test_bad_draws_are_named(draws, says):
    with pytest.raises(ValueError, match=f"`x`.*{says}"):
        kolmogorov_smirnov(draws, identity)


@pytest.mark.parametrize(
    "cdf", [lambda u: u[:2], lambda u: 2.0 * u, lambda u: 1.0 - u, lambda u: u * np.nan]
)
def test_a_function_that_is_no_cdf_is_refused(cdf):
    with pytest.raises(ValueError, match="`cdf`"):
        kolmogorov_smirnov(np.linspace(0.1, 0.9, 20), cdf)


def test_a_law_with_atoms_is_not_rejected_by_its_own_draws():
    # False alarms at 0.05 are fewer than that for a discrete law (300 repetitions: more than 31
    # have probability 1e-4 at 0.05); another law is seen.
    rng = np.random.default_rng(11)

    def coin(x):
        return binom.cdf(x, 3, 0.5)

    p = [
        kolmogorov_smirnov(rng.binomial(3, 0.5, size=400).astype(float), coin).p_value
        for _ in range(300)
    ]
    assert np.sum(np.asarray(p) <= 0.05) <= 31
    wrong = rng.binomial(3, 0.7, size=400).astype(float)
    assert kolmogorov_smirnov(wrong, coin).p_value < 1e-6
    # Ties of a continuous law change nothing but the draws: the supremum is over both sides.
    found = kolmogorov_smirnov(np.repeat([0.25, 0.5, 0.75], 4), lambda u: u)
    assert found.statistic == pytest.approx(0.25)
