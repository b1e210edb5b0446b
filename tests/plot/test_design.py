import numpy as np
import pytest

import gaugebias as gb


def test_the_map_and_the_penalty_are_drawn():
    design = gb.design.from_penalty(gb.design.Log(0.05), 0.1, form="product")
    page = gb.plot.design(design)
    left, right = page.axes
    u, w = map(np.asarray, left.lines[0].get_data())
    np.testing.assert_allclose(w, np.sign(u) * np.asarray(u) ** 2, atol=1e-12)
    w, penalty = map(np.asarray, right.lines[0].get_data())
    np.testing.assert_allclose(penalty, 0.05 * np.log(np.abs(w)), atol=1e-12)
    assert "T = 0.1" in right.get_title()


def test_a_claim_has_no_coordinate_to_draw():
    claim = gb.design.Design(lambda u: u, lambda w: 0.0 * w, 0.1, lift=lambda w: w)
    with pytest.raises(ValueError, match="was not made by `from_penalty`"):
        gb.plot.design(claim)
