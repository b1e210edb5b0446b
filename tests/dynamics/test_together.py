"""Runs of several processes on the loopback address against the same run of one."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import gaugebias as gb
from gaugebias._differences import differences
from gaugebias.distributed._launch import free_port
from gaugebias.dynamics._runs._engine import UNKNOWN, source
from gaugebias.dynamics._runs._together import _known as known

SCRIPT = Path(__file__).with_name("process_runs.py")
_spec = importlib.util.spec_from_file_location("process_runs", SCRIPT)
assert _spec is not None and _spec.loader is not None
process_runs: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(process_runs)


def start(count, what, folder, **job):
    """The processes of a run; what each finds goes to `out-<index>.json`."""
    address = f"127.0.0.1:{free_port()}"
    env = os.environ | {"PYTHONPATH": str(Path(gb.__file__).parents[1]), "JAX_PLATFORMS": "cpu"}
    crew = []
    for index in range(count):
        mine = {"what": what, "count": count, "index": index, "address": address, **job}
        mine["out"] = str(folder / f"out-{index}.json")
        errors = open(folder / f"errors-{index}.txt", "w")  # noqa: SIM115
        crew.append(
            subprocess.Popen(
                [sys.executable, str(SCRIPT), json.dumps(mine)],
                env=env,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        )
        errors.close()
    return crew


def finish(crew, folder):
    for i, process in enumerate(crew):
        process.communicate(timeout=500)
        assert process.returncode == 0, (folder / f"errors-{i}.txt").read_text()
    return [json.loads((folder / f"out-{i}.json").read_text()) for i in range(len(crew))]


def test_two_processes_are_one(tmp_path):
    crew = start(2, "quick", tmp_path)
    one = json.loads(json.dumps(process_runs.quick(None, 0)))
    for index, found in enumerate(finish(crew, tmp_path)):
        assert found["noise"] == one["noise"]
        assert all(found[name] == one[name] for name in ("small", "trained", "halving"))
        many, few, grid, other, outside, left_out, batches, code, own = found["refused"]
        assert many.startswith("`devices` is 99, but there are 2 (cpu)")
        # The first device is process 0's own: a run by itself there, and none elsewhere.
        said = "`devices` belong to 1 of 2 processes: give devices of each"
        assert few.startswith(said) if index else few == ""
        assert grid.startswith("`devices` is a mesh of 2 axes ('a', 'b'), but chains go along one")
        assert other == (
            "processes were given different runs: `here` is process 0 and `there` process 1: steps "
            "is 32 here and 34 there. Start the same program with the same arguments."
        )
        assert outside == "`init`: 256 of 256 chains start outside `domain`: start inside."
        assert left_out.startswith(said)
        assert batches == other.replace("steps is 32 here and 34", "batch_size is 4 here and 5")
        source = "the source code of functions.loss differs"
        assert code == other.replace("steps is 32 here and 34 there", source)
        assert own == one["noise"]


def test_processes_may_not_agree_in_how_they_name_or_read_their_functions():
    def told(here, there):
        return differences(*known(*({"steps": 3, "functions": {"loss": x}} for x in (here, there))))

    here = source(process_runs.nothing)
    assert told(here, here | {"name": "__main__.nothing"}) == ""
    assert told(here, here | {"sha256": UNKNOWN}) == told(here | {"sha256": UNKNOWN}, here) == ""
    other = source(process_runs.nothing_else)
    assert told(here, other) == "the source code of functions.loss differs"
    # Each object has an address of its own, and one source code.
    one, two = (source(threading.Event().set) for _ in range(2))
    assert one == two and told(one, two) == ""


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_are_one_in_every_result(count, tmp_path):
    crew = start(count, "equality", tmp_path)
    alone = tmp_path / "alone"
    alone.mkdir()
    (one,) = finish(start(1, "equality", alone), alone)
    assert one["early"][0] < 640 and one["late"][1] and 1 in set(one["odd"][2]) | {1}
    few = one.pop("few")
    for found in finish(crew, tmp_path):
        assert max(abs(a - b) for a, b in zip(found.pop("few"), few, strict=True)) < 1e-5
        assert found == one


def first_words(process):
    """Wait until a run has reported its first chunks."""
    for _ in range(4):
        assert process.stdout.readline()


@pytest.mark.slow
@pytest.mark.parametrize("ess", [False, True])
def test_a_killed_process_stops_the_others_and_the_run_goes_on_bit_for_bit(ess, tmp_path):
    """SIGKILL of process 1 of 2, then the same two again; then what is refused."""
    job = dict(checkpoint=str(tmp_path / "run"), ess=ess, timeout=20.0, grace=20.0)
    crew = start(2, "long", tmp_path, sleep=0.3, **job)
    first_words(crew[1])
    os.kill(crew[1].pid, signal.SIGKILL)
    began = time.monotonic()
    crew[0].communicate(timeout=300)
    crew[1].communicate(timeout=300)
    # Its connection closes at once; the time stated is the grace, and leaving takes a moment.
    assert crew[0].returncode == 1 and time.monotonic() - began < 40.0
    said = (tmp_path / "errors-0.txt").read_text()
    assert "ProcessLost: process 1 of 2 has died (its connection closed)" in said
    for i in range(2):
        assert (tmp_path / "run" / f"process-{i}" / "state").exists()
    crew = start(2, "long", tmp_path, **job)
    words = [process.stdout.readline() for process in crew]
    assert all(float(word) > 2 / 64 for word in words)  # it did not begin again
    found = finish(crew, tmp_path)
    alone = tmp_path / "alone"
    alone.mkdir()
    (whole,) = finish(start(1, "long", alone, checkpoint=str(alone / "run"), ess=ess), alone)
    assert found == [whole, whole]
    if ess:
        return
    for count, path, said in (
        (1, "run", "is of a run of several processes, and this is a run of one"),
        (2, "alone/run", "is of a run of one process, and this is one of 2"),
        (4, "run", "processes is 4 here and 2 there"),
    ):
        crew = start(count, "long", tmp_path, checkpoint=str(tmp_path / path))
        for process in crew:
            process.communicate(timeout=300)
            assert process.returncode == 1
        assert said in (tmp_path / "errors-0.txt").read_text()


@pytest.mark.slow
def test_a_killed_process_stops_the_training_of_the_others(tmp_path):
    crew = start(2, "long training", tmp_path, sleep=0.5, timeout=20.0, grace=20.0)
    first_words(crew[1])
    os.kill(crew[1].pid, signal.SIGKILL)
    began = time.monotonic()
    for process in crew:
        process.communicate(timeout=300)
    assert crew[0].returncode == 1 and time.monotonic() - began < 40.0
    said = (tmp_path / "errors-0.txt").read_text()
    assert "ProcessLost: process 1 of 2 has died (its connection closed)" in said
    assert not (tmp_path / "out-0.json").exists()
