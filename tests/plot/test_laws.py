import dataclasses

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

from gaugebias import plot
from gaugebias.quotient import Domain


@dataclasses.dataclass
class Root:
    """|x|^-1/2 on [-1, 1] in every coordinate: singular at an interior break."""

    domain: Domain
    name: str = "root"
    reference: str = "lebesgue"

    def log_density(self, x):
        each = -0.5 * np.log(np.abs(x)) - np.log(4.0)
        return each if self.domain.dimension == 1 else each.sum(-1)

    def sample(self, key, n):
        shape = (n,) if self.domain.dimension == 1 else (n, self.domain.dimension)
        uniform = jax.random.uniform(key, shape, minval=-1.0)
        return np.sign(uniform) * uniform**2


def line():
    return Domain.line(-1.0, 1.0, breaks=(0.0,))


def test_one_coordinate_is_cut_at_its_break():
    ax = plot.law(Root(line()), Figure().subplots())
    curves = [line for line in ax.lines if len(np.asarray(line.get_xdata())) > 2]
    assert len(curves) == 2 and ax.get_title() == "root"
    assert all(np.isfinite(np.asarray(curve.get_ydata())).all() for curve in curves)
    assert ax.get_xlim()[0] >= -1.0 and ax.get_xlim()[1] <= 1.0
    assert ax.get_ylim()[1] < 20.0


def test_two_coordinates_are_contours():
    ax = plot.law(Root(Domain.box(-np.ones(2), np.ones(2), ((0.0,), (0.0,)))), Figure().subplots())
    assert ax.collections and ax.get_ylabel() == "$w_2$"


def test_what_cannot_be_drawn_says_what_can():
    with pytest.raises(ValueError, match="3 coordinates: plot `law.marginal"):
        plot.law(Root(Domain.box(np.zeros(3), np.ones(3))))
    with pytest.raises(ValueError, match="'slice' measure.*law.to"):
        plot.law(Root(line(), reference="slice"))
