import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import gaugebias as gb


@pytest.fixture(scope="module")
def design():
    return gb.design.from_penalty(gb.design.Log(0.05), 0.1, form="product")


def test_the_map_and_the_penalty_are_drawn_on_the_axes_given(design):
    axes = Figure().subplots(1, 2)
    left, right = gb.plot.design(design, axes=axes)
    assert left is axes[0] and right is axes[1]
    u, w = map(np.asarray, left.lines[0].get_data())
    np.testing.assert_allclose(w, np.sign(u) * np.asarray(u) ** 2, atol=1e-12)
    w, penalty = map(np.asarray, right.lines[0].get_data())
    np.testing.assert_allclose(penalty, 0.05 * np.log(np.abs(w)), atol=1e-12)
    assert "T = 0.1" in right.get_title() and "units of the loss" in right.get_ylabel()


def test_a_page_has_the_same_panels_and_no_window(design):
    page = gb.plot.design_page(design)
    assert not plt.get_fignums()
    drawn = gb.plot.design(design)
    for one, other in zip(page.axes, drawn, strict=True):
        np.testing.assert_array_equal(one.lines[0].get_xydata(), other.lines[0].get_xydata())
    plt.close("all")


def test_another_number_of_axes(design):
    with pytest.raises(ValueError, match="`axes` has 1 of them: give 2"):
        gb.plot.design(design, axes=Figure().subplots())


def test_a_claim_has_no_coordinate_to_draw():
    claim = gb.design.Design(lambda u: u, lambda w: 0.0 * w, 0.1, lift=lambda w: w)
    with pytest.raises(ValueError, match="was not made by `from_penalty`"):
        gb.plot.design(claim)
    assert not plt.get_fignums()
