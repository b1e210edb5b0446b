import importlib
import sys
import textwrap

import pytest

from gaugebias.verify import Case, CaseResult, run_cases
from gaugebias.verify._attempt import Settings
from gaugebias.verify._workers import can_travel, run_in_workers

SOURCE = """
    import os
    import signal

    import jax
    from gaugebias.verify import CaseResult, Row


    def row(name, draws):
        return Row(test="a", case=name, dynamics="fake", law="a law", reference="none",
                   role="expected", draws=draws, statistic=0.1, p_value=0.5)


    def good(context):
        context.progress("half", 0.5)
        key = jax.random.key_data(context.key)
        return CaseResult((row("good", int(key[1]) % 1000 + 1),))


    def bad(context):
        raise RuntimeError("no luck")


    def killed(context):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def travelling(tmp_path_factory):
    """A module that another process can import."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "travelling_cases.py").write_text(textwrap.dedent(SOURCE))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("travelling_cases")
    sys.path.remove(str(folder))
    del sys.modules["travelling_cases"]


def test_a_worker_that_fails_or_dies_costs_its_case_only(travelling, tmp_path):
    cases = [
        Case("killed", "Killed", travelling.killed, cost=3.0),
        Case("bad", "Raises", travelling.bad, cost=2.0),
        Case("good", "Good", travelling.good),
    ]
    report = run_cases(cases, out=tmp_path, workers=2, seed=3)
    assert [outcome.status for outcome in report.outcomes] == ["error", "error", "done"]
    assert "signal 9" in report.errors[0] and "memory" in report.errors[0]
    assert report.errors[1] == "bad: RuntimeError: no luck"
    alone = run_cases([cases[2]], out=tmp_path, seed=3)
    assert alone.judged[0].row.draws == report.judged[0].row.draws


def test_an_interruption_stops_the_workers_and_keeps_what_is_known(travelling, tmp_path):
    outcomes = []

    def interrupt(message):
        raise KeyboardInterrupt

    settings = Settings(tmp_path, 0, None, False, True)
    cases = [Case("good", "Good", travelling.good)]
    assert run_in_workers(cases, settings, 1, interrupt, outcomes.append) is False
    assert [outcome.status for outcome in outcomes] == ["interrupted"]


def test_cases_of_local_functions_stay_in_this_process(fake, tmp_path):
    cases = [fake("one", {"expected a": 0.5}), fake("two", {"expected a": 0.5})]
    assert not can_travel([Case("one", "Local", lambda context: CaseResult(()))])
    report = run_cases(
        [Case(c.name, "Local", lambda context, c=c: c(context)) for c in cases],
        out=tmp_path,
        workers=2,
    )
    assert report.exit_code == 0 and all(len(c.contexts) == 1 for c in cases)
    with pytest.raises(ValueError, match="`workers`"):
        run_cases([cases[0].case], out=tmp_path, workers=0)
