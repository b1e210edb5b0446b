"""The package as a whole: what importing costs, what the README promises, what it is made of."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gaugebias as gb

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = (
    "papers",
    "verify",
    "sweep",
    "plot",
    "design",
    "factor",
    "catalogue",
    "verdicts",
    "laws",
    "dynamics",
    "flows",
    "quotient",
    "symmetry",
    "stats",
    "distributed",
)
"""Rooms from the top of the house to the bottom; `cli` is above all of them."""


def python(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_adds_less_than_half_a_second():
    code = (
        "import time, jax, diffrax; start = time.perf_counter(); import gaugebias; "
        "print(time.perf_counter() - start)"
    )
    assert float(python("-c", code)) < 0.5


def test_importing_loads_no_room_and_nothing_heavy():
    code = "import sys, gaugebias; print(*sys.modules)"
    loaded = set(python("-c", code).split())
    heavy = {"jax", "numpy", "scipy", "sklearn", "xarray", "zarr", "blackjax", "matplotlib"}
    assert not loaded & heavy
    assert {name for name in loaded if name.startswith("gaugebias.")} == {"gaugebias._xla"}


def test_computing_loads_no_plotting_and_no_storage():
    rooms = "symmetry", "quotient", "laws", "dynamics", "stats", "verdicts"
    code = (
        f"import sys, gaugebias as gb; {'; '.join(f'gb.{r}' for r in rooms)}; print(*sys.modules)"
    )
    loaded = set(python("-c", code).split())
    heavy = {"scipy.stats", "sklearn", "xarray", "zarr", "blackjax", "matplotlib"}
    assert loaded & heavy == set()


def test_every_promised_name_is_there():
    for name in (*gb._ROOMS, *gb._NAMES):
        assert getattr(gb, name) is not None
        assert name in dir(gb)
    assert re.fullmatch(r"\d+\.\d+\.\d+", gb.__version__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        gb.nonsense  # noqa: B018


def test_every_public_name_has_a_docstring():
    bare = []
    for room in gb._ROOMS:
        module = getattr(gb, room)
        for name in [name for name in vars(module) if not name.startswith("_")]:
            value = getattr(module, name)
            ours = getattr(value, "__module__", "").startswith("gaugebias.")
            if ours and not (value.__doc__ or "").strip():
                bare.append(f"{room}.{name}")
    assert not bare


def test_imports_point_down_the_house():
    wrong = []
    for above, room in enumerate(ROOMS):
        for path in (ROOT / "gaugebias" / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.ImportFrom) or node.level == 0:
                    continue
                depth = len(path.relative_to(ROOT / "gaugebias").parts) - node.level
                target = (node.module or "").split(".")[0]
                if depth == 0 and target in (*ROOMS[:above], "cli"):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {target}")
    assert not wrong


def test_files_are_short():
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in (ROOT / "gaugebias").rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert not long


def test_readme_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    # One expected law at a fixed seed: the false-alarm rate is 1e-3, once and for all.
    out = capsys.readouterr().out
    assert "consistent" in out and "rejected" in out


def test_readme_has_the_two_commands():
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2 and all("-c constraints.txt" in line for line in lines)
    assert lines[0].endswith("gaugebias verify") and lines[1].endswith("-m pytest -n 2")
    assert len(README.splitlines()) < 240  # with the catalogue's table
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("count", [0, 2])
def test_ci_fails_loudly_without_exactly_one_test_line(tmp_path, count):
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    (tmp_path / "README.md").write_text("python3 -m venv x && x -m pytest\n" * count)
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True)
    assert done.returncode == 1 and "exactly one line" in done.stderr


def test_ci_runs_the_line_and_returns_its_code(tmp_path):
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    line = "python3 -m venv --help >/dev/null && echo here $PWD && exit 7 # -m pytest"
    (tmp_path / "README.md").write_text(f"text\n```sh\n{line}\n```\n")
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, cwd="/")
    assert done.returncode == 7 and f"here {tmp_path.resolve()}" in done.stdout


def test_constraints_pin_every_dependency():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            pinned[re.sub(r"[-_.]+", "-", name).lower()] = version
    assert all(pinned.values())
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = [re.split(r"[^\w.-]", each)[0] for each in wanted]
    assert [name for name in names if name.lower() not in pinned] == []
    assert all("==" not in each and "<" not in each for each in wanted)
