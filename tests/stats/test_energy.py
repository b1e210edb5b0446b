import numpy as np
import pytest

from gaugebias.stats import energy_distance, kolmogorov_smirnov


def test_p_values_are_uniform_under_the_law(getkey):
    # p is uniform on k / 100; spread over each step it is uniform on (0, 1). 300 tests, a right
    # implementation fails here with probability 1e-3. Where no relabelling reaches the statistic
    # p is set by the swaps, anywhere up to 1/100: below the resolution of this check.
    rng = np.random.default_rng(0)
    p = np.asarray(
        [
            energy_distance(
                rng.normal(size=(40, 3)), rng.normal(size=(50, 3)), getkey(), permutations=99
            ).p_value
            for _ in range(300)
        ]
    )
    spread = np.where(
        p > 0.0101, p - rng.uniform(size=p.size) / 100, rng.uniform(size=p.size) / 100
    )
    assert kolmogorov_smirnov(spread, lambda u: u).p_value > 1e-3


def test_equal_marginals_with_another_dependence_are_rejected(getkey):
    rng = np.random.default_rng(1)
    first = rng.normal(size=(1500, 2))
    assert energy_distance(first, rng.normal(size=(1500, 2)), getkey()).p_value > 1e-3
    second = rng.normal(size=(1500, 2))
    second[:, 1] = 0.8 * second[:, 0] + 0.6 * second[:, 1]
    assert energy_distance(first, second, getkey()).p_value < 1e-6


def test_one_far_draw_among_few_is_no_certainty(getkey):
    # 10 draws of a law with tail index 0.7 against 1,000: the farthest draw lies among the 10 in 1
    # of 100 cases, and 99 relabellings may all miss that; the tail of the limiting law then says
    # p < 1e-20. Here that draw is put among them: p must not pass the floor of the relabellings.
    rng = np.random.default_rng(4)
    few, many = rng.pareto(0.7, size=10), rng.pareto(0.7, size=1000)
    few[0] = 1e3 * max(few.max(), many.max())
    found = [energy_distance(few, many, getkey(), permutations=99).p_value for _ in range(20)]
    assert min(found) == 0.01
    # And with enough draws to say so, two laws are told apart.
    light = rng.exponential(size=(2, 300))
    assert energy_distance(light[0], 2.0 * light[1], getkey()).p_value < 1e-6


def test_statistic_in_one_dimension_is_twice_the_cramer_distance(getkey):
    # 2 int (F_n - G_m)^2 dx = 2 for points at 0 and points at 1.
    found = energy_distance(np.zeros(10), np.ones(12), getkey())
    assert found.statistic == pytest.approx(2.0)
    assert found.n == round(120 / 22)


def test_long_samples_are_cut(getkey):
    rng = np.random.default_rng(2)
    found = energy_distance(
        rng.normal(size=3000), rng.normal(size=40), getkey(), permutations=19, max_points=100
    )
    assert found.n == round(100 * 40 / 140)


def test_bad_input_is_named(getkey):
    draws = np.random.default_rng(3).normal(size=(10, 2))
    with pytest.raises(ValueError, match="same dimension"):
        energy_distance(draws, draws[:, 0], getkey())
    with pytest.raises(ValueError, match="`y`.*at least 8"):
        energy_distance(draws, draws[:5], getkey())
    with pytest.raises(ValueError, match="all draws are equal"):
        energy_distance(np.ones(10), np.ones(10), getkey())
    with pytest.raises(ValueError, match="`permutations`"):
        energy_distance(draws, draws, getkey(), permutations=3)
    with pytest.raises(ValueError, match="`max_points`"):
        energy_distance(draws, draws, getkey(), max_points=3)
