"""Sweeps from a TOML file: what is read, and what is said of mistakes."""

import sys

import jax.random as jr
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.sweep import Choice, LogUniform, Sample, read_config

MODEL = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Settings:
    width: int = 4
    rate: float = 0.1

    def __post_init__(self):
        assert self.width > 0, "no width"

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
        ("log = [0.01, 1.0]", "log = [0.01]", "`grid.rate` has log = .*give two numbers"),
        ("log = [0.01, 1.0]", "log = [0.0, 1.0]", "`grid.rate`: a log grid needs"),
        ("points = 3", "points = 2.5", "`grid.rate.points` must be an integer"),
        ("points = 3", "points = 0", "`grid.rate.points` must be at least 1"),
        ("seeds = 2", "x64 = 1", "`x64` is 1"),
        ("seeds = 2", "settings_class = 3", "`settings_class` is 3"),
        ("seeds = 2", 'settings_class = "Setings"', "`settings_class`: .*did you mean 'Settings'"),
        ("width = 8", "width = 0", "`settings` cannot be made into Settings .*no width"),
        ("rate = {", "width = {", r"`over\['width'\]` holds 0.01"),
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


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("{ uniform = [0.0] }", "`sample.over.rate` has uniform = .*give two numbers"),
        ("{ log_uniform = [0.0, 1.0] }", "`sample.over.rate`: `LogUniform` needs a positive"),
        ('{ uniform = ["a", "b"] }', "`sample.over.rate` has uniform = .*give two numbers"),
        ("{ choice = 3 }", "`sample.over.rate` must be a list"),
        ("{ choise = [1.0] }", "`sample.over.rate` is .*give { log_uniform"),
    ],
)
def test_mistakes_in_a_sample_are_one_sentence(folder, axis, said):
    text = CONFIG.split("[grid]")[0] + f"[sample]\nn = 5\n[sample.over]\nrate = {axis}\n"
    with pytest.raises(ValueError, match=said):
        config(folder, text)


CLASSES = """
from __future__ import annotations
import dataclasses
import enum
import jax.numpy as jnp
import beside_it

class Noise(enum.Enum):
    NONE = 0
    WHITE = 1

@dataclasses.dataclass(frozen=True)
class Inner:
    scale: float = 1.0

@dataclasses.dataclass(frozen=True)
class Settings:
    rate: float = 1
    noise: Noise = Noise.NONE
    inner: Inner = Inner()

TARGET = jnp.asarray(0.1)

def experiment(settings, key):
    assert isinstance(settings, Settings)
    return {"x": settings.rate * settings.inner.scale, "none": settings.noise is Noise.NONE}
"""


def test_the_file_is_run_once_in_the_precision_of_the_run_as_a_module(tmp_path):
    """Else its classes would be two of each, and an enum of one not that of the other."""
    (tmp_path / "model.py").write_text(CLASSES)
    (tmp_path / "beside_it.py").write_text("runs = 1\n")
    text = (
        'experiment = "model.py:experiment"\nx64 = X64\n[settings.inner]\nscale = 3\n'
        '[grid]\nrate = [0.5, 1.5]\nnoise = ["NONE", "WHITE"]\n'
    )
    for x64, dtype in (("true", "float64"), ("false", "float32")):
        found = config(tmp_path, text.replace("X64", x64))
        assert found.experiment.__globals__["TARGET"].dtype == dtype
    assert found.settings.inner.scale == 3.0
    run = {"path": tmp_path / "s", "key": jr.key(0)}
    done = gb.sweep.run(found.experiment, found.settings, found.over, **run).isel(seed=0)
    np.testing.assert_array_equal(done.x, [[1.5, 1.5], [4.5, 4.5]])
    np.testing.assert_array_equal(done.none, [[True, False]] * 2)


def test_a_file_named_as_an_installed_package_does_not_hide_it(tmp_path):
    import zarr

    (tmp_path / "zarr.py").write_text(MODEL)
    found = config(tmp_path, CONFIG.replace("model.py", "zarr.py"))
    assert found.settings.width == 8 and sys.modules["zarr"] is zarr
