import numpy as np
import pytest

from gaugebias.stats import stationarity_test


def autoregressive(rng, chains, draws, rho, start):
    out = np.empty((chains, draws))
    x = start(rng.normal(size=chains))
    for i in range(draws):
        x = rho * x + np.sqrt(1.0 - rho**2) * rng.normal(size=chains)
        out[:, i] = x
    return out


def test_drift_of_location_and_of_spread_are_seen():
    # A right implementation fails the first line with probability 1e-3 a run.
    rng = np.random.default_rng(0)
    still = autoregressive(rng, 400, 40, 0.9, lambda z: z)
    assert stationarity_test(still).p_value > 1e-3
    shifted = autoregressive(rng, 400, 40, 0.9, lambda z: z + 3.0)
    found = stationarity_test(shifted)
    assert found.p_value < 1e-6 and found.detail.startswith("location") and found.n == 400
    wide = autoregressive(rng, 400, 40, 0.9, lambda z: 4.0 * z)
    found = stationarity_test(wide)
    assert found.p_value < 1e-6 and found.detail.startswith("spread")


def test_the_coordinate_is_named():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(100, 10, 3))
    values[:, 0, 2] += 2.0
    assert "coordinate 2" in stationarity_test(values).detail


def test_frozen_chains_do_not_drift():
    frozen = np.repeat(np.arange(20.0)[:, None], 6, axis=1)
    assert stationarity_test(frozen).p_value == 1.0


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        (np.zeros((10, 1)), {}, "`values` holds 1 draws a chain"),
        (np.random.default_rng(0).normal(size=(4, 9)), {}, "`values` holds 4 chains"),
        (np.full((10, 5), np.inf), {}, "`values`.*non-finite"),
        (np.zeros((10, 5)), {}, "`values`.*never changes"),
        (np.zeros((10, 5)), {"first": 0.7}, "`first` and `last`"),
    ],
)
def test_bad_input_is_named(values, options, says):
    with pytest.raises(ValueError, match=says):
        stationarity_test(values, **options)
