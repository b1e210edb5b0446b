import csv
import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

import gaugebias.factor
from gaugebias.cli import main
from gaugebias.cli._factorise_report import _print_blocks

TABLE = """health,male,female
very good,448,369
good,1789,1753
regular,636,859
bad,177,237
very bad,39,64
"""


@pytest.fixture
def health(tmp_path):
    path = tmp_path / "health.csv"
    path.write_text(TABLE)
    return path


def factorise(path, *words):
    return main(["factorise", str(path), "--out", str(path.parent / "out"), *words])


def read(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_the_health_table_from_the_file_to_the_folder(health, capsys):
    assert factorise(health, "--components", "2", "--starts", "2") == 0
    printed = capsys.readouterr()
    assert printed.err == "" and max(map(len, printed.out.splitlines())) <= 100
    assert "Unique: no; a share moves by up to 0.727" in printed.out
    # An exact fit: 1e-6 of the G^2 of one component, not 1e-4 of one that is 0.
    assert "to within 5e-05." in printed.out
    assert "The ranges are exact." in printed.out and "54.8 [54.8, 100.0]" in printed.out
    out = health.parent / "out"
    names = {path.name for path in out.iterdir()}
    tables = {"columns.csv", "rows.csv", "starts.csv", "summary.json"}
    assert names == tables | {"columns.png", "rows.png"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["unique"] == "not unique" and summary["ranges_exact"] is True
    np.testing.assert_allclose(summary["G2_of_one_component"], 50.4126, rtol=1e-5)
    assert summary["degrees_of_freedom"] == 0 and abs(summary["G2"]) < 1e-6
    header, male, female = read(out / "columns.csv")
    assert header[:4] == ["column", "budget 1", "budget 1 low", "budget 1 high"]
    shares = [float(male[1]) + float(female[1]), float(male[4]) + float(female[4])]
    np.testing.assert_allclose(shares, 1.0)
    assert len(read(out / "rows.csv")) == 6 and len(read(out / "starts.csv")) == 3
    # The same again as one JSON object, and nothing else.
    assert factorise(health, "--components", "2", "--starts", "2", "--json") == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert printed.err == "" and said["exit_code"] == 0 and said["model"] == "lba"
    assert {name: said[name] for name in summary} == summary
    for name, lines in said["tables"].items():
        assert [["" if x is None else str(x) for x in line] for line in lines] == read(
            out / f"{name}.csv"
        )
    assert set(said["tables"]) == {"columns", "rows", "starts"}


def test_the_table_itself_is_not_overwritten(tmp_path, capsys):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "rows.csv").write_text(TABLE)
    words = ["factorise", str(folder / "rows.csv"), "--components", "2", "--out", str(folder)]
    assert main(words) == 2
    assert "would replace" in capsys.readouterr().err
    assert (folder / "rows.csv").read_text() == TABLE


def test_three_components_are_drawn_in_a_triangle(tmp_path, make_csv, capsys):
    path = make_csv(tmp_path)
    words = ("--components", "3", "--model", "ema", "--identify", "outer", "--starts", "2")
    assert factorise(path, *words) == 0
    out = capsys.readouterr().out
    assert "end member 3" in out and "Identified by 'outer'" in out
    assert (tmp_path / "out" / "ternary.png").stat().st_size > 10_000


@pytest.fixture
def make_csv():
    def write(folder):
        rng = np.random.default_rng(3)
        fitted = rng.dirichlet([0.6] * 3, 10) @ rng.dirichlet([0.5] * 6, 3)
        counts = rng.poisson(2000 * fitted)
        path = folder / "sediments.csv"
        lines = [",a,b,c,d,e,f"]
        lines += [f"{i}," + ",".join(map(str, row)) for i, row in enumerate(counts)]
        path.write_text("\n".join(lines))
        return path

    return write


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("lca", ["P(row | class), percent", "class 2"]),
        ("plsa", ["P(topic | row)", "topic 2"]),
        ("nmf", ["Left factor, in units of the table", "factor 2", "divided by their sums"]),
    ],
)
def test_the_models_have_their_own_words(health, capsys, model, words):
    options = ["--components", "2", "--starts", "2", "--identify", "none"]
    if model == "nmf":  # one factor cannot reproduce the rows, so their sums are missed
        options[1] = "1"
        words = [words[0], "factor 1", words[2]]
    assert factorise(health, *options, "--model", model) == 0
    out = capsys.readouterr().out.replace("\n", " ")
    assert all(word.lower() in out.lower() for word in words)
    assert "Identified" not in out


def test_wide_tables_come_in_whole_blocks():
    out = io.StringIO()
    lines = [["row", *(f"budget {k + 1}" for k in range(5))]]
    lines += [[f"{name} {'x' * 30}", *["99.9 [98.1, 100.0]"] * 5] for name in "ab"]
    _print_blocks(Console(width=70, file=out), lines)
    printed = out.getvalue().splitlines()
    assert max(map(len, printed)) <= 70 and out.getvalue().count("99.9 [98.1, 100.0]") == 10
    heads = [line.split("  ") for line in printed if line.startswith("row")]
    assert [head[-1].strip() for head in heads] == ["budget 2", "budget 4", "budget 5"]
    assert printed[1].startswith("a xxxxxxxxxxxxxxxxxxx...")


def test_an_undecided_question_is_exit_code_three(health, capsys, monkeypatch):
    import dataclasses

    real = gaugebias.factor.uniqueness

    def undecided(*args, **options):
        return dataclasses.replace(real(*args, **options), verdict="undecided", reason="not known.")

    monkeypatch.setattr(gaugebias.factor, "uniqueness", undecided)
    assert factorise(health, "--components", "2", "--starts", "2") == 3
    assert "Unique: undecided; not known." in capsys.readouterr().out


def test_an_interrupt_is_one_sentence_and_code_130(health, capsys, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gaugebias.factor, "expectation_maximisation", stop)
    assert factorise(health, "--components", "2") == 130
    assert capsys.readouterr().err == "gaugebias factorise: interrupted\n"
    assert jax.config.read("jax_enable_x64") is True  # as it was


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--components", "3"], "`components` is 3, but the table (5 x 2) has rank 2"),
        (["--components", "0"], "`components` is 0"),
        (["--components", "two"], "two"),
        ([], "--components"),
        (["--components", "2", "--model", "pca"], "pca"),
        (["--components", "2", "--starts", "0"], "`starts` is 0"),
        (["--components", "2", "--seed", "-1"], "`seed` is -1"),
    ],
)
def test_bad_options_are_one_sentence(health, capsys, words, message):
    assert factorise(health, *words) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and message in printed.err
    assert not (health.parent / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("g,a,b\nx,1,-2\ny,3,4\n", "negative count, -2"),
        ("g,a,b\nx,0,0\ny,3,4\n", "row 'x' holds only zeros"),
        ("g,a,b\nx,1,many\ny,3,4\n", "holds text ('many'"),
        ("g,a,b\nx,1,2\ny,3\n", "line 3, has 2 cells"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path, capsys, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert factorise(path, "--components", "1") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("gaugebias factorise: `file`: ") and message in printed.err
    assert printed.err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_folder_that_takes_no_files(health, capsys):
    (health.parent / "out").write_text("in the way")
    assert factorise(health, "--components", "2") == 2
    assert "`out`: cannot write into" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    assert main(["factorise", "--help"]) == 0
    assert "gaugebias factorise budgets.csv --components 3" in capsys.readouterr().out
