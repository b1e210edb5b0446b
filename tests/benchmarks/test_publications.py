"""The tables of publications: what is kept is what the documentation and the README show."""

import json

import pytest

from benchmarks import publications as kept_runs


def test_pages_show_what_is_kept():
    kept = kept_runs.records()
    assert kept_runs.PAGE.read_text(encoding="utf-8") == kept_runs.page(kept)
    text = kept_runs.README.read_text(encoding="utf-8")
    assert kept_runs.table(kept) in text


def test_kept_runs_are_full_and_say_what_made_them():
    for record in kept_runs.records():
        assert not record["quick"] and record["versions"]["jax"] and record["machine"]
        assert record["command"].startswith("gaugebias reproduce ")
        assert (
            kept_runs.KEPT / record["publication"]["name"] / "figure.png"
        ).stat().st_size > 10_000


def test_a_quick_version_is_not_kept(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "claims.json").write_text(json.dumps({"quick": True}))
    with pytest.raises(ValueError, match="is of a quick version"):
        kept_runs.collect(tmp_path)
    with pytest.raises(ValueError, match="holds no NAME/claims.json"):
        kept_runs.collect(tmp_path / "x")
