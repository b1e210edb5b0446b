"""Processes that take turns, and the environment of one that knows nothing of this library."""

import ast
import os
from pathlib import Path

import pytest

from benchmarks import _apart
from benchmarks._apart import Apart, jax_alone

ECHO = """
import os, sys
print("something else", flush=True)
print("ready", flush=True)
for line in sys.stdin:
    print(sorted(os.sched_getaffinity(0)), os.environ.get("MARK"), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_process_answers_each_turn_and_is_kept_to_its_cores():
    before = os.sched_getaffinity(0)
    core = min(before)
    with Apart(["-c", ECHO], {**os.environ, "MARK": "here"}, [core]) as process:
        assert [process.turn().strip() for _ in range(2)] == [f"[{core}] here"] * 2
    assert os.sched_getaffinity(0) == before


def test_a_process_that_dies_is_said():
    process = Apart(["-c", "pass"], os.environ)
    with pytest.raises(RuntimeError, match="has died"):
        process.wait()
    process.end()
    process = Apart(["-c", "print('ready')"], os.environ)
    process.wait()
    with pytest.raises(RuntimeError, match="has died"):
        process.said()
    process.end()


def test_the_environment_of_jax_alone_is_that_of_the_user(monkeypatch):
    own = "--xla_force_host_platform_device_count=2"
    ours = " ".join(f"--{name}=1" for name in _apart.OURS)
    monkeypatch.setenv("XLA_FLAGS", f"{ours} {own}")
    monkeypatch.setenv("PJRT_NPROC", "4")
    monkeypatch.setenv("GAUGEBIAS_SET_PJRT_NPROC", "1")
    assert jax_alone()["XLA_FLAGS"] == own and "PJRT_NPROC" not in jax_alone()
    monkeypatch.delenv("GAUGEBIAS_SET_PJRT_NPROC")  # set by the user
    assert jax_alone()["PJRT_NPROC"] == "4"


def test_the_measure_imports_nothing_of_this_library():
    tree = ast.parse(Path(_apart.__file__).with_name("_scan.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            assert not node.module.startswith(("gaugebias", "benchmarks"))
        elif isinstance(node, ast.Import):
            assert not any(a.name.startswith(("gaugebias", "benchmarks")) for a in node.names)
