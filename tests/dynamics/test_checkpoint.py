"""Runs that are cut short, by an exception or by SIGKILL, and go on."""

import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics import Autocorrelation, Checkpoint, Langevin, Moments, Reduction
from gaugebias.dynamics._runs import _simulate
from gaugebias.dynamics._runs._checkpoint import VERSION

SCRIPT = Path(__file__).with_name("killed_run.py")
_spec = importlib.util.spec_from_file_location("killed_run", SCRIPT)
assert _spec is not None and _spec.loader is not None
killed_run: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(killed_run)

KEY = jax.random.key(3)


def loss(x):
    return 0.5 * jnp.sum(x**2)


def run(path, **options):
    settings: dict[str, Any] = dict(key=KEY, chains=6, steps=64, dt=0.05, every=4, start=5)
    sde, init = options.pop("sde", Langevin(loss, 0.1)), options.pop("init", jnp.ones(2))
    if path is not None:
        settings["checkpoint"] = Checkpoint(path, steps=1)
    return gb.simulate(sde, init, **settings | options)


def assert_same(a, b):
    left, right = jax.tree.leaves(a), jax.tree.leaves(b)
    assert len(left) == len(right) > 0
    for x, y in zip(left, right, strict=True):
        np.testing.assert_array_equal(x, y)


class Enough(Exception):
    pass


def stopped(at):
    """A progress report that raises after `at` chunks."""
    seen = []

    def progress(fraction):
        seen.append(fraction)
        if len(seen) == at:
            raise Enough

    return progress


SHORT = dict(observe=lambda x: x.astype(jnp.bfloat16))  # which numpy and its files do not know
LARGEST = Reduction(lambda x: -jnp.inf * x, jnp.maximum, lambda s: s.max(0))
OPTIONS = {
    "draws": {},
    "moments": dict(reduce=Moments(), every=1, burn_in=8),
    "autocorrelations": dict(reduce=Autocorrelation(lags=4, levels=3), every=1, burn_in=8),
    "draws of 16 bits": SHORT,
    "states of 16 bits": dict(reduce=LARGEST, **SHORT),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_run_cut_anywhere_ends_as_the_whole_one_bit_for_bit(options, tmp_path):
    whole = run(None, **options)
    for cut in (1, 2, 1):
        with pytest.raises(Enough):
            run(tmp_path / "a", progress=stopped(cut), **options)
    done = []
    end = run(tmp_path / "a", progress=done.append, **options)
    assert len(done) > 0 and done[0] > 4 / 64  # it did not begin again
    assert_same((end.values, end.final, end.steps), (whole.values, whole.final, whole.steps))
    assert_same((end.results, end.failed_by), (whole.results, whole.failed_by))
    if "reduce" in options:
        assert_same(end.reductions, whole.reductions)
    done.clear()
    again = run(tmp_path / "a", progress=done.append, **options)  # read back, nothing is done
    assert not done
    assert_same((again.values, again.final, again.steps), (whole.values, whole.final, whole.steps))
    assert not [p for p in (tmp_path / "a").iterdir() if p.suffix in (".pkl", ".pickle")]


def test_a_run_cut_within_a_chunk_goes_on_from_the_one_before(tmp_path, monkeypatch):
    """What is written down then is what the broken chunk was given."""
    options: dict[str, Any] = dict(reduce=Moments(), every=1, burn_in=8)
    whole = run(None, **options)
    with monkeypatch.context() as patched:
        chunks, real = [], _simulate.run_chunk

        def cut(*args, **others):
            chunks.append(real(*args, **others))
            if len(chunks) == 9:
                raise Enough
            return chunks[-1]

        patched.setattr(_simulate, "run_chunk", cut)
        with pytest.raises(Enough):
            run(tmp_path / "a", checkpoint=Checkpoint(tmp_path / "a", seconds=1e6), **options)
    done = []
    end = run(tmp_path / "a", progress=done.append, **options)
    assert len(done) > 0 and done[0] > 8 / 64
    assert_same((end.reductions, end.final), (whole.reductions, whole.final))


def start(path, *arguments):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(gb.__file__).parents[1])},
    )


def finish(path, kind):
    process = start(path, kind)
    assert process.communicate(timeout=300)[1] is None and process.returncode == 0
    end = killed_run.simulate(path, kind)
    whole = killed_run.simulate(None, kind)
    assert_same((end.values, end.final, end.steps), (whole.values, whole.final, whole.steps))
    if kind == "reduced":
        assert_same(end.reductions, whole.reductions)


def test_killed_while_writing_and_just_before_the_new_state_is_in_place(tmp_path):
    for end in ("torn", "replace"):
        process = start(tmp_path / "a", "reduced", end)
        process.communicate(timeout=300)
        assert process.returncode == -9
    assert (tmp_path / "a" / ".state.tmp").exists()
    finish(tmp_path / "a", "reduced")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["reduced", "recorded"])
def test_killed_twenty_times_at_random(kind, tmp_path):
    """Each process is killed a random while after it has reported its first chunk."""
    rng = random.Random(0)
    kills = 0
    while kills < 20:
        process = start(tmp_path / "a", kind)
        assert process.stdout is not None
        if not process.stdout.readline():  # it has ended: begin again
            process.communicate(timeout=300)
            for p in (tmp_path / "a").iterdir():
                p.unlink()
            continue
        time.sleep(rng.uniform(0.0, 0.02))
        process.kill()
        process.communicate(timeout=300)
        kills += 1
    finish(tmp_path / "a", kind)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    path = tmp_path_factory.mktemp("begun") / "a"
    with pytest.raises(Enough):
        run(path, progress=stopped(3))
    return path


CENTRE = np.array([0.0, 1.0])


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(steps=80), "steps is 80 here and 64 there"),
        (dict(dt=0.04), "dt is 0.04 here and 0.05 there"),
        (dict(key=jax.random.key(4)), "random key is .0, 4. here and .0, 3. there"),
        (dict(sde=Langevin(loss, 0.2)), "numbers of the process differs"),
        (dict(sde=Langevin(lambda x: jnp.sum((x - CENTRE) ** 2), 0.1)), "drift differs"),
        (dict(init=jnp.zeros(2)), "initial state differs"),
        (dict(observe=jnp.sum), "observe differs"),
        (dict(reduce=Moments()), "reduction 'moments' differs"),
        (dict(every=2), "every is 2 here and 4 there"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(options, message, begun):
    before = {p.name: p.read_bytes() for p in begun.iterdir()}
    with pytest.raises(ValueError, match=f"is of another run: .*{message}.*Choose another path"):
        run(begun, **options)
    assert {p.name: p.read_bytes() for p in begun.iterdir()} == before


def test_another_rhythm_of_writing_goes_on_only_where_the_run_is_cut_alike(tmp_path):
    """A state is that after a number of pieces: in other pieces it would be that of other steps."""
    options = dict(steps=1280, every=1, reduce=Moments())

    def at(steps, **more):
        return run(None, checkpoint=Checkpoint(tmp_path / "a", steps=steps), **options, **more)

    with pytest.raises(Enough):
        at(10, progress=stopped(3))
    said = r"cuts .set by `steps` of `Checkpoint`. is .*20.* here and .*10.* there"
    with pytest.raises(ValueError, match=said):
        at(20)
    done = []
    end, whole = at(10, progress=done.append), run(None, **options)
    assert done[0] > 3 / 128
    assert_same((end.final, end.reductions), (whole.final, whole.reductions))


def test_a_disk_that_is_full_does_not_end_the_run(monkeypatch, tmp_path):
    """The run ends as it would have; what was written before stands, and is gone on from."""
    import errno

    replace, calls = os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    whole = run(None)
    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match="could not be written after .*No space left") as said:
        end = run(tmp_path / "a")
    assert len(said) == 1 and len(calls) > 6
    assert_same((end.values, end.final, end.steps), (whole.values, whole.final, whole.steps))
    assert not list((tmp_path / "a").glob("*.tmp"))
    monkeypatch.setattr(os, "replace", replace)
    done = []
    again = run(tmp_path / "a", progress=done.append)
    assert 4 / 64 < done[0] < 1.0
    assert_same((again.values, again.final, again.steps), (whole.values, whole.final, whole.steps))


DAMAGES = ["short", "changed", "empty", "nonsense"]


@pytest.mark.parametrize(
    "name, how",
    [(name, how) for name in ("state", "draws-00001") for how in DAMAGES]
    + [("draws-00001", "missing"), ("state", "head")],
)
def test_damaged_files_are_refused(name, how, begun, tmp_path):
    path = tmp_path / "a"
    shutil.copytree(begun, path)
    file = path / name
    data = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
    elif how == "head":  # one digit of how far it is
        head, _, payload = bytes(data).partition(b"\n")
        new = re.sub(rb'"steps": (\d+), "drawn"', rb'"steps": 1\1, "drawn"', head)
        assert new != head
        file.write_bytes(new + b"\n" + payload)
    else:
        data[-1] ^= 1
        file.write_bytes(
            {"short": data[:-9], "changed": data, "empty": b"", "nonsense": b"\xff\n{"}[how]
        )
    with pytest.raises(ValueError, match=f"damaged .'{name}' .* remove the folder to start again"):
        run(path)


def test_another_version_of_the_format_is_refused(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "a")
    file = tmp_path / "a" / "state"
    old, other = (f'"version": {n}'.encode() for n in (VERSION, VERSION + 1))
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, other, 1))
    with pytest.raises(ValueError, match="another version of the format"):
        run(tmp_path / "a")


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="holds 'notes.txt', which no checkpoint does"):
        run(tmp_path)
    with pytest.raises(ValueError, match="cannot be written"):
        run(tmp_path / "notes.txt" / "a")
    (tmp_path / "b" / "lock").mkdir(parents=True)
    with pytest.raises(ValueError, match="`checkpoint` .* cannot be written .Is a directory"):
        run(tmp_path / "b")


def test_two_processes_do_not_share_a_checkpoint(tmp_path):
    import fcntl

    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="in use by another process"):
            run(tmp_path / "a")


def test_bad_settings():
    with pytest.raises(ValueError, match="`checkpoint` must be a path or"):
        run(None, checkpoint=3)
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        Checkpoint("a", steps=0)
    with pytest.raises(ValueError, match="`seconds` must be a non-negative number"):
        Checkpoint("a", seconds=-1.0)
    with pytest.raises(ValueError, match="`seconds` must be a number, but is 'x'"):
        Checkpoint("a", seconds="x")
    numbers = Checkpoint("a", seconds=np.int64(5), steps=np.int64(6))
    assert (numbers.seconds, type(numbers.steps)) == (5.0, int)
    with pytest.raises(ValueError, match="`path` must be that of a folder, but is 3"):
        Checkpoint(3)  # pyright: ignore[reportArgumentType]
