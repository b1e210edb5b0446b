"""The sparse models with noise: their laws in roots, and claims on verdicts that are made up."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from gaugebias.catalogue import CumulativeHadamard, HadamardProduct
from gaugebias.laws import conditioned, horizontal
from gaugebias.papers._gauge_correction import _stationary
from gaugebias.papers._gauge_correction._stationary import (
    MeanSquare,
    Roots,
    Stationary,
    StationaryResult,
    StationarySettings,
    law_in_roots,
)
from gaugebias.papers._gauge_correction._stationary_claims import (
    claims_stationary,
    controls_stationary,
)
from gaugebias.quotient import Domain
from gaugebias.verdicts import Row

LOSS = MeanSquare(jnp.array([[1.0, 0.5], [0.3, -1.0], [0.8, 0.2]]), jnp.array([1.0, -0.4, 0.7]))
SIGNS = np.array([1.0, -1.0])


def row(law, verdict, p_value):
    return Row(law, "lebesgue", 1000, 0.01, p_value, verdict, "", {}, {})


def made(
    law="consistent", flat="rejected", cond="rejected", settled=(1.0, 0.01), growth=(1.3, 0.1)
):
    numbers = {"consistent": 0.3, "undecided": 1e-5, "rejected": 1e-9}
    rows = {"horizontal": law, "flat": flat}
    inside = {"horizontal": law, "conditioned": cond}
    rows, inside = (
        {name: row(name, word, numbers[word]) for name, word in each.items()}
        for each in (rows, inside)
    )
    roots = jr.uniform(jr.key(0), (100, 3))
    problem = Roots(MeanSquare(jnp.eye(3), jnp.ones(3)), jnp.ones(3))
    one = Stationary(rows, inside, np.asarray(roots), problem, 0.1, 1, settled)
    return StationaryResult({"Hadamard": one, "cumulative": one}, growth)


def said(result):
    settings = StationarySettings()
    rows = claims_stationary(settings, result) + controls_stationary(settings, result)
    named = {row.name.replace("stationary-", ""): row for row in rows}
    assert len(named) == len(rows) == 9
    return named


def test_claims_follow_the_verdicts():
    assert all(row.as_expected for row in said(made()).values())
    wrong = said(
        made("rejected", "consistent", "consistent", settled=(1.2, 0.01), growth=(1.0, 0.05))
    )
    for name, row in wrong.items():
        want = "supported" if name.endswith("gauge") else "not supported"
        assert row.verdict == want, row
    open_ = said(
        made("undecided", "undecided", "undecided", settled=(1.04, 0.02), growth=(1.1, 0.1))
    )
    assert {row.verdict for row in open_.values()} == {"undecided"}


@pytest.mark.parametrize("sums", [False, True])
def test_laws_in_roots_are_those_of_the_library(sums):
    """Densities of roots are those of entries times the Jacobian, up to a constant."""
    a = jr.uniform(jr.key(1), (5, 2), minval=0.3, maxval=1.2)
    entries = jnp.asarray(SIGNS)[None, :] * a**2
    w = jnp.cumsum(entries, axis=1) if sums else entries
    jacobian = jnp.sum(jnp.log(2.0 * a), axis=1)
    model = CumulativeHadamard(2) if sums else HadamardProduct((2,), 2)
    at = HadamardProduct((2,), 2).lift(jnp.asarray(SIGNS))
    q = model.quotient(at=at)
    roots = Roots(LOSS.of_increments() if sums else LOSS, jnp.asarray(SIGNS))
    domain = None if sums else Domain.box((0.05, -np.inf), (np.inf, -0.05))
    laws = {0.0: horizontal(q, LOSS, 0.1, domain=domain)}
    if not sums:
        laws[-1.0] = conditioned(q, LOSS, 0.1, domain=domain)
    for s, law in laws.items():
        mine = law_in_roots(roots, 0.1, s, "mine", 0.05)
        difference = [
            float(law.log_weight_at(x, 0.1, law.exponent) + j - mine.log_weight_at(y, 0.1, s))
            for x, j, y in zip(w, jacobian, a, strict=True)
        ]
        np.testing.assert_allclose(difference, difference[0], atol=1e-9)
        other = law_in_roots(roots, 0.1, s + 1.0, "rival", 0.05)
        apart = [
            float(law.log_weight_at(x, 0.1, law.exponent) + j - other.log_weight_at(y, 0.1, s + 1))
            for x, j, y in zip(w, jacobian, a, strict=True)
        ]
        assert np.ptp(apart) > 0.1


def test_growth_and_settling_are_told_apart():
    """Noise on a full problem settles; on a valley it does not."""
    settings = StationarySettings(chains=1024, steps=1_000, dt=8e-3)
    ratio, reach = _stationary._growth(settings, jr.key(3))
    assert ratio - reach > 1.1
    still = np.abs(jr.normal(jr.key(4), (500, 8, 3)))
    ratio, reach = _stationary._size_ratio(still)
    assert abs(ratio - 1.0) < reach < 0.15


def test_training_alone():
    ends = _stationary.train_stationary(StationarySettings(), jr.key(0), 8, 20)
    assert ends.shape == (8, 3) and np.isfinite(ends).all() and (ends > 0).all()


def test_what_bad_settings_say():
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"coefficients": (1.0,)}, "`coefficients` must be 2 or 3"),
        ({"jumps": (1.0, 0.0, 1.0, 0.0)}, "`jumps` must be 2 or 3"),
        ({"points": 2}, "`points` must be at least 3"),
        ({"steps": 100}, "`steps` must be a multiple of 8"),
        ({"chains": 100}, "`chains` must be at least 256"),
        ({"temperature": 0.0}, "`temperature` and `signal_temperature` must be positive"),
        ({"cut": 0.0}, "`cut` must be positive"),
    )
    for change, said in cases:
        with pytest.raises(ValueError, match=said):
            StationarySettings(**change)


@pytest.mark.slow
def test_both_models_follow_the_horizontal_law():
    """False alarms: 1e-3 a law, tested again once. Rivals are rejected below 1e-6."""
    settings = StationarySettings(chains=512)
    result = _stationary.run_stationary(settings, jr.key(0), lambda text, fraction: None)
    rows = claims_stationary(settings, result) + controls_stationary(settings, result)
    assert all(row.as_expected for row in rows), rows
    panels = _stationary.figures_stationary(settings, result)
    for panel in panels:
        x, y = panel.curves["horizontal, s = 0"]
        assert np.trapezoid(y, x) == pytest.approx(1.0, abs=0.1)
    assert len(panels) == 2
