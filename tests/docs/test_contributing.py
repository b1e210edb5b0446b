"""The worked examples of CONTRIBUTING, followed as they are written on a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^   `([\w/.]+)`:$|^   ```(\w+)\n(.*?)^   ```$", re.DOTALL | re.MULTILINE)


def blocks(section):
    """Path, kind and text of the blocks of a section, in order."""
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    path = None
    for named, kind, text in BLOCK.findall(body):
        path = named or path
        if kind:
            yield path, kind, textwrap.dedent(text)


def apply(path, kind, text):
    """Write a file, or put the lines marked by + after the line that stands before them."""
    if kind == "python":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if kind == "diff":
        first, *added = text.splitlines()
        assert first[0] == " " and all(line[0] == "+" for line in added)
        before = path.read_text(encoding="utf-8").splitlines()
        assert before.count(first[1:]) == 1, f"{path} has no line {first[1:]!r}"
        at = before.index(first[1:]) + 1
        lines = [*before[:at], *(line[1:] for line in added), *before[at:]]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A checkout in which all three examples were followed, and the commands they end with."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "gaugebias", folder / "gaugebias")
    (folder / "tests" / "laws").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    commands = {}
    for section in ("Adding a model", "Adding a law", "Adding a publication"):
        for path, kind, text in blocks(section):
            if kind == "sh":
                commands[section] = text.strip()
            else:
                apply(folder / path, kind, text)
    return folder, commands


def run(folder, *words):
    env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": os.environ["GAUGEBIAS_TEST_CACHE"]}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("Adding a model", "log 12 + (4/3) log |w/2|"),
        ("Adding a publication", "two-rates"),
    ],
)
def test_the_command_at_its_end_finds_all_as_expected(house, section, said):
    folder, commands = house
    program, *words = commands[section].split()
    assert program == "gaugebias"
    done = run(folder, "gaugebias.cli", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout


@pytest.mark.slow
def test_the_law_follows_its_process(house):
    done = run(house[0], "pytest", "-q", "-p", "no:cacheprovider", "tests/laws")
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_line_that_is_gone_is_noticed(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("a\nb\n")
    apply(path, "diff", " a\n+c\n")
    assert path.read_text() == "a\nc\nb\n"
    with pytest.raises(AssertionError, match="has no line 'z'"):
        apply(path, "diff", " z\n+c\n")
