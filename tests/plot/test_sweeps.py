"""Sweeps as heat maps and phase diagrams."""

import dataclasses

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import gaugebias as gb


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: float = 0.1
    scale: float = 1.0
    kind: str = "a"


def experiment(settings, key):
    ratio = settings.rate * settings.scale
    bad = jnp.where(settings.rate > 5.0, jnp.nan, 0.0)
    return {"ratio": ratio + bad, "path": jnp.arange(3.0)}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    over = {"rate": [0.1, 1.0, 10.0], "scale": [1.0, 2.0, 3.0, 4.0], "kind": ["a", "b"]}
    path = tmp_path_factory.mktemp("plot") / "s"
    return gb.sweep.run(
        experiment, Settings(), over, path=path, key=jr.key(0), seeds=2, units={"rate": "1/s"}
    )


def test_cells_are_means_and_those_not_done_stay_empty(found):
    ax = gb.plot.heat_map(found, "ratio", "rate", "scale")
    (mesh,) = [c for c in ax.collections if c.get_array() is not None]
    values = np.ma.masked_invalid(np.ma.asarray(mesh.get_array())).reshape(4, 3)
    np.testing.assert_allclose(values[:, 0], [0.1, 0.2, 0.3, 0.4])
    empty = np.ma.getmaskarray(values)
    assert empty[:, 2].all() and not empty[:, :2].any()
    assert ax.get_xscale() == "log" and ax.get_yscale() == "linear"
    assert ax.get_xlabel() == "rate (1/s)"


def test_what_is_no_number_is_named_on_the_axis(found):
    ax = gb.plot.heat_map(found, "ratio", "kind", "scale", reduce="max")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]


def test_a_phase_diagram_has_its_level_and_the_predicted_border(found):
    ax = gb.plot.phase_diagram(
        found, "ratio", "rate", "scale", level=0.3, boundary=lambda rate: 0.3 / rate
    )
    (border,) = [line for line in ax.lines if len(np.asarray(line.get_xdata())) == 256]
    np.testing.assert_allclose(np.asarray(border.get_xdata()) * np.asarray(border.get_ydata()), 0.3)
    legend = ax.get_legend()
    assert legend is not None
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["ratio = 0.3", "predicted"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rtio", "rate", "scale"), "is no output: there is path, ratio"),
        (("ratio", "rte", "scale"), "is no axis of the sweep"),
        (("ratio", "rate", "rate"), "are both 'rate'"),
        (("path", "rate", "scale"), "axes of its own"),
    ],
)
def test_bad_names_are_said(found, words, said):
    with pytest.raises(ValueError, match=said):
        gb.plot.heat_map(found, *words)
    with pytest.raises(ValueError, match="give mean, median"):
        gb.plot.heat_map(found, "ratio", "rate", "scale", reduce="sum")
