"""`gaugebias sweep`: a sweep from its file, shown, resumed, and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gaugebias as gb
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


PATH = "from pathlib import Path"


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


def test_json_is_one_object_with_cells_outputs_and_failures(folder, capsys):
    text = (folder / "model.py").read_text()
    failing = text.replace("return {", 'return {"inverse": 1.0 / (settings.rate - 0.5), ')
    (folder / "model.py").write_text(failing)
    assert main(["sweep", str(folder / "s.toml"), "--json"]) == 1
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == "" and said["exit_code"] == 1 and said["store"] == str(folder / "s.zarr")
    assert (said["cells"], said["done"], said["failed"], said["left"]) == (12, 6, 6, 0)
    assert said["outputs"]["area"] == {"dims": ["rate", "width", "seed"], "span": [1.5, 3.0]}
    (failure,) = said["failures"]
    assert failure["reason"] == "not finite: inverse" and failure["cells"] == 6
    assert failure["first"] == {"rate": 0.5, "width": 1, "seed": 0} and said["seconds"] > 0
    assert main(["sweep", str(folder / "s.toml"), "--json", "--show"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert {**shown, "seconds": 0} == {**said, "seconds": 0}


def test_failed_cells_are_computed_again_on_request(folder, capsys):
    """A file that the experiment reads is missing for a while."""
    read = "float((Path(__file__).parent / f'{settings.width}.txt').read_text())"
    text = MODEL.replace("settings.width,", f"{read},").replace("import jax", "import jax\n" + PATH)
    (folder / "model.py").write_text(text)
    (folder / "1.txt").write_text("1.0")
    assert main(["sweep", str(folder / "s.toml")]) == 1
    said = capsys.readouterr().out
    assert "6 cells: FileNotFoundError" in said and said.endswith("s.toml --retry failed\n")
    (folder / "2.txt").write_text("2.0")
    assert main(["sweep", str(folder / "s.toml")]) == 2
    assert "compute those cells again with `retry='failed'`" in capsys.readouterr().err
    assert main(["sweep", str(folder / "s.toml"), "--retry", "failed"]) == 0
    said = capsys.readouterr().out
    assert "0 without a finite result" in said and "area (rate, width, seed), 0.5 to 3" in said
    assert "--retry" not in said
    for words in (["--show", "--retry", "failed"], ["--retry"], ["--retry", "done"]):
        assert main(["sweep", str(folder / "s.toml"), *words]) == 2
        err = capsys.readouterr().err
        assert err.startswith("gaugebias sweep: `--") and err.count("\n") == 1
        assert "None" not in err


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
    calls.append(None)
    assert main(["sweep", str(folder / "s.toml"), "--json"]) == 130
    said = json.loads(capsys.readouterr().out)
    assert (said["exit_code"], said["done"], said["left"]) == (130, 6, 6)
    monkeypatch.setattr(Store, "write", write)
    assert main(["sweep", str(folder / "s.toml")]) == 0


def test_bad_input_is_one_sentence(folder, capsys):
    for words in (["sweep", "none.toml"], ["sweep", str(folder / "s.toml"), "--show"], ["sweep"]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert err.startswith("gaugebias sweep: ") and err.count("\n") == 1


# A process in the background of some shells would not hear it.
HEARD = """
import signal, sys
from gaugebias.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals of this kind")
def test_ctrl_c_is_heard_while_a_chunk_is_computed(folder):
    """A chunk that takes for ever: nobody waits for it, not at the end of the process either."""
    endless = "jax.lax.while_loop(lambda x: x < 1.0, lambda x: x * 0.5, settings.rate * 0.5)"
    text = (folder / "model.py").read_text().replace("settings.rate * settings.width", endless)
    (folder / "model.py").write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-c", HEARD, "sweep", str(folder / "s.toml"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(gb.__file__).parents[1])},
    )
    end = time.monotonic() + 120
    while not (folder / "s.zarr").exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert json.loads(out)["left"] == 12
    assert "interrupted with 0 of 12 cells stored" in err and "the same command goes on" in err
    assert err.count("\n") == 1  # nor a bar, where nobody looks
    assert [p.name for p in folder.iterdir() if "lock" in p.name] == []
