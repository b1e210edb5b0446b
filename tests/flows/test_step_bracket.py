"""Rigorous bounds on the step at which a level is passed."""

import numpy as np
import pytest

from gaugebias import flows

RNG = np.random.default_rng(7)


def first_step(lam, depth, rate, start, end):
    d, k = start, 0
    while (d < end) if start < end else (d > end):
        d -= rate * d ** (depth - 1) * (d**depth - lam)
        k += 1
    return k


@pytest.mark.parametrize("kind", ["rising", "falling", "zero", "negative"])
def test_every_passage_is_inside(kind):
    """T1 of the acceptance tests: no violation in random spectra, depths, rates and starts."""
    tried = 0
    while tried < 60:
        depth = int(RNG.integers(1, 7))
        lam = {"zero": 0.0, "negative": -1.0}.get(kind, 1.0) * 10 ** RNG.uniform(-1, 1)
        if depth == 1 and kind in ("zero", "negative"):
            continue
        root = lam if depth == 1 else max(lam, 0.0) ** (1 / depth)
        start = root * RNG.uniform(0.1, 0.9) if kind == "rising" else root + RNG.uniform(0.1, 1.5)
        end = start + (root - start) * RNG.uniform(0.3, 0.97)
        bound = flows.stable_learning_rate([lam], depth, start)
        rate = float(bound * RNG.uniform(0.05, 0.95))
        bracket = flows.step_bracket(lam, depth, rate, start, end)
        if bracket.flow > 2e4:
            continue
        k = first_step(lam, depth, rate, start, end)
        assert bracket.lower <= k <= bracket.upper
        tried += 1


def test_the_bracket_is_tight_at_small_rates():
    bracket = flows.step_bracket(5.0, 3, 1e-3, 0.1, 4.95 ** (1 / 3))
    assert 0.9 < bracket.lower / bracket.flow < 1 < bracket.upper / bracket.flow < 1.05
    # A wrong time, 5% off in its leading term, would fall outside.
    k = first_step(5.0, 3, 1e-3, 0.1, 4.95 ** (1 / 3))
    assert not bracket.lower <= 1.1 * k <= bracket.upper


def test_what_bad_input_says():
    with pytest.raises(ValueError, match=r"hold below 0\.0\d+ for this"):
        flows.step_bracket(5.0, 3, 0.1, 0.1, 1.5)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        flows.step_bracket(5.0, 3, -0.1, 0.1, 1.5)
