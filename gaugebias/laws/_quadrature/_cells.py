"""Composite Gauss-Legendre cells in `t = log|x - anchor|`: spectral at endpoint singularities."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


@lru_cache(maxsize=8)
def gauss_legendre(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, weights, and the matrix from node values to Legendre coefficients."""
    u, w = np.polynomial.legendre.leggauss(order)
    vandermonde = np.polynomial.legendre.legvander(u, order - 1)
    k = np.arange(order)
    return u, w, (vandermonde * w[:, None]).T * ((2 * k + 1) / 2)[:, None]


class Piece(NamedTuple):
    """The points `anchor + sign * e^t` with `t < stop`.

    Densities are evaluated for `start <= t`; below, they are continued as a power law of the
    distance with the measured `exponent` (per unit length, so that -1 is not integrable), and
    above `top` with `tail` (where a heavy tail reaches beyond the probed range).
    """

    anchor: float
    sign: int
    stop: float
    start: float = 0.0
    exponent: float = 0.0
    top: float = np.inf
    tail: float = -np.inf


def pieces_of(lower: float, upper: float, breaks: tuple[float, ...]) -> list[Piece]:
    """Cut an interval at its breaks (and at 0), each piece anchored at one of its ends."""
    inner = set(breaks) | ({0.0} if lower < 0.0 < upper else set())
    points = [lower, *sorted(inner), upper]
    pieces = []
    for a, b in zip(points[:-1], points[1:], strict=True):
        if np.isinf(a) and np.isinf(b):
            raise AssertionError("an unbounded line has the break 0")
        if np.isinf(a):
            pieces.append(Piece(b, -1, np.inf))
        elif np.isinf(b):
            pieces.append(Piece(a, 1, np.inf))
        else:
            half = float(np.log(0.5 * (b - a)))
            pieces += [Piece(a, 1, half), Piece(b, -1, half)]
    return pieces


class Cells(NamedTuple):
    """Cells of one axis in the order of increasing `x`.

    - `piece`: index of each cell's piece.
    - `anchor`, `sign`: its map `x = anchor + sign * e^t`.
    - `begin`, `end`: `t` at its left and right end in `x` (so `begin > end` where `sign < 0`).
    """

    piece: np.ndarray
    anchor: np.ndarray
    sign: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    order: int

    def t(self, u: np.ndarray) -> np.ndarray:
        """Map local coordinates in [-1, 1], shape `(n,)`, to `t`, shape `(cells, n)`."""
        mid, half = 0.5 * (self.begin + self.end), 0.5 * (self.end - self.begin)
        return mid[:, None] + half[:, None] * u[None, :]

    def x(self, t: np.ndarray) -> np.ndarray:
        return self.anchor[:, None] + self.sign[:, None] * np.exp(t)

    def log_width(self) -> np.ndarray:
        """`log |dt/du|` of each cell."""
        return np.log(0.5 * np.abs(self.end - self.begin))

    def sorted(self) -> tuple["Cells", np.ndarray]:
        """The same cells by increasing `x`, and the permutation used.

        By piece and then by `t`, not by `x`: cells within rounding of a break share their `x`.
        """
        place = np.where(self.sign > 0, self.begin, -self.begin)
        order = np.lexsort((place, self.piece))
        return self.take(order), order

    def take(self, index: np.ndarray) -> "Cells":
        return Cells(
            self.piece[index],
            self.anchor[index],
            self.sign[index],
            self.begin[index],
            self.end[index],
            self.order,
        )

    def halves(self) -> "Cells":
        mid = 0.5 * (self.begin + self.end)
        return Cells(
            np.concatenate([self.piece, self.piece]),
            np.concatenate([self.anchor, self.anchor]),
            np.concatenate([self.sign, self.sign]),
            np.concatenate([self.begin, mid]),
            np.concatenate([mid, self.end]),
            self.order,
        )


def make_cells(pieces: list[Piece], edges: list[np.ndarray], order: int) -> Cells:
    """Cells between consecutive `edges` (increasing values of `t`) of each piece."""
    index, begin, end = [], [], []
    for i, (piece, ts) in enumerate(zip(pieces, edges, strict=True)):
        index += [i] * (len(ts) - 1)
        lo, hi = ts[:-1], ts[1:]
        begin.append(lo if piece.sign > 0 else hi)
        end.append(hi if piece.sign > 0 else lo)
    where = np.asarray(index)
    return Cells(
        where,
        np.asarray([pieces[i].anchor for i in index]),
        np.asarray([float(pieces[i].sign) for i in index]),
        np.concatenate(begin),
        np.concatenate(end),
        order,
    )


def join(a: Cells, b: Cells) -> Cells:
    return Cells(
        np.concatenate([a.piece, b.piece]),
        np.concatenate([a.anchor, b.anchor]),
        np.concatenate([a.sign, b.sign]),
        np.concatenate([a.begin, b.begin]),
        np.concatenate([a.end, b.end]),
        a.order,
    )


def integral_to(coefficients: np.ndarray, u: np.ndarray) -> np.ndarray:
    """`int_{-1}^u sum_k c_k P_k` for rows of coefficients `(N, n)`, at `u` of shape `(N,)`."""
    order = coefficients.shape[-1]
    previous, current = np.ones_like(u), u
    total = coefficients[:, 0] * (u + 1.0)
    for k in range(1, order):
        following = ((2 * k + 1) * u * current - k * previous) / (k + 1)
        total = total + coefficients[:, k] * (following - previous) / (2 * k + 1)
        previous, current = current, following
    return total


def value_at(coefficients: np.ndarray, u: np.ndarray) -> np.ndarray:
    """`sum_k c_k P_k(u)`, row by row."""
    order = coefficients.shape[-1]
    previous, current = np.ones_like(u), u
    total = coefficients[:, 0] * 1.0
    for k in range(1, order):
        total = total + coefficients[:, k] * current
        previous, current = current, ((2 * k + 1) * u * current - k * previous) / (k + 1)
    return total


def invert(coefficients: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Solve `integral_to(c, u) = target` for `u` in [-1, 1]: Newton, kept inside a bracket."""
    low, high = -np.ones_like(target), np.ones_like(target)
    u = np.zeros_like(target)
    for _ in range(60):
        off = integral_to(coefficients, u) - target
        low, high = np.where(off < 0, u, low), np.where(off < 0, high, u)
        slope = value_at(coefficients, u)
        step = off / np.where(slope > 0, slope, 1.0)
        guess = u - step
        inside = (slope > 0) & (guess > low) & (guess < high)
        following = np.where(inside, guess, 0.5 * (low + high))
        done = np.abs(following - u) < 4e-16 * 8
        u = following
        if np.all(done):
            break
    return u
