"""`gaugebias doctor`: what it prints, and that a failing check is seen."""

import json

import pytest

from gaugebias.cli import _doctor, main


def test_all_checks_pass_here(capsys):
    assert main(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {c["check"] for c in said["checks"]} == {"generator", "sums", "law", "store"}
    assert all(c["passed"] for c in said["checks"])
    assert said["versions"]["jax"] != "absent"


def test_a_check_that_fails_or_raises_is_an_exit_code(capsys, monkeypatch):
    def broken():
        raise OSError("no disk")

    monkeypatch.setattr(_doctor, "_CHECKS", {"a": lambda: ("wrong", False), "b": broken})
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAILED      a: wrong" in out and "FAILED      b: OSError: no disk" in out
    assert "devices" in out and "float64" in out


@pytest.mark.parametrize("words", [["--jsn"], ["extra"]])
def test_bad_input_is_one_sentence(words, capsys):
    assert main(["doctor", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
