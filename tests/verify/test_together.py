import importlib.util
import threading
from pathlib import Path
from typing import Any

import pytest

from gaugebias.distributed import ProcessLost
from gaugebias.verify import Case, CaseResult, Row
from gaugebias.verify._attempt import Settings
from gaugebias.verify._together import check_same, help_with, lead

_path = Path(__file__).parents[1] / "distributed" / "buses.py"
_spec = importlib.util.spec_from_file_location("buses", _path)
assert _spec is not None and _spec.loader is not None
helpers: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(helpers)


def settings(folder, seed=3):
    return Settings(folder, seed, None, False, True)


def good(context):
    context.progress("half", 0.5)
    row = Row(
        test="a", case="good", dynamics="fake", law="a law", reference="none", role="expected",
        draws=context.chains, statistic=0.1, p_value=0.5,
    )  # fmt: skip
    return CaseResult((row,))


def bad(context):
    raise RuntimeError("no luck")


def run(cases, folder, count=2, help=help_with, seeds=(3, 3, 3)):
    """What `lead` returns, the outcomes by name, and what `help` returns on the others."""
    outcomes = {}

    def finished(outcome):
        outcomes[outcome.case.name] = outcome

    def go(bus):
        if bus.index:
            return help(bus, cases, settings(folder, seeds[bus.index]))
        found = lead(bus, cases, settings(folder), lambda message: None, finished)
        if found == (True, None):
            bus.gather("end of verify", b"3")
        return found

    first, *others = helpers.together(go, helpers.buses(count))
    return first, outcomes, others


def test_cases_are_shared_and_everything_reaches_process_0(tmp_path):
    cases = [Case(f"good-{i}", "Good", good) for i in range(6)] + [Case("bad", "Bad", bad)]
    first, outcomes, others = run(cases, tmp_path, count=3)
    assert first == (True, None) and others == [3, 3]
    assert {name: o.status for name, o in outcomes.items()} == (
        {f"good-{i}": "done" for i in range(6)} | {"bad": "error"}
    )
    assert outcomes["good-4"].judged[0].verdict == "consistent"
    assert outcomes["good-4"].judged[0].row == good_row()
    assert outcomes["bad"].error == "RuntimeError: no luck"
    assert "no luck" in (tmp_path / "bad-error.txt").read_text()  # whoever ran it


def good_row():
    from gaugebias.verify import Context

    return good(Context(None, 4096)).rows[0]


def test_other_options_are_refused_on_every_process(tmp_path):
    first, outcomes, (other,) = run([Case("good", "Good", good)], tmp_path, seeds=(3, 4))
    assert isinstance(first, ValueError) and str(first) == str(other) and not outcomes
    assert "process 1 was started with other options than process 0 (seed)" in str(first)


def test_the_case_of_a_lost_process_is_named_and_the_others_stop(tmp_path):
    gone = threading.Event()

    def dies(bus, cases, settings):
        check_same(bus, cases, settings)
        name = cases[bus.take("case")].name
        bus.post({"kind": "started", "process": bus.index, "name": name, "second": False})
        bus._wires[0].close()
        gone.set()
        return name

    def waits(context):  # so that the other process gets one of the cases
        assert gone.wait(30.0)
        return good(context)

    cases = [Case("one", "One", waits), Case("two", "Two", waits)]
    first, outcomes, (name,) = run(cases, tmp_path, help=dies)
    assert first == (False, "process 1 of 2 has died (its connection closed)")
    assert "run by process 1 when a process was lost" in (outcomes[name].error or "")


def test_a_lost_process_interrupts_a_case():
    from gaugebias.verify._attempt import attempt

    def lose(context):
        raise ProcessLost("process 1 of 2 has died")

    outcome = attempt(Case("lost", "Lost", lose), settings(Path()), lambda message: None)
    assert outcome.status == "interrupted" and outcome.error is None


def test_alone_there_is_nobody_to_help():
    from gaugebias.verify import help_run_cases

    with pytest.raises(ValueError, match="`distributed`: this is the only process"):
        help_run_cases([Case("good", "Good", good)])
