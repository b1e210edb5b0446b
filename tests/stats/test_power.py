import numpy as np
import pytest

from gaugebias.stats import kolmogorov_smirnov, ks_detectable, ks_power


def test_power_and_detectable_distance_are_inverse():
    for n in (64, 4096, 120_000):
        distance = ks_detectable(n, level=1e-6, power=0.9)
        assert ks_power(n, distance, level=1e-6) == pytest.approx(0.9, abs=1e-9)
    assert ks_power(100, 1e-3) == 0.0
    assert ks_power(4096, 1) == pytest.approx(1.0)
    assert ks_detectable(8, level=1e-6) <= 1.0


def test_the_bound_is_below_the_power_measured():
    # U^(1.5) has distance max u^(2/3) - u = 4/27 from uniform. The bound holds for the true power,
    # so the measured one of 300 tests falls 3 standard errors short of it 1 time in 1000.
    rng = np.random.default_rng(0)
    n, level, distance = 200, 0.01, 4.0 / 27.0
    bound = ks_power(n, distance, level)
    seen = [
        kolmogorov_smirnov(rng.uniform(size=n) ** 1.5, lambda u: u).p_value < level
        for _ in range(300)
    ]
    assert 0.3 < bound < np.mean(seen) + 3.0 * np.sqrt(bound * (1.0 - bound) / 300)


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match="`distance`"):
        ks_power(100, 0.0)
    with pytest.raises(ValueError, match="`level`"):
        ks_power(100, 0.1, level=0.0)
    with pytest.raises(ValueError, match="`n`"):
        ks_detectable(0)
    with pytest.raises(ValueError, match="`power`"):
        ks_detectable(10, power=0.0)
