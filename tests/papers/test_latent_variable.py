"""Three mechanisms of feature learning: a small version, and claims that fail on wrong numbers."""

import dataclasses

import jax
import numpy as np
import pytest

from gaugebias import papers, plot

MODULE = papers.load("three-mechanisms")
SMALL = MODULE.Settings(
    scalings=("NTK", "mean-field", "small"),
    width=200,
    widths=(100, 1_000),
    seeds=8,
    digits_samples=200,
    digits_hidden=32,
    digits_steps=400,
    digits_seeds=4,
)


@pytest.fixture(scope="module")
def result():
    return MODULE.run(SMALL, jax.random.key(0))


def by_name(rows):
    return {row.name: row for row in rows}


@pytest.mark.slow
def test_claims_and_controls(result):
    rows = by_name(MODULE.claims(result) + MODULE.controls(result))
    assert len(rows) == 11
    # So small a network may not tell the starts apart on the test set.
    wrong = {name for name, row in rows.items() if not row.as_expected}
    assert wrong <= {"digits-accuracy", "digits-equal-loss"}, [rows[name] for name in wrong]


@pytest.mark.slow
def test_wrong_numbers_are_not_supported(result):
    def wrong(**kwargs):
        other = dataclasses.replace(result, **kwargs)
        return by_name(MODULE.claims(other) + MODULE.controls(other))

    one = result.scaled[0]
    bad = dataclasses.replace(one, kernel=one.kernel * (1 + 1e-5), imbalance_error=1e-3)
    rows = wrong(scaled=(bad, *result.scaled[1:]))
    assert rows["exact-solution"].verdict == rows["conserved"].verdict == "not supported"
    same = tuple(dataclasses.replace(each, ignoring_rates=1e-3) for each in result.scaled)
    assert wrong(scaled=same)["layer-rates-matter"].verdict == "not supported"
    flat = tuple(
        dataclasses.replace(each, changes=np.ones_like(each.changes)) for each in result.growth
    )
    rows = wrong(growth=flat)
    for name in ("phase-table", "kernel-phase", "feature-phase"):
        assert rows[name].verdict == "not supported", name
    named = tuple(dataclasses.replace(each, found="none") for each in result.demonstrations)
    assert wrong(demonstrations=named)["three-mechanisms"].verdict == "not supported"
    small, large = result.digits
    bad_large = dataclasses.replace(large, second=small.second, accuracy=large.accuracy + 1)
    bad_small = dataclasses.replace(small, second=0 * small.second)
    rows = wrong(digits=(bad_small, bad_large))
    for name in ("digits-alignment", "digits-accuracy", "digits-large", "digits-equal-loss"):
        assert rows[name].verdict == "not supported", name


@pytest.mark.slow
def test_figures(result):
    panels = MODULE.figures(result)
    assert len(panels) == 6 and all(isinstance(each, plot.CurveData) for each in panels)
    x, y = panels[0].curves["closed form"]
    np.testing.assert_allclose(panels[0].curves["mean-field"][1], y, atol=1e-8)


def test_what_bad_settings_say():
    with pytest.raises(ValueError, match="`width` and `widths` must be even"):
        MODULE.Settings(width=11)
    with pytest.raises(ValueError, match="`widths` must hold two"):
        MODULE.Settings(widths=(100,))
    with pytest.raises(ValueError, match="`digits_scales` must be a small and a large"):
        MODULE.Settings(digits_scales=(4.0, 0.1))
    with pytest.raises(ValueError, match="`digits_samples`"):
        MODULE.Settings(digits_samples=1797)
    with pytest.raises(ValueError, match="`digits_steps` must be a multiple"):
        MODULE.Settings(digits_steps=150)
    with pytest.raises(ValueError, match="`digits_hidden` must be even"):
        MODULE.Settings(digits_hidden=33)
    with pytest.raises(ValueError, match="`digits_seeds` must be at least 2"):
        MODULE.Settings(digits_seeds=1)
    with pytest.raises(ValueError, match="`scalings` must hold names of NTK, .*, not 'NTKK'"):
        MODULE.Settings(scalings=("NTK", "NTKK"))
    with pytest.raises(ValueError, match="`seeds` and `demonstration_width` must be at least 2"):
        MODULE.Settings(seeds=0)
    with pytest.raises(ValueError, match="`times` and `digits_rate` must be positive"):
        MODULE.Settings(digits_rate=0.0)


@pytest.mark.slow
def test_the_full_version_is_as_expected():
    result = MODULE.run(MODULE.Settings(), jax.random.key(0))
    assert all(row.as_expected for row in MODULE.claims(result) + MODULE.controls(result))
