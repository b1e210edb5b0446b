"""The symmetries of a triangular factor: translations, what acts trivially, and the rest."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ._candidates import Family, fields, rows, total, units
from ._null_space import Spectrum, Triangle, complement, null_space, span

_CUT = 1e-7


class Solution(NamedTuple):
    """Null space of the derivative, cut in three.

    All coefficient rows are in scaled coordinates (times `scale`) and orthonormal.

    - `factor`: the triangular factor divided by `scale`; `top` its largest singular value.
    - `translations`: directions of parameter space, shape (t, D), orthonormal.
    - `shifts`: coefficients of these translations, shape (t, c).
    - `trivial`: coefficients of fields that vanish, or that lie in the translations, at every
      parameter: these move nothing else.
    - `linear`: what remains of the null space, shape (k, c).
    - `spectra`: of the translations and of the rest.
    - `cut`: how large a relative change of the predictor may be to pass for none.
    """

    factor: np.ndarray
    top: float
    scale: np.ndarray
    translations: np.ndarray
    shifts: np.ndarray
    trivial: np.ndarray
    linear: np.ndarray
    spectra: tuple[Spectrum, Spectrum]
    cut: float

    @property
    def dimension(self) -> int:
        return self.translations.shape[0] + self.linear.shape[0]

    @property
    def kept(self) -> float:
        return min(spectrum.kept for spectrum in self.spectra)

    @property
    def dropped(self) -> float:
        return max(spectrum.dropped for spectrum in self.spectra)

    def basis(self) -> np.ndarray:
        """Coefficients of all generators, translations first, shape (t + k, c), unscaled."""
        return np.concatenate([self.shifts, self.linear]) / self.scale

    def holds(self, coeffs: np.ndarray) -> np.ndarray:
        """Which rows of unscaled `coeffs` are symmetries, booleans of shape (n,)."""
        scaled = coeffs * self.scale
        size = np.linalg.norm(scaled, axis=1)
        return np.linalg.norm(scaled @ self.factor.T, axis=1) <= self.cut * self.top * size

    def restricted(self, columns: np.ndarray) -> np.ndarray:
        """Combinations of unscaled candidate rows `columns` (p, c) that are symmetries, (n, p)."""
        scaled = columns * self.scale
        size = np.linalg.norm(scaled, axis=1)
        images = (scaled / size[:, None]) @ self.factor.T
        return null_space(images.T, self.cut, self.top).null / size


def flat(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Leaves of shape (n, *leaf) as one array (n, D)."""
    return np.concatenate([x.reshape(x.shape[0], -1) for x in blocks], axis=1)


def split(array: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """The inverse of `flat`."""
    out, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        out.append(array[:, start : start + size].reshape(-1, *shape))
        start += size
    return out


def outside(translations: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`v`, shape (n, D), without its part in the translations."""
    return v - (v @ translations.T) @ translations


def trivial_rows(
    found: Sequence[Family],
    values: list[np.ndarray],
    sizes: Sequence[float],
    translations: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Random functionals of every candidate's field, translations projected out, and bounds."""
    shapes = [x.shape[1:] for x in values]
    drawn = [
        rng.standard_normal((values[0].shape[0], *shape)) / size
        for shape, size in zip(shapes, sizes, strict=True)
    ]
    cotangents = split(outside(translations, flat(drawn)), shapes)
    bounds = rows(found, [np.abs(x) for x in values], [np.abs(x) for x in cotangents])
    return rows(found, values, cotangents), bounds


def effective(
    found: Sequence[Family],
    blocks: Sequence[list[np.ndarray]],
    sizes: Sequence[float],
    seed: int,
) -> int:
    """The number of candidates that differ: all less those that act trivially."""
    return total(found) - _trivial(found, blocks, sizes, None, 1e-9, seed).shape[0]


def _trivial(
    found: Sequence[Family],
    blocks: Sequence[list[np.ndarray]],
    sizes: Sequence[float],
    translations: np.ndarray | None,
    cut: float,
    seed: int,
) -> np.ndarray:
    """Unscaled coefficients of the fields that vanish modulo the translations."""
    rng = np.random.default_rng(seed)
    dimension = sum(int(np.prod(x.shape[1:])) for x in blocks[0])
    none = np.zeros((0, dimension)) if translations is None else translations
    triangle = Triangle(units(found, sizes))
    while triangle.count < 1.1 * total(found) + 16:
        for values in blocks:
            triangle.add(*trivial_rows(found, values, sizes, none, rng))
    scale = triangle.scale
    return null_space(triangle.r / scale, cut).null / scale


def solve(
    found: Sequence[Family],
    triangle: Triangle,
    blocks: Sequence[list[np.ndarray]],
    sizes: Sequence[float],
    cut: float,
    seed: int,
) -> Solution:
    """Find all symmetries among the candidates.

    `blocks` are sampled parameters, which say what acts trivially; `sizes` are those of the leaves.
    """
    columns = total(found)
    scale = triangle.scale
    factor = triangle.r / scale
    top = float(np.linalg.norm(factor, 2)) if factor.size else 1.0
    shift = np.concatenate(
        [np.arange(f.columns.start, f.columns.stop) for f in found if f.kind == "shift"]
    )
    first = null_space(factor[:, shift], cut, top)
    raw = np.zeros((first.null.shape[0], columns))
    raw[:, shift] = first.null
    point = [x[0, ...] for x in blocks[0]]
    moves = flat(fields(found, point, raw / scale)) if len(raw) else np.zeros((0, 0))
    if len(raw):
        # Overlapping families (a constant along either axis) give one translation twice.
        u, s, vt = np.linalg.svd(moves, full_matrices=False)
        keep = s > 1e-9 * np.linalg.norm(raw / scale, axis=1).max()
        translations, shifts = vt[keep], u[:, keep].T @ raw
    else:
        translations = np.zeros((0, sum(x.size for x in point)))
        shifts = raw
    # Translations are known as well as the cut lets them be.
    trivial = span(_trivial(found, blocks, sizes, translations, max(cut, 1e-9), seed) * scale)
    rest = complement(trivial, columns)
    second = null_space(factor @ rest.T, cut, top)
    linear = second.null @ rest
    spectra = first, second
    cut = max(cut, _CUT)
    return Solution(factor, top, scale, translations, shifts, trivial, linear, spectra, cut)
