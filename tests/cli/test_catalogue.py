import json
from pathlib import Path

import jax
import pytest

import gaugebias.catalogue as catalogue
from gaugebias.cli import main


@pytest.fixture
def few(monkeypatch):
    """Three entries, so that the three-way check compiles little."""
    names = "hadamard", "relu-neuron", "radial"
    chosen = {name: model for name, model in catalogue.entries().items() if name in names}
    monkeypatch.setattr(catalogue, "entries", lambda: chosen)
    yield chosen
    jax.config.update("jax_enable_x64", True)


def test_the_table_has_every_entry_within_100_columns(capsys):
    assert main(["catalogue"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    first = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    known = catalogue.entries()
    assert first[: len(known) + 1] == ["model", *known]
    text = "\n".join(lines)
    for name, model in known.items():
        (row,) = [line for line in lines if line.startswith(name + " ")]
        assert model.description.formula in row and model.description.group in row
        assert model.description.slice in text


def test_the_documentation_shows_what_is_printed(capsys):
    main(["catalogue"])
    printed = [line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines()]
    page = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text(encoding="utf-8")
    assert "\n".join(printed) in page


def test_one_entry_with_its_three_values(few, capsys):
    assert main(["catalogue", "radial", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    model = few["radial"]
    w = model.invariants(model.init(jax.random.key(3)))
    assert f"{float(model.log_det_orbit_gram(w)):.10f}" in out
    assert "stabiliser of dimension 1" in out and "finite diff." in out and "NO" not in out
    assert max(map(len, out.splitlines())) <= 100


def test_check_agrees_and_its_exit_code_when_not(few, capsys, monkeypatch):
    assert main(["catalogue", "--check"]) == 0
    out = capsys.readouterr().out
    assert "All agree" in out and all(name in out for name in few)
    wrong = catalogue.Agreement("log det S", 1.0, 1.0, 1.0 + 2e-6)
    monkeypatch.setattr(catalogue, "agreement", lambda model, params: (wrong,))
    assert main(["catalogue", "--check"]) == 1
    out = capsys.readouterr().out
    assert "NO" in out and "Disagree: hadamard, relu-neuron, radial" in out


def test_json(few, capsys):
    assert main(["catalogue", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(few)
    assert rows[0]["laws"][0]["density"] == "prod_i |w_i|^-(1 - 1/2)"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["radiall"], "did you mean 'radial'? The names are hadamard, "),
        (["radial", "--seed", "-1"], "`seed` is -1"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(capsys, words, message):
    assert main(["catalogue", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_help_has_an_example(capsys):
    assert main(["catalogue", "--help"]) == 0
    assert "gaugebias catalogue --check" in capsys.readouterr().out
