import subprocess
import sys

import pytest

import gaugebias as gb
from gaugebias.cli import main


def test_usage(capsys):
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert "verify" in out and out.endswith(f"gaugebias {gb.__version__}\n")


@pytest.mark.parametrize(("name", "cure"), [("verfy", "did you mean 'verify'"), ("x", "choose")])
def test_an_unknown_subcommand_is_one_sentence(capsys, name, cure):
    assert main([name]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and cure in captured.err


def test_the_installed_command_prints_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gaugebias.cli", "verify", "--csv", "no.csv", "--target", "y"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gaugebias verify: `csv`: 'no.csv' does not exist: check the path.\n"
    assert not list(tmp_path.iterdir())
