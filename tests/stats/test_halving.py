import numpy as np
import pytest
from scipy.stats import norm

from gaugebias.stats import kolmogorov_smirnov, step_halving_test

LEVELS = np.arange(1, 16) / 16
VARIANCE = LEVELS * (1.0 - LEVELS)


def euler(seed, chains, dt, scale=1.0, time=12.0):
    """dx = -x dt + sqrt(2) dW by Euler steps dt and dt/2 on one Brownian path, times `scale`: the
    stationary variances are 1 / (1 - dt/2) and 1 / (1 - dt/4)."""
    rng = np.random.default_rng(seed)
    coarse = fine = np.zeros(chains)
    for _ in range(round(time / dt)):
        a, b = rng.normal(size=(2, chains))
        coarse = (1.0 - dt) * coarse + np.sqrt(dt) * (a + b)
        fine = (1.0 - dt / 2) * ((1.0 - dt / 2) * fine + np.sqrt(dt) * a) + np.sqrt(dt) * b
    return scale * coarse, scale * fine


def functions(x, edges):
    return x[:, None] <= edges[None, :]


def judge(coarse, fine, edges=norm.ppf(LEVELS), **options):  # noqa: B008
    return step_halving_test(
        functions(coarse, edges), functions(fine, edges), LEVELS, VARIANCE, **options
    )


def test_a_coarse_step_is_not_a_wrong_law():
    coarse, fine = euler(0, 20_000, 0.5)
    # The plain test rejects the right law at both steps.
    assert kolmogorov_smirnov(fine, norm.cdf).p_value < 1e-6
    found = judge(coarse, fine)
    assert found.test.p_value > 0.5 and found.effect_p_value < 1e-6 and found.explained
    # At order one, which is that of this scheme, too.
    assert judge(coarse, fine, order=1.0).test.p_value > 1e-3


def test_a_wrong_law_is_one_at_every_step():
    for dt in (0.5, 0.1):
        coarse, fine = euler(1, 20_000, dt, scale=2.0**0.5)
        found = judge(coarse, fine)
        assert found.test.p_value < 1e-6 and not found.explained
        assert found.deviation > found.effect


def test_false_alarms_are_fewer_than_the_level():
    # 200 runs of the right law, with the step's bias: at most 0.05 of them below 0.05 (the chance
    # of more than 24 at a true rate of 0.05 is below 1e-4).
    low = 0
    for seed in range(200):
        coarse, fine = euler(seed, 300, 0.5, time=6.0)
        low += judge(coarse, fine, order=1.0).test.p_value <= 0.05
    assert low <= 24


def test_what_is_visible_is_seen_that_often():
    # A shift of all quantiles by more than `visible` standard deviations is rejected with
    # probability 0.9 at least; 0.7 of 40 runs is 4 standard errors below.
    wide = norm(scale=0.6)
    seen, sizes = [], []
    for seed in range(40):
        coarse, fine = euler(seed, 1000, 0.1, time=6.0)
        found = judge(coarse, fine, wide.ppf(LEVELS), level=1e-3)
        exact = np.max(np.abs(norm.cdf(wide.ppf(LEVELS)) - LEVELS) / np.sqrt(VARIANCE))
        sizes.append(exact - found.visible)
        seen.append(found.test.p_value < 1e-3)
    assert np.median(sizes) > 0.0 and np.mean(seen) > 0.7


def test_estimated_means_make_the_test_milder():
    coarse, fine = euler(2, 4000, 0.1, scale=1.15)
    sure = judge(coarse, fine)
    unsure = judge(coarse, fine, mean_error=np.full(15, 0.05))
    assert sure.test.p_value < 1e-3 < unsure.test.p_value


def test_all_draws_on_one_side_are_no_certainty():
    # 8 draws above the lowest quantile: likely, though their sample variance is zero.
    found = step_halving_test(np.zeros((8, 1)), np.zeros((8, 1)), [1 / 16], [15 / 256])
    assert found.test.p_value > 0.1


def test_bad_input_is_named():
    ones = np.ones((10, 2))
    with pytest.raises(ValueError, match="`coarse` and `fine`"):
        step_halving_test(ones, np.ones((9, 2)), [0.0, 0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="`mean` must have shape"):
        step_halving_test(ones, ones, [0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="`variance` must be positive"):
        step_halving_test(ones, ones, [0.0, 0.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="`order`"):
        step_halving_test(ones, ones, [0.0, 0.0], [1.0, 1.0], order=0.0)


def test_a_step_that_matters_is_said_to():
    assert judge(*euler(6, 8000, 1.0)).matters
    assert not judge(*euler(7, 8000, 0.05)).matters
