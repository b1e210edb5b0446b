"""The gauge correction: the scalar picture, and what becomes of an experiment that fails."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from gaugebias import papers, plot
from gaugebias.papers._gauge_correction import _experiments, _hyperbola, _run

MODULE = papers.load("gauge-correction")
SMALL = _hyperbola.HyperbolaSettings(
    seeds=16, samples=64, learning_rate=0.1, steps=5_000, batch_size=4
)


@pytest.fixture(scope="module")
def result():
    return _hyperbola.run_hyperbola(SMALL, jax.random.key(0), lambda text, fraction: None)


def said(result):
    rows = _hyperbola.claims_hyperbola(SMALL, result)
    rows += _hyperbola.controls_hyperbola(SMALL, result)
    return {row.name.removeprefix("hyperbola-"): row for row in rows}


def test_noise_balances_the_scalar_and_at_the_predicted_rate(result):
    rows = said(result)
    # So few isotropic runs may leave more or less than a quarter.
    wrong = {name for name, row in rows.items() if not row.as_expected}
    assert wrong <= {"isotropic"}, rows
    assert len(_hyperbola.figures_hyperbola(SMALL, result)) == 2


def test_other_rates_and_still_paths_are_not_supported(result):
    # The rate without the scatter of u v is 8% too low here, and is told from the right one.
    low = dataclasses.replace(result, rate=0.92 * result.rate)
    assert said(low)["rate"].verdict == "not supported"
    swapped = dataclasses.replace(
        result,
        minibatch=np.tile(result.full, (16, 1, 1)),
        full=result.minibatch[:1],
        isotropic=result.minibatch,
    )
    rows = said(swapped)
    assert {row.verdict for row in rows.values()} == {"not supported"}, rows


def test_an_experiment_that_fails_does_not_take_the_others_along(monkeypatch, result):
    def fails(settings, key, progress):
        raise ValueError("`learning_rate` is too large")

    (one,) = (each for each in _experiments.EXPERIMENTS if each.name == "hyperbola")
    chosen = (
        dataclasses.replace(one, run=lambda settings, key, progress: result),
        dataclasses.replace(one, name="relu", run=fails),
    )
    for name in ("_run", "_claims", "_figures"):
        module = importlib.import_module(f"gaugebias.papers._gauge_correction.{name}")
        monkeypatch.setattr(module, "EXPERIMENTS", chosen)
    fractions = []
    ran = _run.run(MODULE.Settings(), jax.random.key(0), lambda text, x: fractions.append(x))
    assert fractions == sorted(fractions) and max(fractions) <= 1.0
    assert list(ran.parts) == ["hyperbola"]
    last = MODULE.controls(ran)[-1]
    assert last.name == "relu-ran" and last.verdict == "not supported"
    assert last.measured == "`learning_rate` is too large"
    assert MODULE.claims(ran)[0].name == "hyperbola-balances"
    assert all(isinstance(panel, plot.CurveData) for panel in MODULE.figures(ran))


def test_every_experiment_has_settings_of_its_own():
    names = [each.name for each in _experiments.EXPERIMENTS]
    fields = [field.name for field in dataclasses.fields(MODULE.Settings)]
    assert sorted(names) == sorted(fields)
    assert all(each.share > 0 for each in _experiments.EXPERIMENTS)
    for name in names:
        assert getattr(MODULE.quick(), name) != getattr(MODULE.Settings(), name)


def test_what_bad_settings_say():
    bad = {
        "`seeds` must be at least 8": {"seeds": 4},
        "`steps` must be a multiple": {"steps": 150},
        "`steps` is -100: give a number above 0": {"steps": -100},
        "`noise` must be positive": {"noise": 0.0},
        "`start` is balanced already": {"start": (1.0, -1.0)},
        "`learning_rate` is 0.6: it must be positive and below 0.499": {"learning_rate": 0.6},
    }
    for sentence, kwargs in bad.items():
        with pytest.raises(ValueError, match=sentence):
            _hyperbola.HyperbolaSettings(**kwargs)


@pytest.mark.slow
def test_the_full_version_is_as_expected():
    result = MODULE.run(MODULE.Settings(), jax.random.key(0))
    assert all(row.as_expected for row in MODULE.claims(result) + MODULE.controls(result))
