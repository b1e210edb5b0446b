import numpy as np
import pytest

from gaugebias.stats import rank_test


def test_ties_are_broken_at_random(getkey):
    # A discrete law: the randomised ranks are still uniform (fails with probability 1e-3).
    rng = np.random.default_rng(0)
    x, among = rng.integers(0, 3, size=2000), rng.integers(0, 3, size=(2000, 9))
    assert rank_test(x, among, getkey()).p_value > 1e-3
    assert rank_test(rng.integers(0, 4, size=2000), among, getkey()).p_value < 1e-6


def test_a_shift_and_a_spread_are_seen(getkey):
    rng = np.random.default_rng(1)
    x, among = rng.normal(size=2000), rng.normal(size=(2000, 19))
    assert rank_test(x, among, getkey()).p_value > 1e-3
    assert rank_test(x + 0.2, among, getkey()).p_value < 1e-6
    assert rank_test(1.4 * x, among, getkey()).p_value < 1e-6


def test_bad_input_is_named(getkey):
    x = np.arange(10.0)
    with pytest.raises(ValueError, match=r"`reference` must have shape \(10, L\)"):
        rank_test(x, np.zeros((9, 5)), getkey())
    with pytest.raises(ValueError, match="`x`.*at least 8"):
        rank_test(x[:4], np.zeros((4, 5)), getkey())
    with pytest.raises(ValueError, match="`reference`.*non-finite"):
        rank_test(x, np.full((10, 5), np.nan), getkey())
