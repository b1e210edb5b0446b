"""The list of publications and what a run leaves on disk."""

import json

import pytest

from gaugebias import papers


def test_every_publication_has_its_parts():
    for each in papers.publications():
        module = papers.load(each.name)
        for part in ("Settings", "quick", "run", "claims", "controls", "figures"):
            assert callable(getattr(module, part)), (each.name, part)
        assert module.quick() != module.Settings() and each.quick_seconds < each.seconds
    assert len(set(papers.names())) == len(papers.publications())


def test_an_unknown_name():
    with pytest.raises(ValueError, match="did you mean 'deep-matrix-factorisation'"):
        papers.load("deep-matrix-factorization")


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`out`: cannot write into"):
        papers.reproduce(papers.publications()[0], out=tmp_path / "file")


def test_claims_are_kept_when_the_figure_fails(tmp_path, monkeypatch):
    module = papers.load("deep-matrix-factorisation")
    claim = papers.Claim("one", "statement", "published", "1", "supported")
    monkeypatch.setattr(module, "run", lambda settings, key, progress: 0)
    monkeypatch.setattr(module, "claims", lambda result: (claim,))
    monkeypatch.setattr(module, "controls", lambda result: ())
    monkeypatch.setattr(module, "figures", lambda result: 1 / 0)
    publication = papers.publications()[0]
    with pytest.raises(ZeroDivisionError):
        papers.reproduce(publication, out=tmp_path, seed=3, quick=True)
    (record,) = tmp_path.rglob("claims.json")
    saved = json.loads(record.read_text())
    assert saved["claims"][0]["verdict"] == "supported" and saved["seed"] == 3
    assert saved["quick"] and saved["settings"]["depths"] == [2, 3, 4, 5]
    assert "jax" in saved["versions"]
    assert not list(tmp_path.rglob("*.png"))
