"""Matrix completion: the noise's drift, the nuclear-norm solver, runs, and wrong numbers."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from gaugebias.papers._gauge_correction._completion import (
    CompletionResult,
    CompletionRuns,
    CompletionSettings,
    _task,
    noise_drift,
    run_completion,
)
from gaugebias.papers._gauge_correction._completion_claims import (
    claims_completion,
    controls_completion,
    figures_completion,
)
from gaugebias.papers._gauge_correction._nuclear import NuclearMinimiser, minimise_nuclear_norm

SMALL = CompletionSettings(
    seeds=8,
    size=6,
    spectrum=(3.0, 1.0),
    observed=0.4,
    learning_rate=0.05,
    steps=2_000,
    control_seeds=8,
)


def test_the_drift_of_the_noise_is_the_mean_over_all_parts():
    settings = dataclasses.replace(SMALL, size=2, learning_rate=0.3)
    rng = np.random.default_rng(0)
    u, v, truth = rng.normal(size=(3, 2, 2))
    mask = np.array([[1.0, 1.0], [0.0, 1.0]])
    gap = mask * (u @ v.T - truth)

    def stepped(part):
        g = 2.0 * part * gap / 4.0
        return (u - 0.3 * g @ v) @ (v - 0.3 * g.T @ u).T

    parts = [np.reshape(each, (2, 2)) for each in itertools.product((0.0, 1.0), repeat=4)]
    mean = np.mean([stepped(each) for each in parts], axis=0)
    exact = mean - stepped(np.full((2, 2), 0.5))
    drift = np.asarray(noise_drift(settings, jnp.asarray(u @ v.T), jnp.asarray(gap)))
    np.testing.assert_allclose(drift, exact, atol=1e-15)
    # Twice the variance, or the drift of the transposed product, would not do.
    assert np.max(np.abs(2 * drift - exact)) > 1e-4
    assert np.max(np.abs(drift / (u @ v.T) * (v @ u.T) - exact)) > 1e-4


def test_least_nuclear_norm():
    rng = np.random.default_rng(1)
    target = rng.normal(size=(3, 2, 2))
    mask = np.array([[True, True], [True, False]])
    found = minimise_nuclear_norm(target, np.tile(mask, (3, 1, 1)))
    assert np.all(np.abs(found.gaps) <= 1e-6)
    np.testing.assert_array_equal(found.matrices[:, mask], target[:, mask])
    for matrix, norm in zip(target, found.norms, strict=True):

        def tried(entry, matrix=matrix):
            whole = matrix.copy()
            whole[1, 1] = entry
            return np.sum(np.linalg.svd(whole, compute_uv=False))

        # Convex in the one entry that is free.
        least: Any = minimize_scalar(tried, bounds=(-10, 10), options={"xatol": 1e-9})
        np.testing.assert_allclose(norm, least.fun, rtol=1e-6)
    # Stopped early, the gap says so.
    early = minimise_nuclear_norm(target, np.tile(mask, (3, 1, 1)), iterations=1)
    assert np.max(early.gaps) > 1e-3


def test_what_the_solver_refuses():
    with pytest.raises(ValueError, match="`mask` is empty"):
        minimise_nuclear_norm(np.ones((1, 2, 2)), np.zeros((1, 2, 2), bool))
    with pytest.raises(ValueError, match="`target` and `mask` must have one shape"):
        minimise_nuclear_norm(np.ones((2, 2)), np.ones((2, 2), bool))


@pytest.fixture(scope="module")
def result():
    return run_completion(SMALL, jax.random.key(0), lambda text, fraction: None)


def test_a_small_run(result):
    for runs in (result.minibatch, result.full):
        assert runs.values.shape == (8, 100, 6) and np.isfinite(runs.values).all()
        assert np.all(np.mean(runs.fit[:, -1]) < 0.1 * np.mean(runs.fit[:, 0]))
        # Both factors move by multiples of the other: their imbalance stays.
        np.testing.assert_allclose(runs.imbalance[:, -1], runs.imbalance[:, 0], rtol=0.02)
    rows = {row.name: row for row in controls_completion(SMALL, result)}
    assert rows["completion-certificate"].verdict == "supported"
    # 8 seeds of random masks scatter, but the noise is not seen.
    claims = {row.name: row for row in claims_completion(SMALL, result)}
    assert claims["completion-noise"].verdict == "not supported"
    assert len(figures_completion(SMALL, result)) == 2


def made(recovered, noise):
    """A result that is as claimed (`recovered`), or as measured; noise with a part in it or not."""
    seeds, records, size = 16, 4, 20
    scatter = 1.0 + 0.01 * np.random.default_rng(0).normal(size=(seeds, 1, 1))
    last = np.full(size, 1e-3) if recovered else np.geomspace(2.0, 0.1, size)
    last[:2] = (15.0, 5.0) if recovered else (6.0, 3.3)
    values = np.tile(last, (seeds, records, 1)) * scatter
    small = np.full((seeds, records), 1e-12)
    runs = CompletionRuns(
        values=values * (0.5 if noise else 1.0),
        error=np.full((seeds, records), 0.01 if recovered else 0.85) * scatter[..., 0],
        fit=small,
        drift=1e9 * small if noise else small,
        imbalance=small,
    )
    full = dataclasses.replace(runs, values=values)
    matrices = np.tile(np.diag(last), (seeds, 1, 1))
    error = runs.error[:, -1] if recovered else 0.6 * scatter[:, 0, 0]
    nuclear = NuclearMinimiser(matrices, np.sum(last) * np.ones(seeds), np.full(seeds, 1e-7))
    steps = np.arange(1, records + 1)
    return CompletionResult(steps, runs, full, np.zeros(seeds, int), nuclear, error)


def said(result):
    settings = CompletionSettings()
    rows = claims_completion(settings, result) + controls_completion(settings, result)
    return {row.name.removeprefix("completion-"): row for row in rows}


def test_claims_on_other_numbers():
    measured = said(made(recovered=False, noise=False))
    assert all(row.as_expected for row in measured.values()), measured
    # A matrix that is recovered: what was said of it is then supported.
    good = said(made(recovered=True, noise=False))
    for name in ("values", "recovers"):
        assert good[name].verdict == "supported", name
    for name in ("twice", "not-nuclear", "too-few"):
        assert good[name].verdict == "not supported", name
    # Noise that halves the estimate is seen.
    noisy = said(made(recovered=False, noise=True))
    assert noisy["noise"].verdict == "supported"
    for name in ("full-batch", "horizontal"):
        assert noisy[name].verdict == "not supported", name
    rough = made(recovered=False, noise=False)
    rough = dataclasses.replace(
        rough, nuclear=dataclasses.replace(rough.nuclear, gaps=rough.nuclear.gaps + 1e-2)
    )
    assert said(rough)["certificate"].verdict == "not supported"


def test_masks_with_empty_rows_are_counted():
    result = made(recovered=False, noise=False)
    result = dataclasses.replace(result, unseen=np.array([2] + 15 * [0]))
    assert "1 of 16 masks have a row or column" in said(result)["recovers"].measured


def test_what_bad_settings_say():
    bad = {
        "`learning_rate` is 20: it must be positive and below 13.3": {"learning_rate": 20.0},
        "`control_seeds` must be from 8": {"control_seeds": 4},
        "`steps` must be a multiple": {"steps": 150},
        "`spectrum` must hold": {"spectrum": (1.0,)},
        "`size` must be at most 32": {"size": 40},
        "`observed` and `kept` are shares": {"observed": 1.5},
        "`observed` leaves no entry": {"observed": 1e-4},
        "`kept` must be 0.5 or 1": {"kept": 0.3},
    }
    for sentence, kwargs in bad.items():
        with pytest.raises(ValueError, match=sentence):
            CompletionSettings(**kwargs)


def test_runs_of_the_same_settings_share_what_is_compiled():
    # Bound methods are equal where they are bound to one and the same object.
    assert _task(SMALL).loss == _task(dataclasses.replace(SMALL)).loss
    assert _task(SMALL).loss != _task(dataclasses.replace(SMALL, size=7)).loss
