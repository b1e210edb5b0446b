"""Ticks: their names never run into each other in a figure of column width."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gaugebias.plot._style import tidy
from gaugebias.plot._ticks import log_ticks, whole_ticks

WIDTH = 3.3  # inches, a column of a two-column page


def drawn(low, high, side, *, ticks=True):
    """The names on a logarithmic axis that is drawn from `low` to `high`, and their boxes."""
    figure = Figure(figsize=(WIDTH, 2.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.plot([low, high], [low, high])
    if side == "x":
        ax.set(xscale="log", xlim=(low, high))
    else:
        ax.set(yscale="log", ylim=(low, high))
    axis = ax.xaxis if side == "x" else ax.yaxis
    if ticks:
        log_ticks(axis)
    tidy(ax)
    figure.canvas.draw()
    labels = [*axis.get_ticklabels(which="major"), *axis.get_ticklabels(which="minor")]
    inside = [
        (label.get_text(), label.get_window_extent())
        for label in labels
        if label.get_text() and low <= label.get_position()["xy".index(side)] <= high
    ]
    return inside, side


def overlaps(found):
    inside, side = found
    spans = sorted((box.x0, box.x1) if side == "x" else (box.y0, box.y1) for _, box in inside)
    return any(second[0] < first[1] for first, second in itertools.pairwise(spans))


RANGES = [
    (1.0, 1.3),
    (0.002, 0.0095),
    (0.6, 2.4),
    (0.11, 0.99),
    (0.002, 0.013),
    (0.23, 8.7),
    (0.03, 2.9),
    (1e-3, 1.0),
    (2.1e4, 1.6e6),
    (3.2e4, 4.1e4),
    (2e-5, 1.7e-3),
    (2e-6, 3e4),
]


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_names_do_not_overlap_and_two_or_more_are_there(low, high, side):
    found = drawn(low, high, side)
    assert len(found[0]) >= 2 and not overlaps(found)


def test_long_numbers_have_short_names():
    names = [name for name, _ in drawn(2.1e4, 1.6e6, "x")[0]]
    assert names == ["5e4", "1e5", "2e5", "5e5", "1e6"]
    names = [name for name, _ in drawn(0.23, 8.7, "x")[0]]
    assert names == ["0.5", "1", "2", "5"]
    assert "3.25e4" in [name for name, _ in drawn(3.2e4, 3.4e4, "y")[0]]


def test_the_same_measure_finds_the_overlaps_of_bare_matplotlib():
    assert any(overlaps(drawn(low, high, "x", ticks=False)) for low, high in RANGES)


def test_whole_numbers_have_no_ticks_between_them():
    ax = Figure().subplots()
    ax.plot([1, 2, 3], [0, 1, 2])
    whole_ticks(ax.xaxis)
    ticks = ax.get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))
    assert {1.0, 2.0, 3.0} <= set(ticks)
