import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias
from gaugebias.cli import main


@pytest.fixture(autouse=True)
def x64():
    yield
    jax.config.update("jax_enable_x64", True)


class Picture:
    def savefig(self, path, **options):
        path.write_bytes(b"drawn")


def load(path):
    spec = importlib.util.spec_from_file_location("written", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_design_is_printed_validated_drawn_and_written(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--penalty", "log(weight=0.1)", "--temperature", "0.2", "--form", "product"]
    assert main(["design", *words, "--chains", "3000", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "w = u_1 u_2: a product of 2 factors" in text
    assert "follows the designed law" in text and "rejected" in text
    assert (out / "design.png").stat().st_size > 10_000
    assert sorted(path.name for path in out.iterdir()) == ["design.png", "design.py"]
    module = load(out / "design.py")
    np.testing.assert_allclose(module.phi(module.lift(jnp.asarray(0.3))), 0.3)
    assert module.action is not None
    # Of the run without a simulation, as one JSON object and nothing else.
    assert main(["design", *words, "--unchecked", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == 0 and said["validation"] is None and said["error"] is None
    assert said["options"]["temperature"] == 0.2 and said["design"]["symmetric"] is True
    assert said["design"]["closed_form"] in text
    assert said["written"] == {"module": str(out / "design.py"), "figure": str(out / "design.png")}


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_verdict_as_json(tmp_path, capsys, monkeypatch, code):
    class Verdict:
        def to_dict(self):
            return {"rows": [{"law": "designed", "p_value": 0.5}]}

    class Validation:
        verdict, expected, rivals = Verdict(), ("designed",), ("flat",)
        process, jumped, outside, statement = "langevin", 0.0, 0.0, "It follows."
        holds, exit_code = code == 0, code

    monkeypatch.setattr(gaugebias.design, "validate", lambda *args, **options: Validation())
    monkeypatch.setattr(gaugebias.plot, "design_page", lambda *args: Picture())
    words = ["--penalty", "log(weight=0.1)", "--temperature", "0.2", "--json"]
    assert main(["design", *words, "--out", str(tmp_path)]) == code
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == code and said["validation"]["holds"] is (code == 0)
    assert said["validation"]["verdict"]["rows"][0]["law"] == "designed"


def test_a_design_that_was_not_validated_is_still_told_as_json(tmp_path, capsys, monkeypatch):
    def fail(*args, **options):
        raise ValueError("`steps` would be too many:\n raise `dt`.")

    monkeypatch.setattr(gaugebias.design, "validate", fail)
    monkeypatch.setattr(gaugebias.plot, "design_page", lambda *args: Picture())
    words = ["--penalty", "log(weight=0.1)", "--temperature", "0.2", "--json"]
    assert main(["design", *words, "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert said["exit_code"] == 2 and "raise `dt`" in said["error"]
    assert "was not validated" in captured.err and captured.err.count("\n") == 1


@pytest.mark.slow
def test_a_penalty_of_a_file_is_found_from_the_module(tmp_path, capsys):
    (tmp_path / "own.py").write_text("def penalty(w):\n    return 0.2 * abs(w)\n")
    out = tmp_path / "out"
    words = ["--penalty", f"{tmp_path / 'own.py'}:penalty", "--temperature", "0.2", "--unchecked"]
    assert main(["design", *words, "--out", str(out)]) == 0
    assert "penalty(w)" in capsys.readouterr().out
    design = load(out / "design.py").design
    u = jnp.asarray(0.5)
    np.testing.assert_allclose(design(u), -np.log(0.5), rtol=1e-7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--penalty", "l1", "--temperature", "0"], "`temperature` must be positive, but is 0"),
        (["--penalty", "log(weight=1)", "--temperature", "0.5"], "not normalisable at w = 0"),
        (["--penalty", "x.py:f", "--temperature", "1"], "the file 'x.py' does not exist"),
        (["--penalty", "l7", "--temperature", "1"], "there is no penalty 'l7'"),
        (["--penalty", "l1"], "temperature"),
        (["--penalty", "l1", "--temperature", "1", "--form", "x"], "`form` is 'x'"),
        (["--penalty", "l1", "--temperature", "1", "--chains", "3"], "`chains` is 3"),
        (["--penalty", "l1", "--temperature", "1", "--out", "."], "`out` is the current folder"),
        (["--penalty", "l1", "--temperature", "1", "--out", "/proc/x"], "cannot write into"),
        (["--penalty", "l1", "--temperature", "1", "--curvature", "0"], "`curvature` is 0"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["design", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not list(tmp_path.iterdir())


def test_help_has_an_example(capsys):
    assert main(["design", "--help"]) == 0
    assert "gaugebias design --penalty" in capsys.readouterr().out
