import io
import json
import math

import jax
import pytest
from rich.console import Console

from gaugebias.verify import Case, CaseResult, run_cases
from gaugebias.verify._attempt import sentence

GOOD = {"expected law": 0.4, "rival law": 1e-9, "refusal law": 1.0, "report number": math.nan}


def record(folder):
    return json.loads((folder / "verdicts.json").read_text())


@pytest.mark.parametrize(
    ("attempts", "code", "verdicts"),
    [
        ([GOOD], 0, ["consistent", "rejected", "refused", "reported"]),
        ([{"expected law": 1e-4}, {"expected law": 1e-4}], 1, ["differs"]),
        ([{"expected law": math.nan}], 1, ["differs"]),
        ([{"refusal law": 0.0}], 1, ["not refused"]),
        ([{"rival law": 1e-4}], 3, ["undecided"]),
        ([{"rival law": math.nan}], 3, ["undecided"]),
        ([{"expected a": 1e-4, "rival law": 0.1}, {"expected a": 1e-4, "rival law": 0.0}], 1, None),
    ],
)
def test_verdicts_and_exit_codes(fake, tmp_path, attempts, code, verdicts):
    report = run_cases([fake("one", *attempts).case], out=tmp_path)
    assert report.exit_code == code == record(tmp_path)["exit_code"]
    if verdicts is not None:
        assert [each.verdict for each in report.judged] == verdicts


def test_a_failed_law_is_tested_again_with_fresh_noise_more_chains_and_a_smaller_step(
    fake, tmp_path
):
    case = fake(
        "one",
        {"expected a": 1e-4, "expected b": 0.5, "rival c": 1e-9},
        {"expected a": 0.3, "expected b": 1e-5, "rival c": 0.9},
    )
    report = run_cases([case.case], out=tmp_path)
    first, second = case.contexts
    assert (first.chains, second.chains) == (64, 128)
    assert (first.dt_scale, second.dt_scale) == (1.0, 0.5)
    assert not (jax.random.key_data(first.key) == jax.random.key_data(second.key)).all()
    # Only the row that failed is judged again: b and c keep their first p-values.
    a, b, c = report.judged
    assert (a.verdict, a.row.p_value, a.row.draws) == ("consistent", 0.3, 128)
    assert a.first is not None and a.first.p_value == 1e-4
    assert (b.verdict, b.row.p_value) == ("consistent", 0.5)
    assert (c.verdict, c.row.p_value) == ("rejected", 1e-9)
    assert report.exit_code == 0
    assert record(tmp_path)["cases"][0]["rows"][0]["first"]["p_value"] == 1e-4


def test_a_run_as_expected_is_not_repeated(fake, tmp_path):
    case = fake("one", GOOD)
    run_cases([case.case], out=tmp_path)
    assert len(case.contexts) == 1


def test_a_law_missing_from_the_second_attempt_differs(fake, tmp_path):
    report = run_cases([fake("one", {"expected a": 0.0}, {}).case], out=tmp_path)
    assert report.judged[0].verdict == "differs"
    assert "not tested again" in report.judged[0].row.detail


def test_keys_depend_on_seed_and_name_but_not_on_the_other_cases(fake, tmp_path):
    def key(seed, *names):
        cases = [fake(name, GOOD) for name in names]
        run_cases([case.case for case in cases], out=tmp_path, seed=seed)
        return jax.random.key_data(cases[-1].contexts[0].key).tolist()

    assert key(0, "a", "b") == key(0, "b")
    assert key(0, "b") != key(1, "b")
    assert key(0, "b") != key(0, "a")


def test_options_reach_the_case(fake, tmp_path):
    quick, given = fake("one", GOOD), fake("one", GOOD)
    run_cases([quick.case], out=tmp_path, quick=True, x64=False)
    run_cases([given.case], out=tmp_path, chains=7)
    assert (quick.contexts[0].chains, quick.contexts[0].quick) == (32, True)
    assert quick.contexts[0].dtype == jax.numpy.float32
    assert given.contexts[0].chains == 7


def test_a_case_that_raises_is_recorded_and_the_others_go_on(fake, tmp_path):
    def broken(context):
        raise RuntimeError("3 of 64 chains diverged: lower `dt`\nsecond line")

    cases = [fake("one", GOOD).case, Case("two", "Broken", broken), fake("three", GOOD).case]
    report = run_cases(cases, out=tmp_path)
    assert report.exit_code == 2
    assert report.errors == ("two: RuntimeError: 3 of 64 chains diverged: lower `dt`",)
    assert [case["status"] for case in record(tmp_path)["cases"]] == ["done", "error", "done"]
    assert "Traceback" in (tmp_path / "two-error.txt").read_text()


def test_an_error_in_the_second_attempt_keeps_the_first(fake, tmp_path):
    case = fake("one", {"expected a": 1e-5})

    def run(context):
        if context.dt_scale < 1.0:
            raise ValueError("`dt` is too small")
        return case(context)

    report = run_cases([Case("one", "Fake", run)], out=tmp_path)
    assert report.exit_code == 2
    assert [each.verdict for each in report.judged] == ["retest"]


@pytest.mark.parametrize("when", ["between", "in the second attempt"])
def test_an_interruption_keeps_what_is_finished(fake, tmp_path, when):
    good = fake("one", GOOD, figure=True)
    half = fake("two", {"expected a": 1e-5}, figure=True)

    def interrupted(context):
        if when == "between" or context.dt_scale < 1.0:
            raise KeyboardInterrupt
        return half(context)

    never = fake("three", GOOD)
    report = run_cases(
        [good.case, Case("two", "Interrupted", interrupted), never.case], out=tmp_path
    )
    assert report.exit_code == 130 and not never.contexts
    saved = record(tmp_path)
    assert (saved["interrupted"], saved["complete"], saved["exit_code"]) == (True, False, 130)
    assert [case["status"] for case in saved["cases"]] == ["done", "interrupted"]
    assert (tmp_path / "one.png").exists()
    assert (tmp_path / "two.png").exists() == (when != "between")
    assert len(saved["cases"][1]["rows"]) == (when != "between")
    report.print(Console(width=120, file=io.StringIO()))


def test_results_are_on_disk_before_the_next_case_starts(fake, tmp_path):
    seen = {}

    def look(context):
        seen.update(record(tmp_path), figure=(tmp_path / "one.png").read_bytes()[:4])
        return CaseResult(())

    run_cases([fake("one", GOOD, figure=True).case, Case("two", "Look", look)], out=tmp_path)
    assert seen["complete"] is False and seen["figure"] == b"\x89PNG"
    assert [row["verdict"] for row in seen["cases"][0]["rows"]][0] == "consistent"
    assert record(tmp_path)["complete"] is True
    assert not list(tmp_path.glob(".*"))


def test_the_record_of_an_earlier_run_is_kept(fake, tmp_path):
    run_cases([fake("one", GOOD).case], out=tmp_path, seed=1)
    run_cases([fake("one", GOOD).case], out=tmp_path, seed=2)
    earlier = json.loads((tmp_path / "verdicts.previous.json").read_text())
    assert (earlier["settings"]["seed"], record(tmp_path)["settings"]["seed"]) == (1, 2)


def test_bad_arguments(fake, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`cases` is empty"):
        run_cases([], out=tmp_path)
    case = fake("one", GOOD)
    with pytest.raises(ValueError, match="`out`: cannot write .*not a directory"):
        run_cases([case.case], out=tmp_path / "file" / "report")
    assert not case.contexts
    with pytest.raises(ValueError, match="`name`"):
        Case("a/b", "Bad", case)


def test_progress_is_a_line_a_case_without_a_terminal(fake, tmp_path, capsys):
    run_cases([fake("one", GOOD).case], out=tmp_path, progress_console=Console(stderr=True))
    assert capsys.readouterr().err.startswith("[1/1] one: done in ")


def test_progress_is_a_bar_on_a_terminal(fake, tmp_path, capsys):
    console = Console(stderr=True, force_terminal=True, width=100)
    run_cases([fake("one", {"expected a": 1e-4}).case], out=tmp_path, progress_console=console)
    assert "running it again with twice the chains" in capsys.readouterr().err


def test_sentences_are_one_line():
    assert sentence(ValueError("a\n  b")) == "a b"
    assert sentence(KeyError("a")) == "KeyError: 'a'"
    assert sentence(RuntimeError()) == "RuntimeError: no message"
