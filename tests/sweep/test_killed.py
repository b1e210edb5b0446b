"""A sweep killed at any moment, and one shared by processes: the numbers of one whole run."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sweep_models

import gaugebias as gb
from gaugebias.distributed._launch import free_port

SCRIPT = Path(sweep_models.__file__)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return sweep_models.sweep(tmp_path_factory.mktemp("sweep") / "whole")


def start(path, *arguments):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(gb.__file__).parents[1])},
    )


def same(path, whole):
    found = gb.sweep.load(path)
    for name in whole.data_vars:
        np.testing.assert_array_equal(found[name].values, whole[name].values)


def killed(path, rng, most):
    """Kill sweeps a random while after their first chunk; the number of kills."""
    kills = 0
    while kills < most:
        process = start(path)
        assert process.stdout is not None
        if process.stdout.readline() != "chunk\n":  # it has ended: begin again
            process.communicate(timeout=300)
            shutil.rmtree(path)
            continue
        time.sleep(rng.uniform(0.0, 0.05))
        process.kill()
        process.communicate(timeout=300)
        kills += 1
    return kills


def test_a_killed_sweep_ends_as_the_whole_one_bit_for_bit(tmp_path, whole):
    path = tmp_path / "s"
    assert killed(path, random.Random(1), 1) == 1
    before = gb.sweep.load(path).attrs["finished"]
    assert before > 0
    sweep_models.sweep(path)
    same(path, whole)


@pytest.mark.slow
def test_killed_twenty_times_at_random(tmp_path, whole):
    path = tmp_path / "s"
    assert killed(path, random.Random(0), 20) == 20
    process = start(path)
    process.communicate(timeout=300)
    assert process.returncode == 0
    same(path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_of_jax_distributed_share_a_sweep(tmp_path, whole, processes):
    path, port = tmp_path / "s", free_port()
    group = [start(path, processes, i, port) for i in range(processes)]
    said = [process.communicate(timeout=300)[0] for process in group]
    assert all(process.returncode == 0 for process in group)
    chunks = [text.count("chunk") for text in said]
    assert sum(chunks) == 15 and min(chunks) >= 15 // processes  # each its share, none twice
    same(path, whole)
