import jax
import numpy as np
import pytest
from scipy.special import ndtri

from gaugebias.stats import wasserstein


def test_a_shift_is_its_own_distance(getkey):
    draws = ndtri((np.arange(1000) + 0.5) / 1000)
    found = wasserstein(draws + 0.3, ndtri, getkey())
    assert found.value == pytest.approx(0.3, abs=2e-3)
    two = wasserstein(draws + 0.3, draws, getkey())
    assert two.value == pytest.approx(0.3, abs=1e-12)
    assert found.lower < 0.3 < found.upper and found.lower > 0.2


def test_few_draws_against_a_smooth_law(getkey):
    # Eight points of the uniform law at 0: the distance is the mean of the law.
    assert wasserstein(np.zeros(8), lambda u: u, getkey()).value == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_the_interval_covers(getkey, shift):
    # Nominal 0.8 over 100 samples: a procedure covering exactly 0.8 would fall below 0.68 in 0.2%
    # of such checks; the interval is conservative, so the false-alarm rate is below that.
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        found = wasserstein(rng.normal(size=100) + shift, ndtri, getkey(), level=0.8, replicates=50)
        covered += found.lower <= shift <= found.upper
    assert covered >= 68


def test_a_wrong_law_is_outside_the_interval(getkey):
    draws = np.random.default_rng(1).normal(size=3000)
    assert wasserstein(draws, ndtri, getkey()).lower == 0.0
    assert wasserstein(draws, lambda u: 1.3 * ndtri(u), getkey()).lower > 0.0


def test_the_same_key_gives_the_same_interval():
    draws = np.random.default_rng(2).normal(size=50)
    first = wasserstein(draws, ndtri, jax.random.key(3))
    assert first.upper == wasserstein(draws, ndtri, jax.random.PRNGKey(3)).upper
    assert first.upper != wasserstein(draws, ndtri, jax.random.key(4)).upper


def test_bad_input_is_named(getkey):
    draws = np.arange(10.0)
    with pytest.raises(ValueError, match="`target`"):
        wasserstein(draws, lambda u: u[:3], getkey())
    with pytest.raises(ValueError, match="`target`"):
        wasserstein(draws, [1.0, 2.0], getkey())
    with pytest.raises(ValueError, match="`replicates`"):
        wasserstein(draws, draws, getkey(), replicates=5)
    with pytest.raises(ValueError, match="`level`"):
        wasserstein(draws, draws, getkey(), level=1.0)
