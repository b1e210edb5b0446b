"""One run at a time on a store; the lock ends with its process."""

import subprocess
import sys

import jax.random as jr
import pytest
from sweep_models import OVER, Settings, descend

import gaugebias as gb
from gaugebias.sweep._lock import is_held, locked, others_at_work

HOLD = """
import sys, time
from pathlib import Path
from gaugebias.sweep._lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_runs_on_one_store_are_refused_and_a_killed_one_lets_go(tmp_path):
    path = tmp_path / "s"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert is_held(path, 0) and not is_held(path, 1)
        assert others_at_work(path, 1) and not others_at_work(path, 0)
        assert not others_at_work(tmp_path / "other", 1)
        with pytest.raises(ValueError, match="is being written by another run"):
            gb.sweep.run(descend, Settings(), OVER, path=path, key=jr.key(0))
    finally:
        holder.kill()
        holder.communicate()
    assert not is_held(path, 0) and not others_at_work(path, 1)
    with locked(path):
        assert is_held(path, 0)
    assert list(tmp_path.iterdir()) == []
