"""Designs: products of lists, and samples of ranges and choices."""

import numpy as np
import pytest

from gaugebias.sweep import Choice, LogUniform, Sample, Uniform
from gaugebias.sweep._axes import checked, points


def test_a_grid_is_the_product_of_its_lists_the_last_fastest():
    found = points(checked({"a": [1, 2], "b": np.asarray([0.5, 1.5])}))
    assert found == [{"a": 1, "b": 0.5}, {"a": 1, "b": 1.5}, {"a": 2, "b": 0.5}, {"a": 2, "b": 1.5}]
    assert all(type(p["b"]) is float for p in found)


def test_values_may_be_lists_of_different_lengths():
    assert checked({"t": [(1,), [2, 3]]}) == {"t": ((1,), (2, 3))}


def test_a_sample_fills_its_ranges_evenly_and_is_reproducible():
    over = {"a": Uniform(-1.0, 3.0), "b": LogUniform(1e-4, 1.0), "c": Choice(["x", "y"])}
    found = points(Sample(64, over, seed=1))
    assert found == points(Sample(64, over, seed=1)) != points(Sample(64, over, seed=2))
    a = np.asarray([p["a"] for p in found])
    b = np.log([p["b"] for p in found]) / np.log(1e-4)
    for x, low, high in ((a, -1.0, 3.0), (b, 0.0, 1.0)):
        # A Sobol net: each of 64 equal cells of a range holds one point.
        assert sorted(np.floor((x - low) / (high - low) * 64).astype(int)) == list(range(64))
    assert [p["c"] for p in found].count("x") == 32


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({}, "`over` must be a dictionary"),
        ({"a": []}, "empty list"),
        ({"a": 1.0}, "must be a list of values"),
        ({"a": "xy"}, "must be a list of values"),
    ],
)
def test_what_is_no_grid_is_said(bad, said):
    with pytest.raises(ValueError, match=said):
        checked(bad)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Uniform(1.0, 1.0), "needs finite `low` < `high`"),
        (lambda: LogUniform(0.0, 1.0), "needs a positive `low`"),
        (lambda: Choice([]), "empty list"),
        (lambda: Sample(0, {"a": Uniform(0.0, 1.0)}), "`n` must be at least 1"),
        (lambda: Sample(2**21, {"a": Uniform(0.0, 1.0)}), "`n` of a `Sample` is 2097152"),
        (lambda: Sample(2, {"a": Uniform(0.0, 1.0)}, seed=-1), "`seed` must be at least 0"),
        (lambda: Sample(2, {}), "`over` of a `Sample` must be a dictionary"),
    ],
)
def test_what_is_no_axis_is_said(make, said):
    with pytest.raises(ValueError, match=said):
        make()
