"""A disk that is really full: a small file system of its own, and a limit on the size of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sweep_models

import gaugebias as gb

BALLAST = 400_000  # bytes; the file system has 640 KiB
CHILD = """
import resource, sys
from pathlib import Path
import jax
jax.config.update("jax_enable_x64", True)
from sweep_models import Settings
import gaugebias as gb

def growing(settings, key):
    noise = jax.random.bits(key, (1024, 8), "uint32").astype(float)  # what does not compress
    return {"w": settings.start + jax.numpy.where(settings.start < 8.0, 0.0, noise)}

def sweep(path):
    over = {"start": [float(i) for i in range(16)]}
    return gb.sweep.run(growing, Settings(), over, path=path, key=jax.random.key(0), chunk=2)

folder, out, limit, ballast = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
before = resource.getrlimit(resource.RLIMIT_FSIZE)
(folder / "ballast").write_bytes(bytes(ballast))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
try:
    sweep(folder / "s")
except OSError as error:
    print(error)
print(gb.sweep.load(folder / "s").attrs["finished"])
resource.setrlimit(resource.RLIMIT_FSIZE, before)
(folder / "ballast").unlink()
again, whole = sweep(folder / "s"), sweep(Path(out) / "whole")
print((again.w.values == whole.w.values).all(), (again.status == "done").all().item())
print(len(list(folder.rglob("*.partial"))))
"""


def judged(folder, out, *, limit=0, ballast=0, before=()):
    """A sweep on `folder` until the disk is full, then again where there is room."""
    paths = [str(Path(gb.__file__).parents[1]), str(Path(sweep_models.__file__).parent)]
    words = [*before, sys.executable, "-c", CHILD, str(folder), str(out), str(limit), str(ballast)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    said, finished, equal, partial = done.stdout.splitlines()
    assert "could not be written (no space left): what was finished before is kept" in said
    assert 8 <= int(finished) < 16  # all that is small, and not all
    assert equal == "True True" and partial == "0"


def test_files_that_cannot_grow_lose_nothing_that_was_finished(tmp_path):
    pytest.importorskip("resource")
    folder = tmp_path / "small"
    folder.mkdir()
    judged(folder, tmp_path, limit=20_000)


@pytest.mark.slow
def test_a_full_file_system_loses_nothing_that_was_finished(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    # In a name space of its own: nobody else sees the file system, and it goes with the process.
    mount = f"mount -t tmpfs -o size=640k none {folder}"
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*alone, mount], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("this system lets nobody mount")
    judged(folder, tmp_path, ballast=BALLAST, before=[*alone, f'{mount} && exec "$@"', "sh"])
