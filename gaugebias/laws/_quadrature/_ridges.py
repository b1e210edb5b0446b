"""Lines along which a density oblique to the axes is probed, and whether all of it was covered.

Cells of an axis are made along lines through the modes. Where coordinates are correlated such lines
see the conditional densities only, which are narrower than the marginal ones by a factor of
`1/sqrt(1 - rho^2)`: the cells would cut most of the mass off.
"""

from collections.abc import Callable

import numpy as np

from ._axis import Setting
from ._cells import Cells, Piece, gauss_legendre

_OBLIQUE = 1.3  # marginal over conditional width, above which more lines are needed
_FARTHEST = 14.0  # marginal widths
_APART = 2.5  # conditional widths
_CELLS = 10.0  # of an axis, for each conditional width in a marginal one, or so


def ridges(
    evaluate: Callable[[np.ndarray], np.ndarray],
    pieces: list[list[Piece]],
    modes: np.ndarray,
    setting: Setting,
    budget: int,
) -> np.ndarray:
    """Points besides the modes through which lines should go, shape `(n, m)`.

    Along each axis the regression of the others on it, in the Gaussian approximation at the mode.

    **Raises:** `ValueError` where a ridge is too narrow for a tensor rule of `budget` points.
    """
    m = modes.shape[1]
    low = np.asarray([min(_ends(p)[0] for p in axis) for axis in pieces])
    high = np.asarray([max(_ends(p)[1] for p in axis) for axis in pieces])
    heights = evaluate(modes)
    kept: list[np.ndarray] = []
    for mode in modes[np.argsort(-heights)]:
        covariance, conditional = _covariance(evaluate, pieces, mode)
        if covariance is None:
            continue
        marginal = np.sqrt(np.diagonal(covariance))
        ratios = marginal / conditional
        nodes = float(np.prod(_CELLS * np.maximum(ratios, 1.0) * setting.order))
        if np.max(ratios) >= _OBLIQUE and nodes > budget:
            raise ValueError(
                f"the {setting.law} law is a ridge oblique to the axes: the width of a coordinate "
                f"is up to {np.max(ratios):.0f} times that given the others, and a tensor rule "
                f"would need some {nodes:.0e} points, over the budget of {budget:.0e}. Take "
                "coordinates along the ridge, restrict `domain`, or draw samples instead."
            )
        for a in range(m):
            if ratios[a] < _OBLIQUE:
                continue
            count = int(np.ceil(_FARTHEST * ratios[a] / _APART))
            k = _FARTHEST * np.arange(1, count + 1) / count
            k = np.concatenate([-k, k])
            points = mode + k[:, None] * (covariance[:, a] / marginal[a])[None, :]
            points = points[np.all((points > low) & (points < high), axis=1)]
            if len(points):
                points = points[evaluate(points) > np.max(heights) - setting.depth]
            for point in points:
                near = np.asarray([*modes, *kept]) - point
                if np.min(np.max(np.abs(near) / conditional, axis=1)) > 0.5 * _APART:
                    kept.append(point)
    return np.asarray(kept).reshape(-1, m)


def _ends(piece: Piece) -> tuple[float, float]:
    other = piece.anchor + piece.sign * float(np.exp(piece.stop))
    return min(piece.anchor, other), max(piece.anchor, other)


def _covariance(evaluate, pieces, mode) -> tuple[np.ndarray | None, np.ndarray]:
    """Inverse of minus the Hessian of `log f + sum log |x - anchor|`, by differences of the size
    of the conditional widths, and these; `None` where there is no maximum."""
    m = len(mode)
    owners = [
        next((p for p in axis if _ends(p)[0] < x < _ends(p)[1]), None)
        for axis, x in zip(pieces, mode, strict=True)
    ]
    if any(p is None for p in owners):
        return None, np.zeros(m)
    anchors = np.asarray([p.anchor for p in owners if p is not None])
    room = np.asarray(
        [
            0.5 * min(x - _ends(p)[0], _ends(p)[1] - x)
            for p, x in zip(owners, mode, strict=True)
            if p
        ]
    )

    def height(x):
        with np.errstate(divide="ignore"):
            return evaluate(x) + np.log(np.abs(x - anchors)).sum(axis=1)

    top = float(height(mode[None, :])[0])
    step = np.zeros(m)
    for a in range(m):
        sizes = np.minimum(room[a], 1e30) * 2.0 ** -np.arange(0.0, 60.0)
        probe = np.repeat(mode[None, :], 2 * len(sizes), axis=0)
        probe[:, a] += np.concatenate([sizes, -sizes])
        drop = top - height(probe).reshape(2, -1).mean(axis=0)
        near = np.nonzero(drop < 0.5)[0]
        if not len(near):
            return None, step
        step[a] = sizes[near[0]]
    at = [mode]
    for a in range(m):
        for b in range(a + 1):
            for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                point = mode.copy()
                point[a] += s * step[a]
                point[b] += t * step[b] if b != a else 0.0
                at.append(point)
    values = height(np.asarray(at))
    hessian, index = np.zeros((m, m)), 1
    for a in range(m):
        for b in range(a + 1):
            pp, pm, mp, mm = values[index : index + 4]
            index += 4
            if a == b:
                hessian[a, a] = (pp + mm - 2.0 * values[0]) / step[a] ** 2
            else:
                hessian[a, b] = hessian[b, a] = (pp - pm - mp + mm) / (4.0 * step[a] * step[b])
    if not np.all(np.isfinite(hessian)):
        return None, step
    precision = -hessian
    scale = np.sqrt(np.maximum(np.diagonal(precision), 0.0))
    if np.any(scale <= 0.0):
        return None, step
    values, vectors = np.linalg.eigh(precision / (scale[:, None] * scale[None, :]))
    values = np.maximum(values, 1e-6)  # a valley that is flat, or bends up: a long ridge
    covariance = (vectors / values) @ vectors.T / (scale[:, None] * scale[None, :])
    return covariance, 1.0 / scale


def uncovered(
    values: np.ndarray,
    axes: tuple[Cells, ...],
    pieces: tuple[list[Piece], ...],
    setting: Setting,
) -> list[tuple[int, ...]]:
    """Nodes at which the cells of an axis end although the density has not: the highest of each
    such end, as an index of `values`, in the cells' local coordinates and normalised."""
    m, found = len(axes), []
    weighted = values
    for a, cells in enumerate(axes):
        w = np.tile(gauss_legendre(cells.order)[1], len(cells.begin))
        weighted = weighted * w.reshape([-1 if b == a else 1 for b in range(m)])
    for a, cells in enumerate(axes):
        order = cells.order
        w = np.tile(gauss_legendre(order)[1], len(cells.begin))
        others = tuple(b for b in range(m) if b != a)
        line = np.sum(weighted, axis=others) / w
        low, high = np.minimum(cells.begin, cells.end), np.maximum(cells.begin, cells.end)
        for i, piece in enumerate(pieces[a]):
            rows = np.nonzero(cells.piece == i)[0]
            if not len(rows):
                continue
            ends = []
            first, last = rows[np.argmin(low[rows])], rows[np.argmax(high[rows])]
            if low[first] > piece.start + 1e-9:
                ends.append(first * order + (0 if piece.sign > 0 else order - 1))
            if high[last] < min(piece.stop, setting.reach) - 1e-9 and not high[last] > piece.top:
                ends.append(last * order + (order - 1 if piece.sign > 0 else 0))
            for node in ends:
                if line[node] > 10.0 * setting.tolerance:
                    index = [slice(None)] * m
                    index[a] = node
                    part = values[tuple(index)]
                    where = [int(k) for k in np.unravel_index(int(np.argmax(part)), part.shape)]
                    where.insert(a, int(node))
                    found.append(tuple(where))
    return found
