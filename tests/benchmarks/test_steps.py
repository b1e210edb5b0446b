"""The cost of a step, the cost of a call, and the tables made of them."""

from pathlib import Path

import numpy as np
import pytest

if not (Path(__file__).resolve().parents[2] / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)

from benchmarks import _steps, gauge_correction
from benchmarks._timing import Turns


def test_a_step_costs_the_difference_of_two_runs():
    """A call of 0.5 s and steps of 1 ms; in the second turn other work hit the short run."""
    turns = Turns(
        {
            "ours short": np.array([0.6, 9.0]),
            "ours long": np.array([0.8, 0.8]),
            "peer": np.array([0.2, 0.4]),
        }
    )
    steps = {"ours short": 100, "ours long": 300, "peer": 100}
    times = _steps.step_times(turns, steps)
    np.testing.assert_allclose(times["ours"], [1000.0, np.nan])
    np.testing.assert_allclose(times["peer"], [2000.0, 4000.0])
    assert _steps.call_times(turns, steps, "ours")[0] == pytest.approx(0.5)


@pytest.mark.parametrize(("step", "expected"), [(0.9e-3, 400), (1e-6, 5000), (10.0, 100)])
def test_steps_fill_the_budget(monkeypatch, step, expected):
    """A call costs half a second, the budget is 0.4 s of steps, at least 100 and at most 5,000."""
    monkeypatch.setattr(_steps, "seconds_of", lambda run: 0.5 + step * run())
    assert _steps.fitted(lambda n: lambda: n, 0.4, 100, 5000) == expected
    monkeypatch.setattr(_steps, "seconds_of", lambda run: step * run())
    assert _steps.filled(lambda n: lambda: n, 0.4, 100, 5000) == expected


@pytest.mark.parametrize(("all_", "chosen"), [(0.2, 4), (0.95, 1), (3.0, 1)])
def test_torch_gets_the_threads_that_serve_it(monkeypatch, all_, chosen):
    """All threads only where they gain a tenth at least."""
    monkeypatch.setattr(_steps.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(_steps, "seconds_of", lambda fn: fn)
    taken = {1: 1.0, 4: all_}
    assert _steps.torch_threads(lambda threads: lambda steps: taken[threads], 5) == chosen


def times(**more):
    """Microseconds of two turns, the second on a machine half as fast."""
    base = {
        "torch 1": 300.0,
        "library 1": 4.0,
        "library 32": 60.0,
        "library 64": 120.0,
        "scan 1": 3.0,
        "scan 64": 100.0,
        "torch 64": 400.0,
    } | more
    return {name: np.array([x, 2 * x]) for name, x in base.items() if x is not None}


def test_ratios_of_an_experiment():
    rows = {row["path"]: row for row in gauge_correction.table("relu", times())}
    assert rows["library, one seed"]["ratio"] == pytest.approx(75.0)
    assert rows["library, 64 seeds"]["ratio"] == pytest.approx(160.0)
    assert rows["library, 32 seeds"]["ratio"] == pytest.approx(60 / 128)
    assert rows["library, one seed"]["ratio_high"] == pytest.approx(75.0)  # drift cancels
    assert rows["torch batched, 64 seeds"]["peer"] and not rows["library, 64 seeds"]["peer"]


def test_targets_are_met_or_missed_by_the_ratios():
    met = gauge_correction.verdicts(gauge_correction.table("relu", times()))
    assert [ok for _, ok in met] == [True, True, True]
    slow = {"library 1": 6.0, "library 64": 200.0, "library 32": 180.0}
    missed = gauge_correction.verdicts(gauge_correction.table("relu", times(**slow)))
    assert [ok for _, ok in missed] == [False, False, False]
    assert "50.0 times faster a seed than the torch loop (at least 60)" in missed[0][0]
    assert "32 seeds cost 0.94 of 32 runs in sequence (at most 0.75)" in missed[2][0]


def test_what_is_not_there_is_absent_and_not_judged():
    alone = {"torch 1": None, "torch 64": None}
    rows = gauge_correction.table("relu", times(**alone))
    assert [row["path"] for row in rows if row.get("absent")] == [
        "torch loop",
        "torch batched, 64 seeds",
    ]
    assert len(gauge_correction.verdicts(rows)) == 1  # seeds together need no torch
    none = dict.fromkeys(("library 1", "library 32", "library 64"))
    rows = gauge_correction.table("relu", times(**none))
    assert {row["path"] for row in rows if row.get("absent")} == {
        "library, one seed",
        "library, 64 seeds",
    }
    assert gauge_correction.verdicts(rows) == []
