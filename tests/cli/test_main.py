import os
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


@pytest.mark.parametrize("line", ["--help", "catalogue hadamard", "sweep --help"])
def test_a_reader_that_has_gone_ends_it_without_a_word(line):
    """As `| head` does: the pipe is closed before anything is written."""
    code = f"import sys; from gaugebias.cli import main; input(); sys.argv[1:] = {line.split()!r}"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    words = [sys.executable, "-c", f"{code}; sys.exit(main())"]
    with subprocess.Popen(words, text=True, **pipes) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_disk_that_is_full_is_one_sentence():
    words = [sys.executable, "-m", "gaugebias.cli", "verify", "--list"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        "gaugebias verify: the output cannot be read or written (no space left on device).\n"
    )
