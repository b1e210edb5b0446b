"""What counts as slower than stored, and what the suite says of it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

if not (Path(__file__).resolve().parents[2] / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)

from benchmarks import __main__ as suite, _timing
from benchmarks._regression import LEAST, missing, not_comparable, slower, width
from benchmarks._table import spread, text
from benchmarks._timing import Estimate, Turns, interleaved


def row(ratio, scatter=0.0, **more):
    """One ratio whose quartiles are `scatter` apart, in its logarithm."""
    half = 2.718281828459045 ** (scatter / 2)
    base = {"problem": "toy", "path": "simulate", "of": "scan", "ratio": ratio}
    return base | {"ratio_low": ratio / half, "ratio_high": ratio * half} | more


def record(*rows, quick=False, **more):
    sections = {"engines": {"rows": list(rows)}}
    return {"machine": "m", "versions": {}, "quick": quick, "sections": sections} | more


def test_a_ratio_that_got_worse_is_named_with_its_factor():
    (found,) = slower(record(row(0.6)), record(row(0.3)))
    assert found.factor == pytest.approx(2.0) and found.threshold == LEAST
    said = str(found)
    for part in ("engines, toy, simulate", "2.00 times slower", "0.3 -> 0.6 of scan"):
        assert part in said


def test_where_more_is_better_a_smaller_ratio_is_slower():
    now, then = row(30.0, better="more"), row(90.0, better="more")
    assert slower(record(now), record(then))[0].factor == pytest.approx(3.0)
    assert slower(record(then), record(now)) == []


@pytest.mark.parametrize(("factor", "caught"), [(0.5, False), (1.24, False), (1.26, True)])
def test_a_quarter_is_the_least_that_counts(factor, caught):
    assert bool(slower(record(row(factor)), record(row(1.0)))) == caught


@pytest.mark.parametrize(("scatter", "caught"), [(0.2, True), (0.4, False)])
def test_what_both_runs_scatter_does_not_count(scatter, caught):
    """Worse by 1.5, `log 1.5 = 0.405`, against two interquartile ranges of `scatter`."""
    found = slower(record(row(1.5, scatter)), record(row(1.0, scatter)))
    assert bool(found) == caught
    assert width(row(1.0, scatter)) == pytest.approx(scatter)


def test_the_worst_comes_first():
    other = {"problem": "hadamard"}
    found = slower(record(row(2.0), row(4.0) | other), record(row(1.0), row(1.0) | other))
    assert [each.problem for each in found] == ["hadamard", "toy"]


def test_peers_and_rows_without_partner_are_not_judged():
    assert slower(record(row(9.0, peer=True)), record(row(1.0, peer=True))) == []
    assert slower(record(row(9.0)), record(row(1.0, path="another"))) == []
    assert (
        slower(record({"problem": "toy", "path": "simulate", "absent": True}), record(row(1))) == []
    )


def test_what_was_measured_and_is_not_any_more_is_named():
    gone = {"problem": "toy", "path": "simulate", "absent": True}
    assert missing(record(gone), record(row(1.0))) == ["engines, toy, simulate"]
    assert missing(record(gone) | {"sections": {}}, record(row(1.0))) == []
    assert missing(record(row(1.0)), record(row(1.0))) == []


def test_runs_of_another_length_are_not_compared():
    assert not_comparable(record(), record()) is None
    assert "without `--quick`" in (not_comparable(record(quick=True), record()) or "")
    assert "holds no results" in (not_comparable(record(), {"rows": []}) or "")


def test_ratios_are_taken_turn_by_turn():
    """A machine that slows down fourfold in the middle changes both functions, not their ratio."""
    drift = [1.0, 1.0, 4.0, 4.0]
    one = [2.0 * d for d in drift]
    turns = Turns({"one": np.asarray(one), "other": np.asarray(drift)})
    assert turns.ratio("one", "other") == Estimate(2.0, 2.0, 2.0, 4)
    assert turns["one"] == 5.0 and list(turns) == ["one", "other"]
    late = Turns({"one": np.asarray([3.0, float("nan")]), "other": np.asarray([float("nan"), 2.0])})
    assert late.ratio("one", "other").median == 1.5
    assert Estimate.of([]).turns == 0


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves where it is told to; what makes functions that take a given time."""
    now, calls = [0.0], []
    monkeypatch.setattr(_timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def lasting(name, *seconds):
        def fn():
            calls.append(name)
            now[0] += seconds[min(calls.count(name), len(seconds)) - 1]

        return fn

    return lasting, calls


def test_functions_take_turns_and_first_calls_do_not_count(clock):
    lasting, calls = clock
    fast, slow = lasting("fast", 9.0, 1.0), lasting("slow", 9.0, 4.0)
    turns = interleaved({"fast": fast, "slow": slow}, repeats=3, slow=100.0)
    assert calls == ["fast"] * 2 + ["slow"] * 2 + ["fast", "slow"] * 3
    assert turns["fast"] == 1.0 and turns.ratio("slow", "fast") == Estimate(4.0, 4.0, 4.0, 3)


def test_short_calls_are_repeated_after_one_that_does_not_count(clock):
    """Four calls fill a turn; the one before them finds what the other function left behind."""
    lasting, calls = clock
    turns = interleaved({"short": lasting("short", 1.0)}, repeats=2, least=4.0)
    assert calls == ["short"] * (2 + 2 * (1 + 4)) and turns["short"] == 1.0


def test_a_long_function_sits_out(clock):
    lasting, calls = clock
    turns = interleaved({"long": lasting("long", 2.0)}, repeats=9, slow=1.0)
    assert len(calls) == 2 + 2 and turns.estimate("long").turns == 2


def test_the_table_shows_spread_and_absence():
    shown = text("engines", [row(0.5, 0.1, value=3.0, unit="ns"), row(1) | {"absent": True}])
    assert "10%" in shown and "of scan" in shown and "absent" in shown
    assert spread(row(1.0, 0.1), "ratio") == pytest.approx(0.1, rel=1e-2)
    assert spread({"ratio": 1.0}, "ratio") is None


def test_rows_of_scaling_keep_their_quartiles():
    found = {"problem": "toy", "what": "strong, two devices", "seconds": 0.5, "efficiency": 0.9}
    shown = suite._efficiency(found | {"quartiles": [0.88, 0.93], "limit": 0.95})
    assert slower(record(shown | {"ratio": 0.6}), record(shown))[0].factor == pytest.approx(1.5)
    alone = suite._efficiency(found | {"what": "two alone", "quartiles": [0.9, 0.9]})
    assert slower(record(alone | {"ratio": 0.1}), record(alone)) == []
    assert "0.9" in text("scaling", [shown]) and "of linear" in text("scaling", [shown])


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A suite of one benchmark whose ratio is `ratio[0]`."""
    ratio = [0.3]
    measured = lambda quick: ([row(ratio[0])], [("at most 0.5", ratio[0] <= 0.5)])  # noqa: E731
    monkeypatch.setattr(suite, "SUITE", {"engines": measured})
    monkeypatch.setattr(suite, "RESULTS", tmp_path)
    return ratio


def test_exit_codes(small, tmp_path, capsys):
    assert suite.main(["--save"]) == 0
    assert "no stored results" in capsys.readouterr().out
    assert suite.main([]) == 0
    assert "nothing slowed" in capsys.readouterr().out
    small[0] = 0.45
    assert suite.main(["--json", str(tmp_path / "out.json")]) == 1
    assert "SLOWER engines, toy, simulate: 1.50 times slower" in capsys.readouterr().out
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert written["sections"]["engines"]["rows"][0]["ratio"] == 0.45
    small[0] = 0.6
    assert suite.main(["--against", str(tmp_path / "out.json")]) == 1
    out = capsys.readouterr().out
    assert "MISSED at most 0.5" in out and "engines: at most 0.5" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--against", "none.json"], "`--against` cannot be read"),
        (["--against", "BAD"], "holds no results of the suite"),
        (["--json", "no/such/folder/x.json"], "there is no folder no/such/folder"),
        (["--only", "nothing"], "invalid choice"),
    ],
)
def test_bad_input_says_so_before_anything_runs(small, tmp_path, capsys, arguments, words):
    (tmp_path / "bad.json").write_text("[1]", encoding="utf-8")
    arguments = [str(tmp_path / "bad.json") if x == "BAD" else x for x in arguments]
    with pytest.raises(SystemExit) as stopped:
        suite.main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
