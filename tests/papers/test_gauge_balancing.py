"""Balancing of ReLU networks and attention: runs, and claims that fail on the wrong mechanism."""

import dataclasses

import jax
import numpy as np
import pytest

from gaugebias.papers._gauge_correction import _attention, _relu
from gaugebias.papers._gauge_correction._balancing import BalancingResult, Runs
from gaugebias.papers._gauge_correction._balancing_claims import (
    imbalance_left,
    predicted_log_ratio,
    unexplained,
)

RELU = _relu.ReLUSettings(
    seeds=8, hidden=4, learning_rate=2e-3, steps=600, control_seeds=8, control_batch_size=32
)
ATTENTION = _attention.AttentionSettings(
    seeds=8,
    embedding=4,
    head=2,
    length=3,
    batch_size=8,
    learning_rate=0.02,
    steps=600,
    control_seeds=8,
    control_batch_size=16,
)


def quiet(text, fraction):
    assert 0.0 <= fraction <= 1.0 + 1e-9


def by_name(rows):
    return {row.name: row for row in rows}


def made(kept, growth, seeds=16, units=6):
    """Norms along a run that multiplies products by `growth` and keeps `kept` of the imbalance."""
    rng = np.random.default_rng(0)
    product = 0.02 * np.exp(0.3 * rng.normal(size=(seeds, 1, units)))
    product = product * np.geomspace(1.0, growth, 51)[None, :, None]
    first = 0.2 * rng.normal(size=(seeds, 1, units))
    imbalance = first * np.geomspace(1.0, kept, 51)[None, :, None]
    square = 0.5 * (imbalance + np.sqrt(imbalance**2 + 4.0 * product**2))
    error = np.tile(np.linspace(1.0, 0.01, 50), (seeds, 1))
    return Runs(np.sqrt(square), product / np.sqrt(square), error)


def result_of(small, large):
    return BalancingResult(np.arange(51), small, large)


def said(small, large):
    settings = _attention.AttentionSettings()
    result = result_of(small, large)
    rows = _attention.claims_attention(settings, result)
    rows += _attention.controls_attention(settings, result)
    return {name.removeprefix("attention-"): row for name, row in by_name(rows).items()}


def test_growth_with_the_imbalance_conserved_is_told_from_noise():
    grown = said(made(1.0, 1e3), made(1.0, 1e3))
    assert all(row.as_expected for row in grown.values()), grown
    # The rival: the imbalance decays with small batches alone, and nothing grows.
    noisy = said(made(1e-4, 1.0), made(1.0, 1.0))
    assert noisy["balances"].verdict == "supported"
    assert noisy["noise"].verdict == "supported"
    assert noisy["conservation"].verdict == noisy["large-batch"].verdict == "not supported"
    # Neither: nothing balances.
    still = said(made(1.0, 1.0), made(1.0, 1.0))
    for name in ("balances", "range", "noise"):
        assert still[name].verdict == "not supported", name


def test_a_network_that_learned_nothing():
    runs = made(1.0, 1e3)
    lazy = dataclasses.replace(runs, error=runs.error + 1.0)
    assert said(lazy, runs)["learns"].verdict == "not supported"


def test_the_ratio_that_conservation_predicts():
    runs = made(1.0, 50.0)
    np.testing.assert_allclose(predicted_log_ratio(runs), runs.log_ratio, atol=1e-9)
    np.testing.assert_allclose(imbalance_left(runs), 1.0)
    # Where a tenth of the imbalance is lost the prediction misses.
    assert np.all(unexplained(made(0.9, 50.0)) > 1e-3)


@pytest.fixture(scope="module")
def relu():
    return _relu.run_relu(RELU, jax.random.key(0), quiet)


@pytest.fixture(scope="module")
def attention():
    return _attention.run_attention(ATTENTION, jax.random.key(0), quiet)


@pytest.mark.parametrize("name", ["relu", "attention"])
def test_gradients_keep_the_imbalance_up_to_the_square_of_the_step(name, request):
    result = request.getfixturevalue(name)
    for runs in (result.minibatch, result.large):
        assert runs.first.shape[:2] == runs.second.shape[:2] == (8, 101)
        assert runs.error.shape == (8, 100) and np.isfinite(runs.error).all()
        # Norms grow: without that, nothing would be predicted.
        product = runs.first * runs.second
        assert np.mean(product[:, -1]) > 3 * np.mean(product[:, 0])
        assert np.median(runs.error[:, -1]) < 0.5
        missed = runs.log_ratio - predicted_log_ratio(runs)
        assert np.median(np.abs(missed[:, -1])) < 0.1
        changed = np.abs(runs.log_ratio[:, -1] - runs.log_ratio[:, 0])
        assert np.median(changed) > 0.5
    # Both batch sizes start from the same networks.
    np.testing.assert_array_equal(result.minibatch.first[:, 0], result.large.first[:, 0])


def test_starts_and_batches_do_not_depend_on_the_number_of_seeds(relu):
    few = _relu.train_relu(RELU, jax.random.key(0), 8, 600)
    np.testing.assert_array_equal(few.values["first"], relu.minibatch.first[:, 1:])
    assert len({float(x) for x in relu.minibatch.first[:, 0, 0]}) == 8


def test_panels(relu):
    ratios, left = _relu.figures_relu(RELU, relu)
    x, y = ratios.curves["imbalance conserved"]
    assert x.shape == y.shape and np.isnan(y).sum() == 1
    assert left.curves["batch 8"][1][0] == 1.0


def test_what_bad_settings_say():
    settings = _relu.ReLUSettings
    with pytest.raises(ValueError, match="`control_seeds` must be from 8 to `seeds`"):
        settings(seeds=7)
    with pytest.raises(ValueError, match="`steps` must be a positive multiple of 100"):
        settings(steps=150)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1 and below"):
        settings(batch_size=256)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        settings(learning_rate=0.0)
    with pytest.raises(ValueError, match="`embedding`, `head` and `length`"):
        _attention.AttentionSettings(length=1)


@pytest.mark.slow
def test_a_learning_rate_beyond_stability_is_said_with_its_bound():
    wild = dataclasses.replace(RELU, learning_rate=1.0)
    with pytest.raises(ValueError, match="`learning_rate` is 1, and .* is stable below 0.1"):
        _relu.train_relu(wild, jax.random.key(0), 8, 600)
