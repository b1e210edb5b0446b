import dataclasses
import json

import jax
import numpy as np
import pytest

from gaugebias import papers, plot
from gaugebias.cli import main

SEEN = []
NAME = "deep-matrix-factorisation"


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """The one publication, computing nothing; its verdict is set by the test."""
    SEEN.clear()
    module = papers.load(NAME)
    state = {"verdict": "supported", "error": None}

    def run(settings, key, progress):
        SEEN.append((settings, key))
        progress("working", 0.5)
        if state["error"] is not None:
            raise state["error"]
        return state["verdict"]

    def claims(result):
        return (papers.Claim("one", "A statement.", "published", "1.23", result),)

    x = np.linspace(0.0, 1.0, 5)
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "claims", claims)
    monkeypatch.setattr(module, "controls", lambda result: ())
    panel = plot.CurveData("Title", "x", "y", {"seen": (x, x)})
    monkeypatch.setattr(module, "figures", lambda result: (panel,))
    yield state
    jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize(
    ("verdict", "code"), [("supported", 0), ("not supported", 1), ("undecided", 3)]
)
def test_exit_codes(tmp_path, capsys, fake, verdict, code):
    fake["verdict"] = verdict
    assert main(["reproduce", NAME, "--out", str(tmp_path), "--seed", "5"]) == code
    captured = capsys.readouterr()
    assert "1.23" in captured.out and verdict in captured.out and "working" in captured.err
    assert ("(!)" in captured.out) == (code != 0)
    assert json.loads((tmp_path / NAME / "claims.json").read_text())["seed"] == 5
    assert (tmp_path / NAME / "figure.png").exists()
    ((settings, key),) = SEEN
    assert settings == papers.load(NAME).Settings() and key == jax.random.key(5)


def test_json_is_the_records_and_nothing_else(tmp_path, capsys, fake):
    words = ["reproduce", NAME, "--out", str(tmp_path), "--json"]
    for verdict, code in (("supported", 0), ("not supported", 1)):
        fake["verdict"] = verdict
        assert main(words) == code
        said = json.loads(capsys.readouterr().out)
        saved = json.loads((tmp_path / NAME / "claims.json").read_text())
        assert said == {"exit_code": code, "publications": [saved], "errors": []}
        assert saved["claims"][0]["verdict"] == verdict
    for error, code, said in (
        (ValueError("`steps` is wrong:\n raise it."), 2, [f"{NAME}: `steps` is wrong: raise it."]),
        (KeyboardInterrupt(), 130, []),
    ):
        fake["error"] = error
        assert main(words) == code
        out = json.loads(capsys.readouterr().out)
        assert out == {"exit_code": code, "publications": [], "errors": said}
    assert main(["reproduce", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["publications"]
    assert [each["name"] for each in listed] == list(papers.names())


def test_all_and_quick(tmp_path, capsys, monkeypatch):
    first = papers.publications()[:1]
    monkeypatch.setattr(papers, "publications", lambda: first)
    assert main(["reproduce", "--all", "--quick", "--out", str(tmp_path)]) == 0
    assert SEEN[0][0] == papers.load(NAME).quick()


def test_list_computes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--list"]) == 0
    out = capsys.readouterr().out
    for each in papers.publications():
        assert each.name in out and each.arxiv in out and f"{each.seconds:.0f} s" in out
    assert not SEEN and not list(tmp_path.iterdir())


def test_an_error_and_an_interruption(tmp_path, capsys, fake):
    words = ["reproduce", NAME, "--out", str(tmp_path)]
    fake["error"] = ValueError("`steps` is wrong:\n raise it.")
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.endswith(f"gaugebias reproduce: {NAME}: `steps` is wrong: raise it.\n")
    fake["error"] = KeyboardInterrupt()
    assert main(words) == 130
    captured = capsys.readouterr()
    assert "what was finished is kept" in captured.err and "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a publication, or give `--all`"),
        (["deep-matrix"], "did you mean 'deep-matrix-factorisation'"),
        (["zzz"], "there is no publication 'zzz': The names are"),
        (["--all", NAME], "`all` and names exclude each other"),
        ([NAME, "--seed", "-1"], "`seed` is -1"),
        ([NAME, "--out", "."], "`out` is the current folder"),
        ([NAME, "--out", "file/r"], "`out`: cannot write into"),
        ([NAME, "--seed", "many"], "--seed"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["reproduce", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not SEEN and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_help_has_an_example(capsys):
    assert main(["reproduce", "--help"]) == 0
    assert "gaugebias reproduce --all --quick" in capsys.readouterr().out


def test_a_setting_is_changed_by_name(tmp_path, capsys):
    words = ["reproduce", NAME, "--quick", "--out", str(tmp_path)]
    assert main([*words, "--set", "sensing_seeds=9", "--set", "depths=2, 3,4,5"]) == 0
    ((settings, _),) = SEEN
    quick = papers.load(NAME).quick()
    assert settings.sensing_seeds == 9 and settings.depths == (2, 3, 4, 5)
    assert dataclasses.replace(settings, sensing_seeds=quick.sensing_seeds) == quick
    saved = json.loads((tmp_path / NAME / "claims.json").read_text())
    assert saved["settings"]["sensing_seeds"] == 9
    assert main([*words, "--set", "seed=9"]) == 2
    assert "there is no setting 'seed'" in capsys.readouterr().err
    assert main([*words[:1], "--all", "--set", "seed=9"]) == 2
    assert "`set` changes the settings of one publication" in capsys.readouterr().err
