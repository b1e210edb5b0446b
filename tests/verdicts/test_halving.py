from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from gaugebias.verdicts import compare


def euler(seed, chains, dt, scale=1.0, width=None, time=12.0):
    """Ensembles of dx = -x dt + sqrt(2) dW by Euler steps dt and dt/2 on one Brownian path."""
    rng = np.random.default_rng(seed)
    shape = (chains,) if width is None else (chains, width)
    coarse = fine = np.zeros(shape)
    for _ in range(round(time / dt)):
        a, b = rng.normal(size=(2, *shape))
        coarse = (1.0 - dt) * coarse + np.sqrt(dt) * (a + b)
        fine = (1.0 - dt / 2) * ((1.0 - dt / 2) * fine + np.sqrt(dt) * a) + np.sqrt(dt) * b
    codes = np.zeros(chains, dtype=int)
    return SimpleNamespace(
        coarse=SimpleNamespace(values=scale * coarse[:, None], results=codes),
        fine=SimpleNamespace(values=scale * fine[:, None], results=codes),
    )


def test_discretisation_and_disagreement_are_told_apart():
    run = euler(0, 8000, 1.0)
    right, wrong = compare(run, [norm(), norm(scale=0.5)]).rows
    assert compare(run.fine, norm())[0].verdict == "rejected"
    assert (right.verdict, right.reason) == ("undecided", "discretisation")
    assert wrong.verdict == "rejected" and wrong.halving is not None
    assert wrong.p_value == max(wrong.tests["ks"].p_value, wrong.halving.test.p_value)
    plain = right.to_dict()["halving"]
    assert plain["p_value"] > 0.5 and plain["effect_p_value"] < 1e-3
    # A step that is fine enough leaves the right law consistent.
    assert compare(euler(1, 8000, 0.05), norm())[0].verdict == "consistent"


def test_a_wrong_law_that_the_bias_of_the_step_hides_is_not_consistent():
    # The fine run has variance 1 / (1 - dt/4): a law with that variance fits it, and is wrong.
    run = euler(0, 8000, 1.0)
    row = compare(run, norm(scale=0.75**-0.5))[0]
    assert row.tests["ks"].p_value > 1e-3
    assert (row.verdict, row.reason) == ("undecided", "discretisation")


def test_too_few_chains_say_so():
    # A wrong law that the plain test sees, and a run too small to tell it from the step.
    row = compare(euler(0, 2000, 0.5), norm(scale=0.8))[0]
    assert row.tests["ks"].p_value < 1e-6
    assert (row.verdict, row.reason) == ("undecided", "step not resolved")


def test_a_law_with_a_score_alone_is_not_rejected_for_the_step():
    class Normal:
        name = "normal"

        def score(self, x):
            return -x

    run = euler(0, 8000, 1.0)  # of variance 4/3 at the finer step
    assert compare(run.fine, Normal(), tests="stein")[0].verdict == "rejected"
    row = compare(run, Normal(), tests="stein")[0]
    assert (row.verdict, row.reason) == ("undecided", "step not resolved")
    assert row.halving is None and "step size not checked" in row.detail
    # What it lacks is said, not met.
    with pytest.raises(ValueError, match="offers neither marginals nor draws"):
        compare(run.fine, Normal())


def test_against_draws_and_for_dependence():
    run = euler(3, 4000, 1.0, width=2)
    rng = np.random.default_rng(4)
    target = rng.normal(size=(4000, 2))
    assert compare(run, target, joint=False)[0].reason == "discretisation"
    tied = target.copy()
    tied[:, 1] = 0.8 * target[:, 0] + 0.6 * target[:, 1]
    row = compare(euler(3, 1500, 0.1, width=2), tied[:1500])[0]
    assert row.verdict == "rejected" and row.tests["ks[0]"].p_value > 1e-3


def test_runs_must_hold_the_same_chains():
    run = euler(5, 40, 0.5)
    run.coarse.values = run.coarse.values[:, [0, 0]]
    with pytest.raises(ValueError, match="coarse and the fine run must hold the same chains"):
        compare(run, norm())
    run = euler(5, 40, 0.5)
    run.coarse.results = np.arange(40) == 3
    with pytest.raises(ValueError, match="1 of 40 chains"):
        compare(run, norm())
    assert compare(run, norm(), drop_failed=True)[0].draws == 39
