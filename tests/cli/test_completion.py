"""The completion script: what is in it, and what a shell completes with it."""

import shutil
import subprocess

import pytest

from gaugebias.cli import main
from gaugebias.cli._main import COMMANDS


def printed(capsys, shell):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_all_subcommands_and_their_options(capsys, shell):
    script = printed(capsys, shell)
    assert "gaugebias" in script
    for word in (*COMMANDS, "--components", "--temperature", "--show", "--coordinator-address"):
        assert word in script, word


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("",), set(COMMANDS)),
        (("d",), {"design", "discover", "doctor"}),
        (("sweep", "--s"), {"--show"}),
        (("factorise", "--model", ""), {"lba", "ema", "plsa", "lca", "nmf"}),
    ],
)
def test_bash_completes_with_it(capsys, tmp_path, words, completed):
    path = tmp_path / "gaugebias.bash"
    path.write_text(printed(capsys, "bash"), encoding="utf-8")
    typed = " ".join(f"'{word}'" for word in ("gaugebias", *words))
    lines = [
        f"source '{path}'",
        f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}",
        # The function that `complete -F NAME gaugebias` gave.
        '$(complete -p gaugebias | sed -E "s/.*-F ([^ ]+).*/\\1/")',
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) >= completed
    known = {word for word in done.stdout.split() if not word.startswith("-")}
    assert known == {word for word in completed if not word.startswith("-")}


def test_another_shell_is_one_sentence(capsys):
    assert main(["completion", "tcsh"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "bash, zsh, fish" in captured.err and "'tcsh'" in captured.err


def test_no_shell_is_one_sentence(capsys):
    assert main(["completion"]) == 2
    assert capsys.readouterr().err == (
        "gaugebias completion: `SHELL` is missing (see `gaugebias completion --help`).\n"
    )
