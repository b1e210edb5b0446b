"""Tables of one-dimensional densities: normaliser, distribution function, quantiles, moments."""

from typing import NamedTuple

import numpy as np

from ._axis import Axis, Setting, build_axis, checked
from ._cells import Cells, gauss_legendre, integral_to, invert, pieces_of
from ._evaluate import HostFunction


class LineTable(NamedTuple):
    """A density on the line: cells, Legendre coefficients of its mass, cumulative mass.

    `masses` are normalised and `cumulative` has one entry more than cells, from 0 to 1.
    """

    cells: Cells
    coefficients: np.ndarray
    masses: np.ndarray
    cumulative: np.ndarray
    log_normaliser: float

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Quadrature points `(N,)` and probabilities `(N,)`."""
        u, w, _ = gauss_legendre(self.cells.order)
        values = self.coefficients @ np.polynomial.legendre.legvander(u, self.cells.order - 1).T
        x = self.cells.x(self.cells.t(u))
        return x.ravel(), (values * w[None, :]).ravel()

    def cdf(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        flat = x.ravel()
        cells = self.cells
        left = (cells.anchor + cells.sign * np.exp(cells.begin)).copy()
        index = np.clip(np.searchsorted(left, flat, side="right") - 1, 0, len(left) - 1)
        distance = (flat - cells.anchor[index]) * cells.sign[index]
        floor = np.exp(np.minimum(cells.begin, cells.end))[index]
        t = np.log(np.maximum(distance, np.maximum(floor, 1e-320)))
        begin, end = cells.begin[index], cells.end[index]
        u = np.clip((2.0 * t - begin - end) / (end - begin), -1.0, 1.0)
        # A point left of the first cell, or in a gap between the cells of two pieces.
        u = np.where(flat < left[index], -1.0, u)
        out = self.cumulative[index] + integral_to(self.coefficients[index], u)
        return np.clip(out, 0.0, 1.0).reshape(x.shape)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        p = np.asarray(p, dtype=np.float64)
        flat = p.ravel()
        index = np.searchsorted(self.cumulative, flat, side="right") - 1
        index = np.clip(index, 0, len(self.masses) - 1)
        u = invert(self.coefficients[index], flat - self.cumulative[index])
        begin, end = self.cells.begin[index], self.cells.end[index]
        t = 0.5 * (begin + end) + 0.5 * (end - begin) * u
        return (self.cells.anchor[index] + self.cells.sign[index] * np.exp(t)).reshape(p.shape)


def table_from_axis(axis: Axis) -> LineTable:
    _, w, to_legendre = gauss_legendre(axis.cells.order)
    logs = axis.log_values[:, :, 0]
    top = float(np.max(logs))
    g = np.exp(logs - top)
    total = float(np.sum(g @ w))
    coefficients = (g @ to_legendre.T) / total
    masses = (g @ w) / total
    cumulative = np.concatenate([[0.0], np.cumsum(masses)])
    return LineTable(axis.cells, coefficients, masses, cumulative, top + float(np.log(total)))


def line_table(
    fn: HostFunction, lower: float, upper: float, breaks: tuple[float, ...], setting: Setting
) -> LineTable:
    """Tabulate `exp(fn)` on an interval.

    **Raises:** [`gaugebias.laws.NotNormalisable`][] where its integral diverges.
    """

    def evaluate(x):
        return checked(setting.law, x[:, None], fn(x)[:, None])

    axis = build_axis(pieces_of(lower, upper, breaks), evaluate, "x", setting)
    return table_from_axis(axis)
