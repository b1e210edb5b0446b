"""What is wrong with a command line: one sentence, for every subcommand."""

import dataclasses
import importlib
import shlex

import pytest

from gaugebias.cli import main
from gaugebias.cli._main import COMMANDS
from gaugebias.cli._options import _plain, parse


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("factorise", "`FILE` and `--components K` are missing"),
        ("factorise x.csv", "`--components K` is missing"),
        ("factorise --components 3", "`FILE` is missing"),
        ("factorise x.csv --components", "`--components` has no value: give one after it"),
        ("factorise x.csv --components 2.5", "`--components` is '2.5': give a whole number"),
        ("factorise x.csv --components=", "`--components` is '': give a whole number"),
        ("factorise x.csv --component 3", "no option `--component`: did you mean `--components`"),
        ("factorise x.csv -k 3", "there is no option `-k`"),
        ("factorise x.csv y.csv --components 3", "'y.csv' is one word too many"),
        ("factorise x.csv --components 3 --model pca", "is 'pca': choose from lba, ema, plsa,"),
        ("design", "`--penalty PENALTY` and `--temperature TEMPERATURE` are missing"),
        ("design --penalty 'l1()'", "`--temperature TEMPERATURE` is missing"),
        ("design --penalty l1 --temperature hot", "`--temperature` is 'hot': give a number"),
        ("design --penalty --temperature 1", "`--penalty` has no value"),
        ("verify --chains many", "`--chains` is 'many': give a whole number"),
        ("verify --x64 maybe", "'maybe' is one word too many"),
        ("verify --csv", "`--csv` has no value"),
        ("catalogue one two", "'two' is one word too many"),
        ("catalogue --sed 1", "there is no option `--sed`: did you mean `--seed`"),
        ("reproduce --set", "`--set` has no value"),
        ("reproduce --seed=1.0", "`--seed` is '1.0': give a whole number"),
    ],
)
def test_one_sentence_and_exit_code_2(capsys, tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert printed.err.startswith(f"gaugebias {words[0]}: ") and message in printed.err
    assert printed.err.endswith(f"(see `gaugebias {words[0]} --help`).\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_no_subcommand_has(capsys, name):
    assert main([name, "--zzz"]) == 2
    assert "there is no option `--zzz`" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_required_is_named_at_once(capsys, name):
    module = importlib.import_module(f"gaugebias.cli._{name}")
    missing = dataclasses.MISSING
    required = [
        field.name
        for field in dataclasses.fields(module.Options)
        if field.default is missing and field.default_factory is missing
    ]
    if required:
        assert main([name]) == 2
        said = capsys.readouterr().err
        assert all(each.upper() in said or f"--{each}" in said for each in required)


def test_what_the_parser_says_is_kept_where_it_is_none_of_these():
    @dataclasses.dataclass
    class Options:
        pair: tuple[int, int] = (1, 2)

    with pytest.raises(ValueError, match=r"\(see `prog --help`\)\.$") as caught:
        parse(Options, ["--pair", "1"], prog="prog", description="")
    assert "\n" not in str(caught.value) and "pair" in str(caught.value)
    assert parse(Options, ["--pair", "3", "4"], prog="prog", description="").pair == (3, 4)


def test_underscores_and_switches_are_options_too():
    @dataclasses.dataclass
    class Options:
        row_total: int
        fast: bool = True

    with pytest.raises(ValueError, match="`--row-total` is 'x'"):
        parse(Options, ["--row_total", "x", "--no-fast"], prog="prog", description="")
    with pytest.raises(ValueError, match="`--row-total ROW_TOTAL` is missing"):
        parse(Options, ["--no-fast"], prog="prog", description="")
    assert parse(Options, ["--row-total", "3"], prog="prog", description="") == Options(3)


@pytest.mark.parametrize(
    "text",
    [
        "╭─ Parsing error ──╮\n│ Error parsing --a: bad '-1' │\n│ ── │\n│ For full helptext │\n╰─╯",
        "+- Parsing error ---+\n| Error parsing --a: bad '-1' |\n| --- |\n| For full helptext",
        "------ Parsing error\nError parsing --a: bad '-1'\n------\nFor full helptext",
    ],
)
def test_frames_are_taken_off(text):
    assert _plain(text) == "Error parsing --a: bad '-1'"
