"""The indefinite integral of a function of one coordinate, as a table that can be traced."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._cells import Cells, gauss_legendre, join, make_cells, pieces_of
from ._evaluate import HostFunction

_ORDER = 16
_TOLERANCE = 1e-13
_NARROW = 0.02  # of a cell in `t`, below which rounding decides
_MOST = 4000
_SPREAD = 4000.0  # more than the range of `t` on any piece


class _Pieces(NamedTuple):
    """Per piece: its map, the cells it holds (first and last), and where it ends in `t`."""

    anchor: np.ndarray
    sign: np.ndarray
    stop: np.ndarray
    first: np.ndarray
    last: np.ndarray


class LineIntegral(eqx.Module):
    """`F(x) = int^x f`, its least value 0, by Legendre series on cells of `t = log|x - anchor|`.

    Singular ends (`f ~ 1/x`, `x^(-4/3)`) cost nothing. Values are summed outwards from the least,
    so that a large `F` far away takes no digits from where it is small. Below the first cell of a
    piece, and above the last, `F` is continued linearly in `t`.
    """

    pieces: _Pieces
    keys: np.ndarray
    centre: np.ndarray
    half: np.ndarray
    base: np.ndarray
    coefficients: np.ndarray

    def __call__(self, x: Array) -> Array:
        """`F` at one point, a scalar array of any shape of size one."""
        x = jnp.reshape(x, ())
        dtype = x.dtype
        anchor, sign = (jnp.asarray(v, dtype) for v in (self.pieces.anchor, self.pieces.sign))
        distance = sign * (x - anchor)
        stop = jnp.asarray(self.pieces.stop)
        tiny = jnp.finfo(dtype).tiny
        t = jnp.log(jnp.where(distance > tiny, distance, tiny))
        off = jnp.where(distance >= 0, jnp.maximum(t - stop.astype(dtype), 0.0), jnp.inf)
        chosen = jnp.argmin(off)
        t, up = t[chosen], sign[chosen]
        key = _SPREAD * chosen.astype(dtype) + up * t
        cell = jnp.searchsorted(jnp.asarray(self.keys, dtype), key, side="right") - 1
        first, last = (jnp.asarray(v)[chosen] for v in (self.pieces.first, self.pieces.last))
        cell = jnp.clip(cell, first, last)
        half = jnp.asarray(self.half, dtype)[cell]
        u = (t - jnp.asarray(self.centre, dtype)[cell]) / half
        inside = jnp.clip(u, -1.0, 1.0)
        series = jnp.asarray(self.coefficients, dtype)[cell]
        value, slope = _series(series, inside)
        return jnp.asarray(self.base, dtype)[cell] + value + (u - inside) * slope


def _series(coefficients: Array, u: Array) -> tuple[Array, Array]:
    """`int_{-1}^u sum_k c_k P_k`, and the sum itself."""
    before, now = jnp.ones_like(u), u
    total, value = coefficients[0] * (u + 1.0), coefficients[0]
    for k in range(1, _ORDER):
        after = ((2 * k + 1) * u * now - k * before) / (k + 1)
        total = total + coefficients[k] * (after - before) / (2 * k + 1)
        value = value + coefficients[k] * now
        before, now = now, after
    return total, value


def line_integral(
    fn: HostFunction,
    lower: float,
    upper: float,
    breaks: tuple[float, ...],
    *,
    resolution: float,
    reach: float,
) -> LineIntegral:
    """Tabulate the indefinite integral of `fn` on an interval.

    `resolution` is the least distance to a break at which `fn` is evaluated, `reach` the log of
    the largest. Values that are not finite (overflow far out) count as 0.
    """
    pieces = pieces_of(lower, upper, breaks)
    edges = []
    for piece in pieces:
        stop = min(piece.stop, reach)
        start = min(np.log(max(resolution, 1e-10 * abs(piece.anchor))), stop - 12.0)
        edges.append(np.linspace(start, stop, int(np.ceil((stop - start) / 2.0)) + 1))
    cells = make_cells(pieces, edges, _ORDER)
    cells, density = _refined(cells, fn)
    _, weights, to_legendre = gauss_legendre(_ORDER)
    base = _from_the_least(density @ weights)
    place = np.where(cells.sign > 0, cells.begin, -cells.begin)
    index = np.arange(len(pieces))
    return LineIntegral(
        pieces=_Pieces(
            np.asarray([p.anchor for p in pieces]),
            np.asarray([float(p.sign) for p in pieces]),
            np.asarray([p.stop for p in pieces]),
            np.searchsorted(cells.piece, index, side="left"),
            np.searchsorted(cells.piece, index, side="right") - 1,
        ),
        keys=_SPREAD * cells.piece + place,
        centre=0.5 * (cells.begin + cells.end),
        half=0.5 * (cells.end - cells.begin),
        base=base,
        coefficients=density @ to_legendre.T,
    )


def _refined(cells: Cells, fn: HostFunction) -> tuple[Cells, np.ndarray]:
    """Cells on which `fn dx/du` is resolved, in the order of `x`, and its values at the nodes."""
    u, w, to_legendre = gauss_legendre(_ORDER)

    def measure(new: Cells) -> np.ndarray:
        t = new.t(u)
        with np.errstate(over="ignore", invalid="ignore"):
            values = fn(new.x(t).reshape(-1, 1)).reshape(t.shape)
            values = values * np.exp(t + new.log_width()[:, None])
        return np.where(np.isfinite(values), values, 0.0)

    done, kept = cells.take(np.zeros(0, int)), np.zeros((0, _ORDER))
    new, values = cells, measure(cells)
    while True:
        tail = 2.0 * np.sum(np.abs(values @ to_legendre.T)[:, -2:], axis=1)
        coarse = tail > _TOLERANCE * (np.abs(values) @ w)
        coarse &= np.abs(new.end - new.begin) > _NARROW
        if len(done.begin) + len(new.begin) > _MOST:
            coarse[:] = False
        done, kept = join(done, new.take(~coarse)), np.concatenate([kept, values[~coarse]])
        if not np.any(coarse):
            break
        new = new.take(coarse).halves()
        values = measure(new)
    ordered, permutation = done.sorted()
    return ordered, kept[permutation]


def _from_the_least(parts: np.ndarray) -> np.ndarray:
    """The integral up to the left end of every cell, least value 0, summed outwards from there."""
    turns = np.nonzero((parts[:-1] < 0) & (parts[1:] >= 0))[0] + 1
    count = len(parts)
    candidates = turns if len(turns) else np.asarray([0, count // 2, count])
    # From a candidate in the middle of them to whatever lies lower still.
    at = int(candidates[len(candidates) // 2])
    for _ in range(4):
        right = np.concatenate([[0.0], np.cumsum(parts[at:])])
        left = -np.cumsum(parts[:at][::-1])[::-1]
        edges = np.concatenate([left, right])
        lowest = int(np.argmin(edges))
        if lowest == at:
            break
        at = lowest
    return (edges - edges[at])[:-1]
