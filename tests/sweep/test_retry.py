"""Cells without a good result computed again: only they, with the bits of a run without faults."""

import json

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sweep_models import Settings

import gaugebias as gb
from gaugebias.sweep._retry import statuses
from gaugebias.sweep._store import Store

STARTS = [float(i) for i in range(6)]
SHAPE = jax.ShapeDtypeStruct((), float)


class Enough(Exception):
    pass


class Host:
    """What an experiment asks of the machine, which fails at some values while it is broken."""

    def __init__(self, broken=()):
        self.broken, self.asked = set(broken), []

    def __call__(self, x):
        self.asked.append(float(x))
        if float(x) in self.broken:
            raise OSError("the licence server is away")
        return np.asarray(x)


def sweep(path, host, retry=(), over=None, chunk: int | None = 4, source=1.0):
    """Starts 0 ... 5 with two seeds in chunks of 4: two cells fail, and start 4 is not finite."""

    def experiment(settings, key):
        x = jax.pure_callback(host, SHAPE, settings.start, vmap_method="sequential")
        w = source * x + jr.normal(key) + jnp.where(x == 4.0, jnp.inf, 0.0)
        return {"w": w, "parts": jnp.full(settings.depth, w)}

    over = {"depth": [1, 2], "start": STARTS} if over is None else over
    return gb.sweep.run(
        experiment, Settings(), over, path=path, key=jr.key(0), seeds=2, chunk=chunk, retry=retry
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep on a machine without faults."""
    return sweep(tmp_path_factory.mktemp("retry") / "s", Host())


def same(found, other):
    for name in other.data_vars:
        np.testing.assert_array_equal(found[name].values, other[name].values)


def count(found, status):
    return int((found.status == status).sum())


def test_failed_cells_are_computed_again_and_only_they(tmp_path, whole, monkeypatch):
    host, path = Host({1.0}), tmp_path / "s"
    first = sweep(path, host)
    assert (count(first, "failed"), count(first, "not finite"), count(first, "done")) == (4, 4, 16)
    host.broken = set()
    same(sweep(path, host), first)  # nothing is computed again unless asked for
    merge, merged = Store.merge, []

    def seen(self, chunk, outputs, status, reasons, rows):
        merged.append((chunk, int(np.sum(rows))))
        merge(self, chunk, outputs, status, reasons, rows)

    monkeypatch.setattr(Store, "merge", seen)
    host.asked.clear()
    found = sweep(path, host, "failed")
    assert merged == [(0, 2), (3, 2)] * 2  # made unfinished, then filled, in their chunks
    assert set(host.asked) == {1.0}
    same(found, whole)
    (note,) = json.loads(found.attrs["retries"])
    assert note["status"] == ["failed"] and note["cells"] == 4 and note["commit"]
    assert "retries" not in whole.attrs
    host.asked.clear()
    same(sweep(path, host, "failed"), whole)
    assert host.asked == []  # there is none left
    same(sweep(path, host, ["failed", "not finite"]), whole)  # which are infinite again
    assert set(host.asked) == {4.0}


def test_a_cell_that_fails_again_says_its_new_reason(tmp_path):
    host, path = Host({1.0, 2.0}), tmp_path / "s"
    sweep(path, host)
    host.broken = {2.0}
    found = sweep(path, host, "failed")
    assert count(found, "failed") == 4
    assert (found.status.sel(start=2.0) == "failed").all()
    assert (found.reason.sel(start=2.0).str.contains("licence server")).all()
    assert (found.status.sel(start=1.0) == "done").all()


def test_a_retry_cut_anywhere_goes_on_with_or_without_the_argument(tmp_path, whole, monkeypatch):
    host, path, write = Host({1.0, 5.0}), tmp_path / "s", Store.write
    first = sweep(path, host)
    host.broken = set()
    # While cells are made unfinished, two a chunk, and after the first chunk that is computed.
    for cut, left in ((1, 4), (3, 6)):
        calls = []

        def stop(self, chunk, *rest, calls=calls, cut=cut):
            if len(calls) == cut:
                raise Enough
            calls.append(chunk)
            write(self, chunk, *rest)

        monkeypatch.setattr(Store, "write", stop)
        with pytest.raises(Enough):
            sweep(path, host, "failed")
        half = gb.sweep.load(path)
        assert count(half, "pending") == left
        kept = first.status == "done"
        np.testing.assert_array_equal(half.w.values[kept], whole.w.values[kept])
    monkeypatch.setattr(Store, "write", write)
    same(sweep(path, host), whole)


def test_code_may_change_where_no_cell_is_kept(tmp_path):
    """A fault that stops the tracing of one group: mended, the other groups are not repeated."""
    fault = True

    def deep(settings, w):
        if fault and settings.depth == 3:
            raise RuntimeError("not written yet")
        return w * settings.depth

    traced = []

    def experiment(settings, key):
        traced.append(settings.depth)
        return {"w": deep(settings, settings.start)}

    arguments = (experiment, Settings(), {"depth": [2, 3], "start": STARTS})
    path = tmp_path / "s"
    first = gb.sweep.run(*arguments, path=path, key=jr.key(0))
    assert (first.status.sel(depth=3) == "failed").all()
    fault = False
    with pytest.raises(ValueError, match="for which it failed .*again with `retry='failed'`"):
        gb.sweep.run(*arguments, path=path, key=jr.key(0))
    found = gb.sweep.run(*arguments, path=path, key=jr.key(0), retry="failed")
    assert (found.status == "done").all()
    np.testing.assert_array_equal(found.w.values[..., 0], np.outer([2, 3], STARTS))
    same(gb.sweep.run(*arguments, path=path, key=jr.key(0)), found)  # what it is now

    def rewritten(settings, key):  # the source may change too, not what it computes
        return {"w": settings.start * settings.depth}

    with pytest.raises(ValueError, match="source code of experiment differs"):
        gb.sweep.run(rewritten, *arguments[1:], path=path, key=jr.key(0))
    same(gb.sweep.run(rewritten, *arguments[1:], path=path, key=jr.key(0), retry="failed"), found)


def test_code_must_be_the_same_where_cells_are_kept(tmp_path):
    host, path = Host({1.0}), tmp_path / "s"
    first = sweep(path, host)
    with pytest.raises(ValueError, match="computes something else"):
        sweep(path, Host(), "failed", source=2.0)
    same(gb.sweep.load(path), first)  # refused before anything was made unfinished


def test_a_settings_class_that_takes_more_is_no_other_sweep(tmp_path):
    """`depth` 0 is refused by the dataclass, and is so again: the reason is kept."""
    over = {"depth": [0, 1], "start": STARTS}
    found = sweep(tmp_path / "s", Host(), over=over)
    same(sweep(tmp_path / "s", Host(), "failed", over=over), found)
    assert (found.reason.sel(depth=0).str.contains("at least one factor")).all()


def test_cells_of_the_host_are_called_again_one_by_one(tmp_path):
    calls, away = [], {2.0}

    def host(settings, key):
        calls.append(settings.start)
        if settings.start in away:
            raise OSError("no such file")
        return {"w": 2.0 * settings.start}

    arguments = (host, Settings(), {"start": [0.5, 2.0, 1.5]})
    path = tmp_path / "s"
    gb.sweep.run(*arguments, path=path, key=jr.key(0), stack=False)
    calls.clear()
    away.clear()
    found = gb.sweep.run(*arguments, path=path, key=jr.key(0), stack=False, retry="failed")
    assert calls == [2.0]
    np.testing.assert_array_equal(found.w.values[:, 0], [1.0, 4.0, 3.0])

    def rewritten(settings, key):
        return {"w": 3.0 * settings.start}

    with pytest.raises(ValueError, match="source code of experiment differs"):
        gb.sweep.run(
            rewritten, *arguments[1:], path=path, key=jr.key(0), stack=False, retry="not finite"
        )


def test_what_cannot_be_retried_is_said(tmp_path, monkeypatch):
    said = "`retry` is .*: give 'failed', 'not finite', or a list of both"
    for bad in ("done", "", 3, True, None, [3], [["failed"]]):
        with pytest.raises(ValueError, match=said):
            statuses(bad)
    with pytest.raises(ValueError, match=said):
        sweep(tmp_path / "s", Host(), ["failed", "pending"])
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    with pytest.raises(ValueError, match="`retry` is for a run of one process, but there are 4"):
        sweep(tmp_path / "s", Host(), "failed")
    assert not (tmp_path / "s").exists()
