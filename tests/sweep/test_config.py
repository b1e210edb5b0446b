"""Sweeps from a TOML file: what is read, and what is said of mistakes."""

import numpy as np
import pytest

from gaugebias.sweep import Choice, LogUniform, Sample, read_config

MODEL = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Settings:
    width: int = 4
    rate: float = 0.1

def experiment(settings, key):
    return {"area": settings.rate * settings.width}
"""
CONFIG = """
experiment = "model.py:experiment"
seeds = 2
[settings]
width = 8
[grid]
rate = { log = [0.01, 1.0], points = 3 }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def config(folder, text):
    (folder / "sweep.toml").write_text(text)
    return read_config(folder / "sweep.toml")


def test_a_grid_is_read(folder):
    found = config(folder, CONFIG)
    assert found.settings.width == 8 and found.settings.rate == 0.1
    assert isinstance(found.over, dict)
    np.testing.assert_allclose(found.over["rate"], [0.01, 0.1, 1.0])
    assert found.path == folder / "sweep.zarr" and found.options == {"seeds": 2} and found.x64
    assert found.experiment(found.settings, None) == {"area": 0.8}


def test_a_sample_is_read(folder):
    text = CONFIG.split("[grid]")[0] + (
        "[sample]\nn = 5\n[sample.over]\nrate = { log_uniform = [0.1, 1.0] }\n"
        "width = { choice = [2, 4] }\n"
    )
    over = config(folder, text).over
    assert over == Sample(5, {"rate": LogUniform(0.1, 1.0), "width": Choice([2, 4])})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("experiment =", "experment =", "did you mean 'experiment'"),
        ("model.py:experiment", "model.py", "write `file.py:function`"),
        ("model.py:experiment", "none.py:f", "`experiment`: the file .* does not exist"),
        ("model.py:experiment", "model.py:experimnt", "did you mean 'experiment'"),
        ("width = 8", "widht = 8", "did you mean 'width'"),
        ("width = 8", 'width = "wide"', r"`settings\['width'\]` holds 'wide'"),
        ("[grid]", "[gird]", "did you mean 'grid'"),
        ("rate = {", "rte = {", "did you mean 'rate'"),
        ("{ log = [0.01, 1.0], points = 3 }", "0.1", "give a list of values"),
        ("log = [0.01, 1.0]", "log = [0.01]", "`grid.rate`"),
        ("seeds = 2", "seeds = true", "`seeds` is True"),
        ("seeds = 2", "seed = -1", "`seed` is -1"),
        ("[settings]", "[settings", "is not TOML"),
        ("[grid]", "[sample]\nn = 3\n[grid]", "one of the tables"),
        ("seeds = 2", 'settings_class = "experiment"', "must name a dataclass"),
    ],
)
def test_mistakes_are_one_sentence(folder, old, new, said):
    assert old in CONFIG
    with pytest.raises(ValueError, match=said):
        config(folder, CONFIG.replace(old, new))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_config(tmp_path / "none.toml")
