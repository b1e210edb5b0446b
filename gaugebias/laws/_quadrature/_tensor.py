"""Tables of densities in two and three dimensions: tensor products of the cells of each axis."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ._axis import Setting, build_axis, checked, continue_cells, refuse
from ._cells import Cells, Piece, gauss_legendre, invert, join, pieces_of
from ._coordinates import Coordinates
from ._evaluate import HostFunction
from ._ridges import ridges, uncovered
from ._valleys import check_valleys

_BUDGET = 6_000_000
_KEPT = 25.0
_EXTENSIONS = 6  # of the lines that cells are made along, where the density goes on beyond them


class TensorTable(NamedTuple):
    """A density on a product of axes.

    `values` are densities in the cells' local coordinates at the nodes, normalised, shape
    `(N_1, .., N_m)` with `N_a = cells_a * order`.
    """

    coordinates: Coordinates
    axes: tuple[Cells, ...]
    pieces: tuple[list[Piece], ...]
    values: np.ndarray
    log_normaliser: float

    def weights(self) -> np.ndarray:
        """Probabilities of the nodes, of the shape of `values`."""
        out = self.values
        for a, cells in enumerate(self.axes):
            _, w, _ = gauss_legendre(cells.order)
            w = np.tile(w, len(cells.begin))
            out = out * w.reshape([-1 if b == a else 1 for b in range(len(self.axes))])
        return out

    def axis_points(self, a: int, u: np.ndarray) -> np.ndarray:
        """Coordinates `y_a` at local coordinates `u` of every cell, shape `(cells * len(u),)`."""
        cells = self.axes[a]
        return cells.x(cells.t(u)).ravel()

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Quadrature points `(N, m)` in `x`, and probabilities `(N,)`."""
        grids = [self.axis_points(a, gauss_legendre(c.order)[0]) for a, c in enumerate(self.axes)]
        y = np.stack([g.ravel() for g in np.meshgrid(*grids, indexing="ij")], axis=-1)
        return self.coordinates.x(y), self.weights().ravel()

    def sample(self, uniforms: np.ndarray) -> np.ndarray:
        """`(n, m)` uniforms to `(n, m)` draws: the last axis, then each given those after it."""
        n, m = uniforms.shape
        out = np.empty((n, m))
        block = max(1, 20_000_000 // (max(self.values.shape) * 64))
        for begin in range(0, n, block):
            part = slice(begin, min(begin + block, n))
            out[part] = self._draw(uniforms[part])
        return self.coordinates.x(out)

    def _draw(self, p: np.ndarray) -> np.ndarray:
        n, m = p.shape
        out = np.empty((n, m))
        reduced = [self.values]
        for a in range(m - 1):
            _, w, _ = gauss_legendre(self.axes[a].order)
            reduced.append(np.tensordot(np.tile(w, len(self.axes[a].begin)), reduced[-1], (0, 0)))
        chosen: list[tuple[np.ndarray, np.ndarray]] = []
        for a in range(m - 1, -1, -1):
            # reduced[a] has the axes a, a+1, ..., m-1: interpolate the later ones, drawn already.
            line = _interpolate(reduced[a], self.axes[a + 1 :], chosen)
            cells = self.axes[a]
            u, w, to_legendre = gauss_legendre(cells.order)
            line = np.maximum(np.broadcast_to(line, (n, line.shape[-1])), 0.0)
            g = line.reshape(n, len(cells.begin), cells.order)
            mass = np.cumsum(g @ w, axis=1)
            target = p[:, a] * mass[:, -1]
            index = np.minimum(np.sum(mass <= target[:, None], axis=1), mass.shape[1] - 1)
            rows = np.arange(n)
            before = np.where(index > 0, mass[rows, np.maximum(index - 1, 0)], 0.0)
            local = invert(g[rows, index] @ to_legendre.T, target - before)
            begin, end = cells.begin[index], cells.end[index]
            t = 0.5 * (begin + end) + 0.5 * (end - begin) * local
            out[:, a] = cells.anchor[index] + cells.sign[index] * np.exp(t)
            chosen.insert(0, (index, local))
        return out


def _interpolate(values: np.ndarray, axes: tuple[Cells, ...], chosen) -> np.ndarray:
    """`values[.., later axes]` at one point of the later axes for each draw: `(n, N)`."""
    if not axes:
        return values[None, :]
    n = len(chosen[0][0])
    order = axes[0].order
    weights, index = [], []
    for cell, local in chosen:
        _, _, to_legendre = gauss_legendre(order)
        weights.append(np.polynomial.legendre.legvander(local, order - 1) @ to_legendre)
        index.append(cell[:, None] * order + np.arange(order)[None, :])
    if len(axes) == 1:
        gathered = values[:, index[0]]
        return np.einsum("anj,nj->na", gathered, weights[0])
    out = np.zeros((n, values.shape[0]))
    for j in range(order):
        gathered = values[:, index[0][:, j][:, None], index[1]]
        out += weights[0][:, j][:, None] * np.einsum("ank,nk->na", gathered, weights[1])
    return out


def _find_modes(
    evaluate: Callable, pieces: list[list[Piece]], setting: Setting
) -> tuple[np.ndarray, np.ndarray]:
    """Highest points of `log f + sum t` found in each combination of pieces."""
    rng = np.random.default_rng(0)
    m = len(pieces)
    found, heights = [], []
    for combination in itertools.product(*pieces):
        anchor = np.asarray([p.anchor for p in combination])
        sign = np.asarray([float(p.sign) for p in combination])
        stop = np.asarray([min(p.stop, 30.0) for p in combination])
        top = np.minimum(stop, 6.0)
        t = top - (top + 8.0) * rng.random((2048, m))
        values = evaluate(anchor + sign * np.exp(t)) + t.sum(axis=1)
        best = t[np.argmax(values)]
        step = 2.0
        for sweep in range(12):
            for a in range(m):
                reach = np.linspace(-step, step, 41) if sweep else np.linspace(-25.0, 25.0, 401)
                line = np.repeat(best[None, :], len(reach), axis=0)
                line[:, a] = np.minimum(line[:, a] + reach, stop[a])
                values = evaluate(anchor + sign * np.exp(line)) + line.sum(axis=1)
                best = line[np.argmax(values)]
            step = max(0.5 * step, 1e-3)
        found.append(anchor + sign * np.exp(best))
        heights.append(np.max(values))
    heights = np.asarray(heights)
    keep = heights > np.max(heights) - _KEPT
    return np.asarray(found)[keep], heights[keep]


def _check_corners(
    evaluate: Callable,
    pieces: list[list[Piece]],
    modes: np.ndarray,
    labels: list[str],
    setting: Setting,
) -> None:
    """Refuse densities that cannot be integrated where several coordinates approach breaks."""
    m = len(pieces)
    for size in range(2, m + 1):
        for axes in itertools.combinations(range(m), size):
            for combination in itertools.product(*(pieces[a] for a in axes)):
                for mode in modes:
                    start = max(setting.resolution, 1e-10 * max(abs(p.anchor) for p in combination))
                    ts = np.log(start) + np.asarray([0.0, 1.0])
                    points = np.repeat(mode[None, :], 2, axis=0)
                    for a, piece in zip(axes, combination, strict=True):
                        points[:, a] = piece.anchor + piece.sign * (1.0 + 0.37 * a) * np.exp(ts)
                    values = evaluate(points)
                    slope = float(values[1] - values[0])
                    if np.isfinite(slope) and slope <= -size + 2e-3:
                        where = ", ".join(
                            f"{labels[a]} = {p.anchor:g}"
                            for a, p in zip(axes, combination, strict=True)
                        )
                        refuse(
                            setting.law,
                            f"the corner {where} (exponent divided by {size})",
                            slope / size,
                            False,
                        )


def tensor_table(fn: HostFunction, coordinates: Coordinates, setting: Setting) -> TensorTable:
    """Tabulate `exp(fn)` (a density in the coordinates `y`) on a box of 2 or 3 dimensions.

    **Raises:** [`gaugebias.laws.NotNormalisable`][] where its integral diverges.
    """
    m = len(coordinates.lower)
    pieces = [
        pieces_of(*bounds)
        for bounds in zip(coordinates.lower, coordinates.upper, coordinates.breaks, strict=True)
    ]
    labels = {
        "box": [f"x_{a + 1}" for a in range(m)],
        "ratio": ["x_1"] + [f"x_{a + 1}/x_{a}" for a in range(1, m)],
        "gap": ["x_1"] + [f"x_{a} - x_{a + 1}" for a in range(1, m)],
    }[coordinates.kind]

    def evaluate(y):
        return checked(setting.law, y, fn(y))

    modes, _ = _find_modes(evaluate, pieces, setting)
    check_valleys(setting.law, fn, coordinates, float(np.max(evaluate(modes))))
    through = np.concatenate([modes, ridges(evaluate, pieces, modes, setting, _BUDGET)])
    for attempt in range(_EXTENSIONS + 1):
        axes, final, chosen = _axes(evaluate, pieces, through, len(modes), labels, setting)
        if attempt == 0:
            _check_corners(evaluate, pieces, modes, labels, chosen)
        table = _fill(evaluate, coordinates, axes, final, chosen, len(through) > len(modes))
        ends = uncovered(table.values, table.axes, table.pieces, chosen)
        if not ends:
            return table
        grids = [table.axis_points(a, gauss_legendre(c.order)[0]) for a, c in enumerate(table.axes)]
        more = np.asarray([[grids[a][k] for a, k in enumerate(end)] for end in ends])
        through = np.concatenate([through, more])
    raise ValueError(
        f"the {setting.law} law is a ridge oblique to the axes, longer than a tensor rule follows: "
        "restrict `domain`, take coordinates along the ridge, or draw samples instead."
    )


def _axes(evaluate, pieces, through, first, labels, setting: Setting):
    """Cells of every axis along the lines `through` points, within the budget of nodes."""
    m = len(pieces)
    for _ in range(4):
        axes, final = [], []
        for a in range(m):

            def lines(x, a=a):
                points = np.repeat(through[:, None, :], len(x), axis=1)
                points[:, :, a] = x[None, :]
                return evaluate(points.reshape(-1, m)).reshape(len(through), len(x)).T

            axis = build_axis(pieces[a], lines, labels[a], setting, first)
            axes.append(axis.cells)
            final.append(axis.pieces)
        count = math.prod(len(c.begin) * setting.order for c in axes)
        if count <= _BUDGET:
            return axes, final, setting
        setting = setting._replace(tolerance=30.0 * setting.tolerance)
    raise ValueError(
        f"the {setting.law} law needs {count:.1e} quadrature points, over the budget of "
        f"{_BUDGET:.0e}: it is too concentrated for a tensor rule. Restrict `domain`, or draw "
        "samples instead."
    )


def _fill(
    evaluate, coordinates, axes, pieces, setting: Setting, oblique: bool = False
) -> TensorTable:
    """Values at the nodes; cells are halved until marginal densities are resolved, and where the
    density is `oblique` to the axes until the conditional ones are."""
    m = len(axes)
    u, w, to_legendre = gauss_legendre(setting.order)
    for _ in range(6):
        points, added = [], []
        for a, cells in enumerate(axes):
            t = cells.t(u)
            inside, extra = continue_cells(cells, pieces[a], t)
            points.append(cells.x(inside).ravel())
            added.append((extra + t + cells.log_width()[:, None]).ravel())
        shape = tuple(len(p) for p in points)
        y = np.stack([g.ravel() for g in np.meshgrid(*points, indexing="ij")], axis=-1)
        logs = evaluate(y).reshape(shape)
        for a in range(m):
            logs = logs + added[a].reshape([-1 if b == a else 1 for b in range(m)])
        top = float(np.max(logs))
        g = np.exp(logs - top)
        table = TensorTable(coordinates, tuple(axes), tuple(pieces), g, 0.0)
        weights = table.weights()
        total = float(np.sum(weights))
        table = table._replace(values=g / total, log_normaliser=top + float(np.log(total)))
        coarse = []
        for a in range(m):
            others = tuple(b for b in range(m) if b != a)
            if oblique:
                lines = np.moveaxis(weights, a, -1).reshape(-1, len(axes[a].begin), setting.order)
                ends = (lines / (w * total)) @ to_legendre[-2:].T
                tail = 2.0 * np.sum(np.abs(ends), axis=(0, 2))
            else:
                line = np.sum(weights, axis=others).reshape(-1, setting.order)
                line = line / (w[None, :] * total)
                tail = 2.0 * np.sum(np.abs(line @ to_legendre.T)[:, -2:], axis=1)
            coarse.append(tail > 10.0 * setting.tolerance)
        grown = math.prod(
            (len(cells.begin) + int(flags.sum())) * setting.order
            for cells, flags in zip(axes, coarse, strict=True)
        )
        if not any(np.any(c) for c in coarse) or grown > _BUDGET:
            return table
        split = []
        for cells, flags in zip(axes, coarse, strict=True):
            joined = join(cells.take(~flags), cells.take(flags).halves())
            split.append(joined.sorted()[0])
        axes = split
    return table
