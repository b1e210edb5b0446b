import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import pytest

import gaugebias as gb
from gaugebias.distributed._launch import free_port, launch


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(num_processes=2, process_id=2), "`process_id` must be from 0 to 1, but is 2"),
        (dict(num_processes=0), "`num_processes` must be at least 1, but is 0"),
        (dict(timeout=0.0), "`timeout` must be a positive number of seconds, but is 0.0"),
        (dict(coordinator_address="here"), '`coordinator_address` must be "host:port"'),
        (dict(coordinator_address="here:99999"), '`coordinator_address` must be "host:port"'),
        ({}, "`initialize` must come before anything that computes"),
    ],
)
def test_what_initialize_refuses(options: dict[str, Any], said):
    jax.devices()
    with pytest.raises(ValueError, match=re.escape(said)):
        gb.distributed.initialize(**options)
    assert not jax.distributed.is_initialized()


def test_the_environment_is_read_and_checked(monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "three")
    with pytest.raises(ValueError, match="`num_processes` must be an integer, but is 'three'"):
        gb.distributed.initialize()
    monkeypatch.setenv("JAX_NUM_PROCESSES", "3")
    monkeypatch.setenv("JAX_PROCESS_ID", "3")
    with pytest.raises(ValueError, match="`process_id` must be from 0 to 2, but is 3"):
        gb.distributed.initialize()


def run(count, *scripts, wait=5.0):
    return launch(count, lambda address, i: [sys.executable, "-c", scripts[i], address], wait)


def test_launched_processes_get_one_address_and_process_0_gives_the_exit_code():
    check = "import sys; host, port = sys.argv[1].split(':'); assert 20000 <= int(port) < 32000"
    assert run(2, check + "; sys.exit(3)", check) == 3
    assert 20_000 <= free_port() < 32_000


LAUNCHER = """
import sys
from gaugebias.distributed._launch import launch
hello = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
launch(2, lambda _, i: [sys.executable, "-c", hello, f"{sys.argv[1]}/{i}"], 5.0)
"""


def test_terminating_the_launcher_leaves_nobody_behind(tmp_path):
    env = os.environ | {"PYTHONPATH": str(Path(gb.__file__).parents[1])}
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(tmp_path)], env=env)
    files, end = [tmp_path / "0", tmp_path / "1"], time.monotonic() + 60.0
    while not all(f.exists() and f.read_text() for f in files) and time.monotonic() < end:
        time.sleep(0.05)
    crew = [int(f.read_text()) for f in files]
    launcher.terminate()
    assert launcher.wait(30.0) == 128 + signal.SIGTERM
    for pid in crew:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_launched_process_that_fails_is_reported_and_the_rest_end(capfd):
    wait = "import time; time.sleep(60)"
    assert run(2, wait, "raise RuntimeError('bad luck')", wait=0.5) == 2
    assert "RuntimeError: bad luck" in capfd.readouterr().err
    kill = f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    assert run(2, "import time; time.sleep(2); exit(1)", kill) == 1
    assert "process 1 of 2 was killed (SIGKILL); the others were stopped" in capfd.readouterr().err
    assert run(2, kill, wait, wait=0.5) == 2
    assert "process 0 of 2 was killed" in capfd.readouterr().err
