"""Stores of strangers, of other versions, and what is left of a killed run."""

import json

import jax.random as jr
import numpy as np
import pytest
from sweep_models import Settings

import gaugebias as gb


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
    with pytest.raises(ValueError, match=r"jax [\d.]+ here and 0.1.0 there"):
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
