from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from gaugebias import plot
from gaugebias.factor import Factorisation, component_region, movement


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    mixing = 0.9 * rng.dirichlet([0.6] * 3, 8) + 0.1 / 3
    return Factorisation(mixing, 0.9 * rng.dirichlet([0.5] * 5, 3) + 0.02, np.full(8, 50.0))


def axes() -> Any:
    return Figure().subplots()


def test_rows_stand_where_their_shares_say(found):
    ax: Any = plot.ternary(
        found, names=[f"r{i}" for i in range(8)], components=("a", "b", "c"), ax=axes()
    )
    offsets = [np.asarray(c.get_offsets()) for c in ax.collections if len(c.get_offsets()) == 8]
    x = found.mixing[:, 1] + found.mixing[:, 2] / 2
    np.testing.assert_allclose(offsets[0], np.c_[x, found.mixing[:, 2] * np.sqrt(0.75)])
    texts = [text.get_text() for text in ax.texts]
    assert {"a", "b", "c"} <= set(texts) and "r0" in texts


def test_the_region_is_drawn_where_components_can_be(found):
    region = component_region(found, resolution=40)
    ax: Any = plot.ternary(found, region=region, ax=axes())
    drawn = sum(len(c.get_offsets()) for c in ax.collections)
    assert drawn == region.possible.sum() + 8 + 3
    low, high = ax.get_ylim()
    assert low < region.outer[:, 2].min() * np.sqrt(0.75) and high > np.sqrt(0.75)


def test_components_and_their_ranges(found):
    moves = movement(found, effort=1)
    ax: Any = plot.components(
        found, columns="vwxyz", names=("a", "b", "c"), movement=moves, ax=axes()
    )
    lines = {line.get_label(): line for line in ax.lines if line.get_label() in ("a", "b", "c")}
    np.testing.assert_allclose(lines["b"].get_xdata(), found.basis[1])
    bars = [c for c in ax.collections if hasattr(c, "get_segments")]
    ends = np.array([segment[:, 0] for segment in bars[1].get_segments()])
    np.testing.assert_allclose(ends, np.c_[moves.basis_low[1], moves.basis_high[1]])
    assert [label.get_text() for label in ax.get_yticklabels()] == list("vwxyz")
    assert len({line.get_marker() for line in lines.values()}) == 3  # not by colour alone


def test_mixtures_fill_the_line(found):
    ax: Any = plot.mixtures(found, ax=axes())
    ends = np.array([[p.get_x() + p.get_width() for p in box] for box in ax.containers])
    np.testing.assert_allclose(ends[-1], 1.0)
    np.testing.assert_allclose(ends[0], found.mixing[:, 0])


def test_bad_input(found):
    with pytest.raises(ValueError, match="`columns` has 2 names for 5"):
        plot.components(found, columns="ab")
    with pytest.raises(ValueError, match="`names` has 1 names for 8"):
        plot.ternary(found, names=["x"], ax=axes())
    with pytest.raises(ValueError, match="`components` has 2 names for 3"):
        plot.ternary(found, components=("a", "b"), ax=axes())
    two = Factorisation(np.full((3, 2), 0.5), np.full((2, 3), 1 / 3), np.ones(3))
    with pytest.raises(ValueError, match="a triangle has three"):
        plot.ternary(two)
