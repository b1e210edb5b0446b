import json

import jax
import numpy as np
import pytest

import gaugebias.verify
from gaugebias.cli import main
from gaugebias.verify import Case, CaseResult, Row

SEEN = []


def fake(name, p_value=0.5, role="expected", error=None):
    def run(context):
        SEEN.append(context)
        if error is not None:
            raise error
        text = {"case": name, "dynamics": "noise", "law": "flat", "reference": "lebesgue dw"}
        row = Row(test="flat", role=role, draws=100, statistic=0.1, p_value=p_value, **text)
        return CaseResult((row,))

    return Case(name, f"Fake {name}", run)


@pytest.fixture(autouse=True)
def built_in(monkeypatch):
    """Three fake cases in place of the built-in ones; float64 as it was afterwards."""
    SEEN.clear()
    cases = (fake("good"), fake("differs", 1e-9), fake("undecided", 1e-4, "rival"))
    monkeypatch.setattr(gaugebias.verify, "cases", lambda: cases)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize(
    ("names", "code"),
    [(["good"], 0), (["differs"], 1), (["undecided"], 3), (["good,undecided"], 3), ([], 1)],
)
def test_exit_codes(tmp_path, capsys, names, code):
    options = ["--cases", *names] if names else []
    assert main(["verify", "--out", str(tmp_path / "r"), *options]) == code
    saved = json.loads((tmp_path / "r" / "verdicts.json").read_text())
    wanted = names[0].split(",") if names else ["good", "differs", "undecided"]
    assert [case["name"] for case in saved["cases"]] == wanted
    out = capsys.readouterr().out
    assert "reference measure" in out and "tests: " in out and "False-alarm rate" in out


@pytest.mark.parametrize(("names", "code"), [(["good"], 0), (["differs", "good"], 1)])
def test_json_is_the_record_and_nothing_else(tmp_path, capsys, names, code):
    words = ["verify", "--out", str(tmp_path), "--json", "--cases", *names]
    assert main(words) == code
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "verdicts.json").read_text())
    assert said["exit_code"] == code and {case["name"] for case in said["cases"]} == set(names)
    assert main(["verify", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["cases"]
    assert listed[0] == {"name": "good", "title": "Fake good"} and len(listed) == 3


def test_list_names_the_cases_and_computes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "good",
        "differs",
        "undecided",
    ]
    assert not SEEN and not list(tmp_path.iterdir())


def test_help_has_an_example(capsys):
    assert main(["verify", "--help"]) == 0
    assert "gaugebias verify --csv" in capsys.readouterr().out


def test_options_reach_the_run(tmp_path):
    options = ["--cases", "good", "--chains", "64", "--seed", "3", "--quick", "--no-x64"]
    assert main(["verify", "--out", str(tmp_path), *options]) == 0
    (context,) = SEEN
    assert (context.chains, context.quick, context.x64) == (64, True, False)
    assert jax.numpy.zeros(()).dtype == jax.numpy.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cases", "goood"], "did you mean 'good'"),
        (["--cases", "zzz"], "`--list` shows"),
        (["--chains", "1"], "`chains` is 1"),
        (["--seed", "-1"], "`seed` is -1"),
        (["--target", "y"], "`target` belongs to a table"),
        (["--depth", "3"], "`depth` belongs to a table"),
        (["--temperature", "1"], "`temperature` belongs to a table"),
        (["--csv", "x.csv"], "`target` is missing"),
        (["--csv", "x.csv", "--target", "y", "--depth", "1"], "`depth` is 1"),
        (["--csv", "x.csv", "--target", "y", "--temperature", "-1"], "`temperature` is -1"),
        (["--csv", "x.csv", "--target", "y", "--temperature", "nan"], "`temperature` is nan"),
        (["--csv", "x.csv", "--target", "y", "--cases", "good"], "exclude each other"),
        (["--csv", "x.csv", "--target", "y"], "'x.csv' does not exist"),
        (["--process-id", "0"], "`process_id` belongs to several processes"),
        (["--distributed", "0"], "`distributed` is one number of processes"),
        (["--distributed", "2", "3"], "`distributed` is one number of processes"),
        (["--distributed", "2", "--num-processes", "3"], "give one of them"),
        (["--distributed", "2", "--workers", "2"], "exclude each other"),
        (["--distributed", "--process-id", "0"], "must come before anything that computes"),
        (["--out", "file/r"], "`out`: cannot write into 'file/r' (not a directory)"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["verify", *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not SEEN and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_option_that_cannot_be_parsed(capsys):
    assert main(["verify", "--chains", "many"]) == 2
    assert main(["verify", "--nonsense"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_case_that_fails_is_one_sentence(tmp_path, monkeypatch, capsys):
    cases = (fake("good"), fake("bad", error=ValueError("`dt` is too large:\n lower it.")))
    monkeypatch.setattr(gaugebias.verify, "cases", lambda: cases)
    assert main(["verify", "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "consistent" in captured.out and "Traceback" not in captured.err
    assert captured.err.endswith("gaugebias verify: bad: `dt` is too large: lower it.\n")


def test_an_interruption(tmp_path, monkeypatch, capsys):
    cases = (fake("good"), fake("slow", error=KeyboardInterrupt()))
    monkeypatch.setattr(gaugebias.verify, "cases", lambda: cases)
    assert main(["verify", "--out", str(tmp_path)]) == 130
    captured = capsys.readouterr()
    assert "consistent" in captured.out and "what was finished is kept" in captured.err


def test_a_table_becomes_a_case(tmp_path, monkeypatch):
    values = np.random.default_rng(0).normal(size=(20, 3))
    path = tmp_path / "houses.csv"
    np.savetxt(path, values, delimiter=",", header="a,b,price", comments="")
    given = {}

    def csv_case(table, depth, temperature):
        given.update(table=table, depth=depth, temperature=temperature)
        return fake("houses")

    monkeypatch.setattr(gaugebias.verify, "csv_case", csv_case)
    words = ["verify", "--csv", str(path), "--target", "price", "--out", str(tmp_path / "r")]
    assert main(words) == 0
    assert (given["depth"], given["temperature"]) == (2, 0.01)
    assert main([*words, "--depth", "3", "--temperature", "0.5"]) == 0
    assert (given["depth"], given["temperature"]) == (3, 0.5)
    assert given["table"].columns == ("a", "b")
    settings = json.loads((tmp_path / "r" / "verdicts.json").read_text())["settings"]
    assert (settings["target"], settings["depth"]) == ("price", 3)
