"""Stores of strangers, of other versions, and what is left of a killed run."""

import errno
import json
import os
import shutil

import jax.random as jr
import numpy as np
import pytest
import sweep_models
from sweep_models import Settings

import gaugebias as gb
from gaugebias.sweep._store import Store


def small(path):
    return gb.sweep.run(
        lambda s, k: {"w": s.start}, Settings(), {"start": [1.0, 2.0]}, path=path, key=jr.key(0)
    )


def test_what_is_no_store_is_said(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        gb.sweep.load(tmp_path / "none")
    with pytest.raises(ValueError, match="is not the store of a sweep"):
        gb.sweep.load(tmp_path)
    with pytest.raises(ValueError, match="is not the store of a sweep"):
        small(tmp_path)


def test_a_store_of_another_version_is_refused(tmp_path):
    small(tmp_path / "s")
    file = tmp_path / "s" / "zarr.json"
    text = json.loads(file.read_text())
    text["attributes"]["gaugebias"]["version"] = 99
    file.write_text(json.dumps(text))
    for act in (gb.sweep.load, small):
        with pytest.raises(ValueError, match=r"another version of the format \(99; this is 1\)"):
            act(tmp_path / "s")


def test_a_store_of_another_version_of_a_library_says_which(tmp_path):
    small(tmp_path / "s")
    file = tmp_path / "s" / "zarr.json"
    text = json.loads(file.read_text())
    text["attributes"]["gaugebias"]["definition"]["versions"]["jax"] = "0.1.0"
    file.write_text(json.dumps(text))
    with pytest.raises(ValueError, match=r"versions.jax is .* here and .0.1.0. there"):
        small(tmp_path / "s")


def test_a_pickle_filter_is_never_run(tmp_path):
    """A stranger's store with a Zarr 2 object array: its filter would unpickle."""
    small(tmp_path / "s")
    array = tmp_path / "s" / "w"
    for part in array.rglob("*"):
        if part.is_file():
            part.unlink()
    (array / ".zarray").write_text(
        json.dumps(
            {
                "zarr_format": 2,
                "shape": [2],
                "chunks": [2],
                "dtype": "|O",
                "compressor": None,
                "fill_value": None,
                "order": "C",
                "filters": [{"id": "pickle"}],
            }
        )
    )
    (array / "0").write_bytes(
        b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    )
    with pytest.raises((ValueError, KeyError)):
        gb.sweep.load(tmp_path / "s")
    assert not (tmp_path / "ran").exists()


def test_half_written_files_are_removed_when_a_sweep_goes_on(tmp_path):
    found = small(tmp_path / "s")
    part = tmp_path / "s" / "w" / "c" / "0.abc.partial"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"torn")
    again = small(tmp_path / "s")
    assert not part.exists()
    np.testing.assert_array_equal(again.w.values, found.w.values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about: about.pop("layout"), "is damaged .*its layout"),
        (lambda about: about["outputs"].append("gone"), "the array 'gone' is missing"),
        (lambda about: about["outputs"].append("../../x"), "is missing or of another kind"),
    ],
)
def test_a_damaged_store_is_said(tmp_path, change, said):
    small(tmp_path / "s")
    file = tmp_path / "s" / "zarr.json"
    text = json.loads(file.read_text())
    change(text["attributes"]["gaugebias"])
    file.write_text(json.dumps(text))
    for act in (gb.sweep.load, small):
        with pytest.raises(ValueError, match=said):
            act(tmp_path / "s")


def test_codecs_other_than_our_own_are_never_loaded(tmp_path):
    """Codecs of Zarr 3 are looked up among installed packages: a store must not choose them."""
    small(tmp_path / "s")
    file = tmp_path / "s" / "w" / "zarr.json"
    text = json.loads(file.read_text())
    text["codecs"].append({"name": "somebody.codec", "configuration": {}})
    file.write_text(json.dumps(text))
    with pytest.raises(ValueError, match="the array 'w' is missing or of another kind"):
        gb.sweep.load(tmp_path / "s")


def test_a_store_holds_numbers_alone(tmp_path):
    """No array of objects: those are what pickles would be needed for."""
    small(tmp_path / "s")
    heads = [json.loads(f.read_text()) for f in (tmp_path / "s").rglob("*/zarr.json")]
    assert {head["data_type"] for head in heads} == {"float64", "int64", "uint8"}
    assert {codec["name"] for head in heads for codec in head["codecs"]} == {"bytes", "zstd"}


def test_a_folder_that_vanishes_is_not_made_again(tmp_path, monkeypatch):
    write, path = Store.write, tmp_path / "s"

    def vanish(self, chunk, *rest):
        if chunk == 1:
            shutil.rmtree(path)
        write(self, chunk, *rest)

    monkeypatch.setattr(Store, "write", vanish)
    with pytest.raises(OSError, match="has vanished while the sweep ran"):
        sweep_models.sweep(path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    from zarr.storage import _local

    def full(*rest, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    left = tmp_path / ".s.new-killed"
    left.mkdir()  # by a run that was killed while it made its store
    other = tmp_path / ".s.x.new-other"
    other.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(_local, "_put", full)
        with pytest.raises(ValueError, match=r"`path` .* cannot be written \(no space left\)"):
            small(tmp_path / "s")
    assert list(tmp_path.iterdir()) == [other]
    small(tmp_path / "s")


def test_a_store_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    found = small(tmp_path / "s")
    for folder, _, files in os.walk(tmp_path / "s"):
        for name in files:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)
    try:
        assert gb.sweep.load(tmp_path / "s").identical(found)
    finally:
        for folder, _, _ in os.walk(tmp_path / "s"):
            os.chmod(folder, 0o755)
