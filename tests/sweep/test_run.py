"""Sweeps against the experiment run cell by cell; what they keep, refuse and resume."""

import warnings

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import sweep_models
from sweep_models import OVER, Settings, descend

import gaugebias as gb
from gaugebias.sweep import Choice, LogUniform, Sample
from gaugebias.sweep._run import _seeds
from gaugebias.sweep._store import Store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep that nobody interrupts, and its store."""
    path = tmp_path_factory.mktemp("sweep") / "whole.zarr"
    return sweep_models.sweep(path), path


def same(a, b):
    for name in a.data_vars:
        np.testing.assert_array_equal(a[name].values, b[name].values)


def test_every_cell_is_the_experiment_with_its_settings_and_key(whole):
    found, _ = whole
    assert found.sizes == {"depth": 3, "learning_rate": 10, "seed": 4, "factors_dim_0": 3}
    for depth, rate, seed in ((1, 0.01, 0), (2, 0.05, 3), (3, 0.1, 2)):
        cell = found.sel(depth=depth, learning_rate=rate, seed=seed)
        alone = descend(Settings(depth=depth, learning_rate=rate), jr.fold_in(jr.key(3), seed))
        np.testing.assert_allclose(cell.w, alone["w"], rtol=1e-12)
        np.testing.assert_allclose(cell.factors[:depth], alone["factors"], rtol=1e-12)
        assert np.isnan(cell.factors[depth:]).all()
    assert (found.status == "done").all() and (found.reason == "").all()
    # One seed, one noise: were keys folded with the cell, these would differ.
    start = found.w.sel(learning_rate=0.01)
    assert np.corrcoef(start[0], start[1])[0, 1] > 0.99


def test_a_sweep_says_where_its_numbers_come_from(whole):
    found, _ = whole
    about = found.attrs
    assert about["cells"] == about["finished"] == 120 and about["failed"] == 0
    for name in ("settings", "versions", "key", "commit", "device", "precision", "experiment"):
        assert about[name]


def test_any_reader_of_zarr_sees_the_design_and_the_results(whole):
    import xarray as xr

    found, path = whole
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw = xr.open_zarr(path, consolidated=False)
    at = int(np.flatnonzero((raw.depth == 3) & (raw.learning_rate == 0.02) & (raw.seed == 1))[0])
    assert float(raw.w[at]) == float(found.w.sel(depth=3, learning_rate=0.02, seed=1))
    assert not [p for p in path.rglob("*") if p.suffix in (".pkl", ".pickle")]


def test_a_group_is_traced_once_whatever_the_number_of_chunks(tmp_path):
    traces = []

    def counted(settings, key):
        traces.append(settings.depth)
        return descend(settings, key)["w"]

    over = {"depth": [1, 2], "learning_rate": list(np.linspace(0.01, 0.1, 20))}
    found = gb.sweep.run(counted, Settings(), over, path=tmp_path / "s", key=jr.key(0), chunk=4)
    assert traces == [1, 2] and found.value.shape == (2, 20, 1)


class Enough(Exception):
    pass


def test_a_sweep_cut_anywhere_repeats_no_chunk_and_ends_with_the_same_numbers(
    whole, tmp_path, monkeypatch
):
    write, written = Store.write, []

    def cut(self, chunk, *rest):
        if len(written) in (3, 9, 13) and not (written and written[-1] is None):
            written.append(None)
            raise Enough
        write(self, chunk, *rest)
        written.append(chunk)

    monkeypatch.setattr(Store, "write", cut)
    path = tmp_path / "s"
    for _ in range(3):
        with pytest.raises(Enough):
            sweep_models.sweep(path)
        half = gb.sweep.load(path)  # readable while it runs
        assert 0 < half.attrs["finished"] < 120
        done = half.status == "done"
        np.testing.assert_array_equal(half.w.values[done], whole[0].w.values[done])
        assert np.isnan(half.w.values[~done]).all()
    monkeypatch.setattr(Store, "write", write)
    same(sweep_models.sweep(path), whole[0])
    chunks = [c for c in written if c is not None]
    assert len(set(chunks)) == len(chunks)


def test_a_finished_sweep_is_read_and_not_computed_again(whole, monkeypatch):
    monkeypatch.setattr(Store, "write", None)
    same(sweep_models.sweep(whole[1]), whole[0])


def test_failed_cells_are_recorded_and_the_others_go_on(tmp_path):
    def fragile(settings, key):
        if settings.loss == "none":
            raise RuntimeError("no such loss")
        w = jnp.where(settings.start > 1.0, jnp.nan, settings.start)
        return {"w": w + settings.depth}

    over = {"loss": ["square", "none"], "depth": [0, 1], "start": [0.5, 2.0]}
    found = gb.sweep.run(fragile, Settings(), over, path=tmp_path / "s", key=jr.key(0))
    status = found.status.isel(seed=0)
    assert (status.sel(loss="none", depth=1) == "failed").all()
    assert (found.reason.sel(loss="none", depth=1) == "RuntimeError: no such loss").all()
    assert (status.sel(depth=0) == "failed").all()
    assert (found.reason.sel(depth=0).str.contains("at least one factor")).all()
    good = found.isel(seed=0).sel(loss="square", depth=1)
    assert list(good.status.values) == ["done", "not finite"]
    assert good.w.values[0] == 1.5 and good.reason.values[1] == "not finite: w"
    assert found.attrs["failed"] == 7


def test_an_error_while_a_chunk_runs_fails_its_cell_alone(tmp_path):
    def check(x):
        if x > 1.0:
            raise FloatingPointError("too large")
        return x

    def fragile(settings, key):
        shape = jax.ShapeDtypeStruct((), float)
        out = jax.pure_callback(check, shape, settings.start, vmap_method="sequential")
        return {"w": out}

    over = {"start": [0.25, 0.5, 2.0, 0.75]}
    found = gb.sweep.run(fragile, Settings(), over, path=tmp_path / "s", key=jr.key(0))
    assert list(found.status.values[:, 0]) == ["done", "done", "failed", "done"]
    np.testing.assert_array_equal(found.w.values[:, 0], [0.25, 0.5, np.nan, 0.75])
    assert "too large" in str(found.reason.values[2, 0])


def test_experiments_of_the_host_run_cell_by_cell(tmp_path):
    calls = []

    def host(settings, key):
        calls.append(settings.start)
        if settings.start == 2.0:
            raise ValueError("not this one")
        return {"w": float(np.asarray(settings.start)) * 2}

    over = {"start": [0.5, 2.0, 1.5]}
    path = tmp_path / "s"
    found = gb.sweep.run(host, Settings(), over, path=path, key=jr.key(0), stack=False)
    assert calls == [0.5, 2.0, 1.5]
    np.testing.assert_array_equal(found.w.values[:, 0], [1.0, np.nan, 3.0])
    longer = gb.sweep.run(
        lambda s, k: np.zeros(s.depth),
        Settings(),
        {"depth": [2, 1, 3]},
        path=tmp_path / "u",
        key=jr.key(0),
        stack=False,
    )
    np.testing.assert_array_equal(longer.value[:, 0], [[0, 0], [0, np.nan], [np.nan, np.nan]])
    assert "first cell returned float64[2]" in str(longer.reason.values[2, 0])
    with pytest.raises(ValueError, match="cannot be traced by jax .* `stack=False`"):
        gb.sweep.run(host, Settings(), over, path=tmp_path / "t", key=jr.key(0))


def test_samples_keep_their_settings_along_the_points(tmp_path):
    over = Sample(6, {"learning_rate": LogUniform(1e-3, 0.1), "depth": Choice([1, 2])})
    found = gb.sweep.run(descend, Settings(), over, path=tmp_path / "s", key=jr.key(3), seeds=[5])
    for i in (0, 5):
        here = Settings(depth=int(found.depth[i]), learning_rate=float(found.learning_rate[i]))
        alone = descend(here, jr.fold_in(jr.key(3), 5))
        np.testing.assert_allclose(found.w[i, 0], alone["w"], rtol=1e-12)


def test_a_full_disk_keeps_what_was_finished(tmp_path, monkeypatch, whole):
    import errno

    from zarr.storage import _local

    put, calls = _local._put, []

    def full(path, *rest, **options):
        calls.append(path)
        if "/c/" in str(path) and len([c for c in calls if "/c/" in str(c)]) > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(path, *rest, **options)

    monkeypatch.setattr(_local, "_put", full)
    with pytest.raises(OSError, match=r"`path` .*\(no space left\): what was finished before"):
        sweep_models.sweep(tmp_path / "s")
    monkeypatch.setattr(_local, "_put", put)
    assert 0 < gb.sweep.load(tmp_path / "s").attrs["finished"] < 120
    same(sweep_models.sweep(tmp_path / "s"), whole[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(over={"depth": [1]}), "holds another sweep .*over.depth is"),
        (dict(settings=Settings(start=0.4)), "settings.values.start is 0.4 here and 0.5 there"),
        (dict(key=jr.key(4)), "key.data is"),
        (dict(seeds=2), "seeds is"),
        (dict(experiment=lambda s, k: s.start), "the source code of experiment differs"),
        # The order numbers the cells: the other one would write into the places of others.
        (dict(over=dict(reversed(OVER.items()))), "axes is"),
        (dict(chunk=9), "was defined with chunks of 8"),
        (dict(over={"dpth": [1]}), "did you mean 'depth'"),
        (dict(over={"depth": ["a"]}), "is of type int"),
        (dict(devices=64), "`devices` is 64, but this process has"),
        (dict(seeds=[1, 1]), "`seeds` must be different integers"),
        (dict(settings=Settings), "`settings` must be an instance of a dataclass"),
        (dict(path="/proc/none/s"), "cannot be written"),
        (dict(key=3), "`key` must be a jax.random key"),
    ],
)
def test_bad_input_is_one_sentence(whole, change, said):
    arguments = dict(
        experiment=descend, settings=Settings(), over=OVER, path=whole[1], key=jr.key(3), seeds=4
    )
    with pytest.raises(ValueError, match=said):
        gb.sweep.run(**(arguments | change))


def test_an_experiment_that_changed_between_two_runs_is_noticed(tmp_path, monkeypatch):
    factor = 2.0

    def uses(settings, key):
        return {"w": factor * settings.start}

    over = {"start": [float(i) for i in range(8)]}
    arguments = (uses, Settings(), over)
    write, calls = Store.write, []

    def cut(self, chunk, *rest):
        if calls:
            raise Enough
        calls.append(chunk)
        write(self, chunk, *rest)

    monkeypatch.setattr(Store, "write", cut)
    with pytest.raises(Enough):
        gb.sweep.run(*arguments, path=tmp_path / "s", key=jr.key(0), chunk=4)
    monkeypatch.setattr(Store, "write", write)
    factor = 3.0
    with pytest.raises(ValueError, match="computes something else"):
        gb.sweep.run(*arguments, path=tmp_path / "s", key=jr.key(0), chunk=4)
    factor = 2.0
    found = gb.sweep.run(*arguments, path=tmp_path / "s", key=jr.key(0), chunk=4)
    np.testing.assert_array_equal(found.w.values[:, 0], 2.0 * np.arange(8))
    factor = 3.0  # nor are finished results taken for those of code that has changed
    with pytest.raises(ValueError, match="computes something else .*`gb.sweep.load` reads"):
        gb.sweep.run(*arguments, path=tmp_path / "s", key=jr.key(0), chunk=4)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda s, k: {}, "returns no arrays"),
        (lambda s, k: {"status": s.start}, "an output named 'status'"),
        (lambda s, k: {"start": s.start}, "an output named 'start'"),
        (lambda s, k: {"n": jnp.zeros(s.depth, int)}, "return floats"),
        (lambda s, k: {"n": jnp.zeros((2,) * s.depth)}, "number of axes|another number"),
        (lambda s, k: {f"n{s.depth}": 1.0}, "the same names"),
    ],
)
def test_outputs_that_do_not_fit_together_are_refused(bad, said, tmp_path):
    over = {"depth": [1, 2], "start": [0.1, 0.2]}
    with pytest.raises(ValueError, match=said):
        gb.sweep.run(bad, Settings(), over, path=tmp_path / "s", key=jr.key(0))
    assert not (tmp_path / "s").exists()


def test_chunks_shrink_to_the_memory_there_is_but_not_below_one_cell(tmp_path, monkeypatch):
    from gaugebias.dynamics._runs import _memory
    from gaugebias.sweep._store import Store

    monkeypatch.setattr(_memory, "host_memory", lambda: 1)
    over = {"start": [0.1 * k for k in range(1, 9)]}
    gb.sweep.run(descend, Settings(), over, path=tmp_path / "s", key=jr.key(0))
    assert Store(tmp_path / "s").size == 1


def test_seeds_are_integers_that_differ():
    assert _seeds(2) == [0, 1] and _seeds(np.arange(2, 4)) == [2, 3]
    for bad in (2.5, "12", [0.5], True, [True], 0, [], [-1], [2**32], [1, 1], None):
        with pytest.raises(ValueError, match="`seeds`"):
            _seeds(bad)
