from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy.stats import norm

from gaugebias.verdicts import compare


def relaxing(rng, chains, draws, rho, start):
    """AR(1) chains with law N(0, 1) from N(start, 1); the record begins at the start."""
    x = start + rng.normal(size=chains)
    out = np.empty((chains, draws))
    for i in range(draws):
        x = rho * x + np.sqrt(1.0 - rho**2) * rng.normal(size=chains)
        out[:, i] = x
    return out


def test_an_unconverged_run_is_undecided_never_rejected(make_ensemble):
    rng = np.random.default_rng(0)
    values = relaxing(rng, 600, 20, 0.98, 5.0)
    assert compare(values[:, -1], norm())[0].verdict == "rejected"
    row = compare(make_ensemble(values), norm())[0]
    assert row.p_value < 1e-6 and row.verdict == "undecided" and row.reason == "not converged"
    assert row.converged is False and row.drift is not None and row.drift < 1e-3
    assert "still drift" in row.detail
    assert "undecided: not converged" in compare(make_ensemble(values), norm()).table()
    assert row.to_dict()["reason"] == "not converged"
    # Chains run long enough are judged, whatever was recorded early.
    values = relaxing(rng, 600, 240, 0.8, 5.0)
    long = make_ensemble(values)
    long.steps = np.arange(1, 241)
    verdict = compare(long, [norm(), norm(scale=2.0)])
    assert [row.verdict for row in verdict.rows] == ["consistent", "rejected"]
    assert verdict[0].converged is True


def test_a_short_record_of_a_long_run_is_converged(make_ensemble):
    # The chains of a record much shorter than their memory stay apart (R-hat is large), but the
    # run was long: its step numbers say so.
    rng = np.random.default_rng(1)
    values = relaxing(rng, 800, 8, 0.95, 0.0)
    ensemble = make_ensemble(values)
    row = compare(ensemble, norm(scale=2.0))[0]
    assert row.rhat is not None and row.rhat > 1.05 and row.reason == "not converged"
    ensemble.steps = 1000 + np.arange(8)
    row = compare(ensemble, norm(scale=2.0))[0]
    assert row.verdict == "rejected" and row.converged is True
    ensemble.steps = 1 + np.arange(8)
    assert compare(ensemble, norm(scale=2.0))[0].reason == "not converged"


def test_frozen_chains_have_not_converged(make_ensemble):
    frozen = np.repeat(np.random.default_rng(2).normal(size=(100, 1)), 8, axis=1)
    row = compare(make_ensemble(frozen), norm())[0]
    assert row.verdict == "undecided" and row.reason == "not converged"
    constant = make_ensemble(np.zeros((100, 8)))
    assert "never change" in compare(constant, norm())[0].detail


def test_a_target_that_has_not_converged_decides_nothing(make_ensemble):
    rng = np.random.default_rng(3)
    moving = make_ensemble(relaxing(rng, 600, 20, 0.98, 5.0))
    row = compare(rng.normal(size=600), moving)[0]
    assert row.reason == "not converged" and "target: chains still drift" in row.detail


def test_one_draw_a_chain_says_nothing_of_convergence(make_ensemble):
    row = compare(make_ensemble(np.random.default_rng(4).normal(size=(100, 1))), norm())[0]
    assert row.converged is None and row.drift is None and row.verdict == "consistent"


@pytest.mark.slow
def test_stationary_runs_are_rarely_called_unconverged(make_ensemble):
    # The burn-in check errs with probability 1e-3: more than 6 of 1000 has a chance below 1e-4.
    rng = np.random.default_rng(5)
    flags = 0
    for _ in range(1000):
        values = relaxing(rng, 64, 400, 0.5, 0.0)
        flags += compare(make_ensemble(values), norm())[0].converged is False
    assert flags <= 6


def test_copies_of_chains_are_not_independent(make_ensemble):
    rng = np.random.default_rng(10)
    values = np.repeat(rng.normal(size=(40, 10)), 50, axis=0)
    row = compare(make_ensemble(values), norm())[0]
    assert row.p_value < 1e-6 and (row.verdict, row.reason) == ("undecided", "not independent")
    assert "1,960 chains are copies of others" in row.detail
    # Short records, too; draws of a discrete observable share values without being copies.
    assert compare(make_ensemble(values[:, :2]), norm())[0].reason == "not independent"
    signs = np.sign(rng.normal(size=(2000, 4)))
    assert compare(make_ensemble(signs), norm())[0].reason == ""


def test_a_coordinate_that_never_changes_is_not_converged(make_ensemble):
    class Plane:
        name, domain = "plane", SimpleNamespace(dimension=2)

        def sample(self, key, n):
            return jax.random.normal(key, (n, 2))

    values = np.random.default_rng(11).normal(size=(200, 8, 2))
    assert compare(make_ensemble(values), Plane())[0].verdict == "consistent"
    values[..., 1] = 0.0
    row = compare(make_ensemble(values), Plane())[0]
    assert row.p_value < 1e-6 and (row.verdict, row.reason) == ("undecided", "not converged")
    assert "1 of 2 coordinates never change" in row.detail
    # Against draws that do not move there either it is no obstacle.
    assert compare(make_ensemble(values), make_ensemble(values[::-1]))[0].verdict == "consistent"


def test_what_was_not_checked_is_said(make_ensemble):
    draws = np.random.default_rng(12).normal(size=(100, 1))
    row = compare(make_ensemble(draws), norm())[0]
    assert row.converged is None and "convergence not checked (1 draw a chain" in row.detail
    assert "not checked" not in compare(draws[:, 0], norm())[0].detail
