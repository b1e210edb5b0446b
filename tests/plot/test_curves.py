import numpy as np
import pytest
from matplotlib.figure import Figure

from gaugebias import plot

X = np.linspace(1.0, 10.0, 11)


def data(**kwargs):
    values = {"curves": {"seen": (X, X), "predicted": (X, X**2)}, "dashed": ("predicted",)}
    return plot.CurveData("Title", "x", "y", **{**values, **kwargs})


def test_predictions_are_dashed_and_levels_named():
    ax = Figure().subplots()
    plot.curve_figure(data(levels={"target": 3.0}, ranges=((2.0, np.inf),), xscale="log"), ax)
    styles = {line.get_label(): line.get_linestyle() for line in ax.lines}
    assert styles["seen"] == "-" and styles["predicted"] == "--"
    assert [text.get_text() for text in ax.texts] == ["target"]
    assert ax.get_xscale() == "log" and ax.get_xlim()[1] == 10.0


def test_a_page_is_written_whole(tmp_path):
    path = plot.save_curve_page([data()] * 4, tmp_path / "page.png", dpi=40)
    assert path.read_bytes()[:4] == b"\x89PNG" and [path] == list(tmp_path.iterdir())
    assert sum(ax.axison for ax in plot.curve_page([data()] * 4).axes) == 4


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"curves": {}}, "`curves` is empty"),
        ({"curves": {"seen": (X, X[1:])}, "dashed": ()}, r"`curves`\['seen'\] has shapes"),
        ({"dashed": ("law",)}, "`dashed` names 'law'"),
        ({"xscale": "cubic"}, "`xscale` is 'cubic'"),
    ],
)
def test_bad_data(kwargs, message):
    with pytest.raises(ValueError, match=message):
        data(**kwargs)


def test_an_empty_page():
    with pytest.raises(ValueError, match="`panels` is empty"):
        plot.curve_page([])


def test_depths_have_no_ticks_between_them():
    depths = np.asarray([1.0, 2.0, 3.0])
    ax = plot.curve_figure(data(curves={"seen": (depths, depths)}, dashed=()), Figure().subplots())
    assert set(ax.get_xticks()) >= {1.0, 2.0, 3.0}
    assert all(tick == round(tick) for tick in ax.get_xticks())
