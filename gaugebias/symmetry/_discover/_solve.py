"""The symmetries of a triangular factor: translations, what acts trivially, and the rest."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ._candidates import Family, fields, rows, total, units
from ._null_space import Spectrum, Triangle, complement, null_space, span

_CUT = 1e-7


class Frame(NamedTuple):
    """What counts as a motion of its own.

    - `seen`: one for each entry of the parameters that counts, else zero, shape (D,).
    - `translations`: directions of parameter space, shape (t, D), orthonormal.
    """

    seen: np.ndarray
    translations: np.ndarray

    def outside(self, v: np.ndarray) -> np.ndarray:
        """`v`, shape (n, D), without what is not seen and without its part in the translations."""
        v = v * self.seen[None]
        return v - (v @ self.translations.T) @ self.translations


class Solution(NamedTuple):
    """Null space of the derivative, cut in three.

    All coefficient rows are in scaled coordinates (times `scale`) and orthonormal.

    - `factor`: the triangular factor divided by `scale`; `top` its largest singular value.
    - `frame`: the translations, and what is seen at all.
    - `shifts`: coefficients of the translations, shape (t, c).
    - `trivial`: coefficients of fields that move nothing else, at any parameter.
    - `linear`: what remains of the null space, shape (k, c).
    - `spectra`: of the translations and of the rest.
    - `cut`: how large a relative change of the predictor may be to pass for none.
    """

    factor: np.ndarray
    top: float
    scale: np.ndarray
    frame: Frame
    shifts: np.ndarray
    trivial: np.ndarray
    linear: np.ndarray
    spectra: tuple[Spectrum, Spectrum]
    cut: float

    @property
    def dimension(self) -> int:
        return self.frame.translations.shape[0] + self.linear.shape[0]

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


def trivial_rows(
    found: Sequence[Family],
    values: list[np.ndarray],
    sizes: Sequence[float],
    frame: Frame,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Random functionals of every candidate's field outside of `frame`, and bounds."""
    shapes = [x.shape[1:] for x in values]
    drawn = [
        rng.standard_normal((values[0].shape[0], *shape)) / size
        for shape, size in zip(shapes, sizes, strict=True)
    ]
    cotangents = split(frame.outside(flat(drawn)), shapes)
    bounds = rows(found, [np.abs(x) for x in values], [np.abs(x) for x in cotangents])
    return rows(found, values, cotangents), bounds


def effective(
    found: Sequence[Family],
    blocks: Sequence[list[np.ndarray]],
    sizes: Sequence[float],
    seed: int,
) -> int:
    """The number of candidates that differ: all less those that act trivially."""
    dimension = sum(int(np.prod(x.shape[1:])) for x in blocks[0])
    frame = Frame(np.ones(dimension), np.zeros((0, dimension)))
    return total(found) - _trivial(found, blocks, sizes, frame, 1e-9, seed).shape[0]


def _trivial(
    found: Sequence[Family],
    blocks: Sequence[list[np.ndarray]],
    sizes: Sequence[float],
    frame: Frame,
    cut: float,
    seed: int,
) -> np.ndarray:
    """Unscaled coefficients of the fields that vanish modulo `frame`."""
    rng = np.random.default_rng(seed)
    triangle = Triangle(units(found, sizes))
    while triangle.count < 1.1 * total(found) + 16:
        for values in blocks:
            triangle.add(*trivial_rows(found, values, sizes, frame, rng))
    scale = triangle.scale
    return null_space(triangle.r / scale, cut).null / scale


def solve(
    found: Sequence[Family],
    triangle: Triangle,
    blocks: Sequence[list[np.ndarray]],
    sizes: Sequence[float],
    seen: np.ndarray,
    cut: float,
    seed: int,
) -> Solution:
    """Find all symmetries among the candidates.

    `blocks` are sampled parameters, which say what acts trivially; `sizes` are those of the leaves
    and `seen` the entries that count, shape (D,).
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
    if len(raw):
        point = [x[0, ...] for x in blocks[0]]
        moves = flat(fields(found, point, raw / scale)) * seen[None]
        # Overlapping families (a constant along either axis) give one translation twice.
        u, s, vt = np.linalg.svd(moves, full_matrices=False)
        keep = s > 1e-9 * np.linalg.norm(raw / scale, axis=1).max()
        translations, shifts = vt[keep], u[:, keep].T @ raw
    else:
        translations = np.zeros((0, seen.size))
        shifts = raw
    # Translations are known as well as the cut lets them be.
    frame = Frame(seen, translations)
    trivial = span(_trivial(found, blocks, sizes, frame, max(cut, 1e-9), seed) * scale)
    rest = complement(trivial, columns)
    second = null_space(factor @ rest.T, cut, top)
    linear = second.null @ rest
    spectra = first, second
    cut = max(cut, _CUT)
    return Solution(factor, top, scale, frame, shifts, trivial, linear, spectra, cut)
