"""`gaugebias sweep`: a sweep from its file, shown, resumed, and refused."""

import pytest

from gaugebias.cli import main

MODEL = """
import dataclasses
import jax

@dataclasses.dataclass(frozen=True)
class Settings:
    width: int = 4
    rate: float = 0.1

def experiment(settings, key):
    return {"area": settings.rate * settings.width, "noise": jax.random.normal(key, (2,))}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "s.toml").write_text(
        'experiment = "model.py:experiment"\nseeds = 3\n[grid]\nrate = [0.5, 1.5]\nwidth = [1, 2]\n'
    )
    return tmp_path


def test_a_sweep_runs_is_shown_and_goes_on(folder, capsys, monkeypatch):
    assert main(["sweep", str(folder / "s.toml")]) == 0
    said = capsys.readouterr().out
    assert "12 of 12 cells finished, 0 without a finite result" in said
    assert "area (rate, width, seed), 0.5 to 3" in said
    monkeypatch.chdir(folder)
    assert main(["sweep", "s.toml", "--show"]) == 0
    assert capsys.readouterr().out.count("cells finished") == 1


def test_an_interrupted_sweep_says_how_to_go_on(folder, capsys, monkeypatch):
    from gaugebias.sweep._store import Store

    write, calls = Store.write, []

    def interrupted(self, *rest):
        if calls:
            raise KeyboardInterrupt
        calls.append(rest)
        write(self, *rest)

    monkeypatch.setattr(Store, "write", interrupted)
    assert main(["sweep", str(folder / "s.toml")]) == 130
    assert "interrupted with 6 of 12 cells stored" in capsys.readouterr().err
    monkeypatch.setattr(Store, "write", write)
    assert main(["sweep", str(folder / "s.toml")]) == 0


def test_bad_input_is_one_sentence(folder, capsys):
    for words in (["sweep", "none.toml"], ["sweep", str(folder / "s.toml"), "--show"], ["sweep"]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert err.startswith("gaugebias sweep: ") and err.count("\n") == 1
