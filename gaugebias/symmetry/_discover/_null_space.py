"""Null spaces by singular values of a triangular factor that is updated block by block.

The triangular factor R of all rows stacked has the singular values of the rows themselves, in the
memory of a candidates x candidates matrix. Accumulating the Gram matrix takes the same memory but
squares the singular values: what is below the root of the machine epsilon is lost, and a symmetry
broken by 1e-8 would pass for one.
"""

from typing import NamedTuple

import numpy as np


class Triangle:
    """R of the rows seen so far, with the size that each column would have without cancellation.

    `units`, shape (c,), makes columns comparable: a shift is measured by the size of its leaf.
    """

    def __init__(self, units: np.ndarray):
        self.units = units
        self.r: np.ndarray = np.zeros((0, len(units)))
        self.squares = np.zeros(len(units))
        self.count = 0

    def add(self, rows: np.ndarray, bounds: np.ndarray) -> None:
        """Append `rows`, shape (n, c). `bounds` are their entries with every sign made positive."""
        bounds = bounds * self.units
        size = np.linalg.norm(bounds, axis=1)
        inverse = np.where(size > 0, 1.0 / np.where(size > 0, size, 1.0), 0.0)[:, None]
        self.squares += ((bounds * inverse) ** 2).sum(axis=0)
        stacked = np.concatenate([self.r, rows * inverse])
        self.r = np.asarray(np.linalg.qr(stacked, mode="r"))
        self.count += rows.shape[0]

    def copy(self) -> "Triangle":
        """To go on from, without changing this one."""
        other = Triangle(self.units)
        other.r, other.squares, other.count = self.r, self.squares.copy(), self.count
        return other

    @property
    def scale(self) -> np.ndarray:
        """What to divide the columns of R by: one size for all of them, in their units.

        A size for each column would blow the rounding of a column that vanishes up to order one.
        """
        size = float(np.sqrt(self.squares.max(initial=0.0)))
        return (size if size > 0 else 1.0) / self.units


class Spectrum(NamedTuple):
    """Singular values relative to the largest, descending, and what they decide.

    - `null`: an orthonormal basis of the null space, shape (k, c).
    - `kept`: the smallest value above the cut, infinity where there is none.
    - `dropped`: the largest value below the cut, zero where there is none.
    """

    values: np.ndarray
    null: np.ndarray
    kept: float
    dropped: float


def null_space(matrix: np.ndarray, cut: float, scale: float | None = None) -> Spectrum:
    """The right singular vectors of `matrix` with singular values up to `cut` times the largest."""
    columns = matrix.shape[1]
    if columns == 0:
        return Spectrum(np.zeros(0), np.zeros((0, 0)), np.inf, 0.0)
    if matrix.shape[0] < columns:
        matrix = np.concatenate([matrix, np.zeros((columns - matrix.shape[0], columns))])
    _, s, vt = np.linalg.svd(matrix, full_matrices=False)
    top = s[0] if scale is None else scale
    values = s / top if top > 0 else np.zeros_like(s)
    null = values <= cut
    kept = values[~null]
    dropped = values[null]
    return Spectrum(
        values,
        vt[null],
        float(kept.min()) if kept.size else np.inf,
        float(dropped.max()) if dropped.size else 0.0,
    )


def complement(rows: np.ndarray, columns: int) -> np.ndarray:
    """An orthonormal basis of what is orthogonal to k orthonormal `rows`."""
    if rows.shape[0] == 0:
        return np.eye(columns)
    q, _ = np.linalg.qr(rows.T, mode="complete")
    return q[:, rows.shape[0] :].T


def span(rows: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """An orthonormal basis of the span of `rows`."""
    if rows.shape[0] == 0:
        return rows
    _, s, vt = np.linalg.svd(rows, full_matrices=False)
    return vt[s > tolerance * max(s[0], np.finfo(float).tiny)]
