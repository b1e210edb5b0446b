"""Candidate fields of symmetry discovery: what may act on each leaf, and their rows on the host.

A candidate is an affine vector field on one leaf: an elementary matrix along an axis (as in
`_matrices.along`), one for each index of another axis (`batch`, as attention heads need), an entry
of a diagonal matrix, or a shift. Everything here is numpy in the precision of the samples: a row
costs one gradient and a few contractions, whatever the number of candidates.
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

_LETTERS = "abcdefghijkl"


class Family(NamedTuple):
    """All candidates of one kind on one leaf, a block of columns.

    - `kind`: "matrix", "diagonal", "scale" (of a scalar leaf) or "shift".
    - `leaf`: position among the moving leaves.
    - `axis`: the axis acted on; for a shift the axis along which it is constant, `None` for a
      shift of every entry by itself.
    - `batch`: the axis over which a matrix varies, or `None`.
    - `shape`: of the coefficients.
    - `start`: the first column.
    """

    kind: str
    leaf: int
    axis: int | None
    batch: int | None
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + self.size)


def _of_leaf(
    leaf: int, shape: tuple[int, ...], largest: int, batched: bool, heads: set[tuple[int, ...]]
) -> list[Family]:
    out = []
    for axis, n in enumerate(shape):
        if n <= largest:
            out.append(Family("matrix", leaf, axis, None, (n, n), 0))
        else:
            out.append(Family("diagonal", leaf, axis, None, (n,), 0))
    if batched and (len(shape) == 3 or shape in heads):
        for axis, n in enumerate(shape):
            for batch, h in enumerate(shape):
                if batch != axis and 1 < n <= largest and h > 1:
                    out.append(Family("matrix", leaf, axis, batch, (h, n, n), 0))
    if not shape:
        out.append(Family("scale", leaf, None, None, (), 0))
    if len(shape) <= 1:
        out.append(Family("shift", leaf, None, None, shape, 0))
    else:
        for axis in range(len(shape)):
            kept = shape[:axis] + shape[axis + 1 :]
            out.append(Family("shift", leaf, axis, None, kept, 0))
    return out


def families(
    shapes: Sequence[tuple[int, ...]], most: int, unseen: Collection[int] = ()
) -> tuple[Family, ...]:
    """The richest candidates that number at most `most`.

    Matrices that vary over another axis, tried on leaves with three axes and on matrices of the
    shape of two of these (the biases of heads), go first; then full matrices on the longest axes
    give way to diagonal ones. Leaves `unseen` by the predictor have shifts only, of every entry:
    anything else that moves them lies in these.

    **Raises:** `ValueError` where even diagonal candidates are too many.
    """
    heads = {pair for s in shapes if len(s) == 3 for pair in (s[:2], s[1:])}
    longest = sorted({n for shape in shapes for n in shape}, reverse=True)
    options = [(n, True) for n in longest[:1]] + [(n, False) for n in longest] + [(0, False)]
    total = 0
    for largest, batched in options:
        found = [
            family
            for leaf, shape in enumerate(shapes)
            for family in (
                [Family("shift", leaf, None, None, shape, 0)]
                if leaf in unseen
                else _of_leaf(leaf, shape, largest, batched, heads)
            )
        ]
        total = sum(family.size for family in found)
        if total <= most:
            starts = np.cumsum([0, *(family.size for family in found)])
            return tuple(f._replace(start=int(s)) for f, s in zip(found, starts, strict=False))
    raise ValueError(
        f"`max_candidates` is {most}, and the simplest search, scalings and translations along "
        f"each axis, has {total} candidates: raise it (memory grows with its square), or freeze "
        "leaves by passing only some of them as `params`."
    )


def total(found: Sequence[Family]) -> int:
    """The number of candidates."""
    return sum(family.size for family in found)


def units(found: Sequence[Family], sizes: Sequence[float]) -> np.ndarray:
    """What a candidate of order one is, shape (c,): a shift has the size of its leaf."""
    out = np.ones(total(found))
    for family in found:
        if family.kind == "shift":
            out[family.columns] = sizes[family.leaf]
    return out


def shown(
    found: Sequence[Family], times: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two arrays a leaf: one for each entry that counts, and one for each seen too rarely.

    Entries of matrices count that were seen at all; `times`, one array a leaf, must suffice to tell
    apart the candidates that move them. Of vectors, and of leaves of which nothing is seen, all
    translations are candidates: all of their entries count.
    """
    kept, rare = [np.ones(n.shape) for n in times], [np.zeros(n.shape) for n in times]
    reach = [0] * len(times)
    for family in found:
        reach[family.leaf] += family.shape[-1] if family.kind == "matrix" else 1
    for leaf in {f.leaf for f in found if f.kind != "shift"}:
        n = times[leaf]
        if n.ndim > 1:
            kept[leaf] = np.where(n > 0, 1.0, 0.0)
            rare[leaf] = np.where((n > 0) & (n < reach[leaf] + 8), 1.0, 0.0)
    return kept, rare


def rows(
    found: Sequence[Family], values: Sequence[np.ndarray], grads: Sequence[np.ndarray]
) -> np.ndarray:
    """Derivatives along every candidate, shape (n, c).

    `values` and `grads` hold for each leaf the n sampled parameters and the n gradients there,
    shape (n, *leaf).
    """
    out = np.empty((values[0].shape[0], total(found)), values[0].dtype)
    for family in found:
        x, g = values[family.leaf], grads[family.leaf]
        rank = x.ndim - 1
        of_x, of_g = "z" + _LETTERS[:rank], "z" + _LETTERS[:rank]
        if family.kind == "shift":
            if family.axis is None:
                block = g
            else:
                block = g.sum(axis=family.axis + 1)
        elif family.kind == "scale":
            block = x * g
        else:
            assert family.axis is not None
            own = _LETTERS[family.axis]
            head = "z" if family.batch is None else "z" + _LETTERS[family.batch]
            if family.kind == "diagonal":
                block = np.einsum(f"{of_x},{of_g}->{head}{own}", x, g, optimize=True)
            else:
                of_g = of_g.replace(own, "y")
                block = np.einsum(f"{of_x},{of_g}->{head}{own}y", x, g, optimize=True)
        out[:, family.columns] = block.reshape(block.shape[0], -1)
    return out


def fields(
    found: Sequence[Family], values: Sequence[np.ndarray], coeffs: np.ndarray
) -> list[np.ndarray]:
    """The fields with coefficients `coeffs`, (k, c), at one point: (k, *leaf) for each leaf."""
    out = [np.zeros((coeffs.shape[0], *x.shape), x.dtype) for x in values]
    for family in found:
        x = values[family.leaf]
        block = coeffs[:, family.columns].reshape(-1, *family.shape)
        if family.kind == "shift":
            if family.axis is not None:
                block = np.expand_dims(block, family.axis + 1)
            out[family.leaf] += block
            continue
        if family.kind == "scale":
            out[family.leaf] += x * block
            continue
        assert family.axis is not None
        name = _LETTERS[: x.ndim]
        own = name[family.axis]
        head = "" if family.batch is None else name[family.batch]
        if family.kind == "diagonal":
            out[family.leaf] += np.einsum(f"{name},z{own}->z{name}", x, block)
        else:
            end = name.replace(own, "y")
            out[family.leaf] += np.einsum(f"{name},z{head}{own}y->z{end}", x, block, optimize=True)
    return out


def place(
    found: Sequence[Family], leaf: int, axis: int, matrix: np.ndarray, batch: int | None = None
) -> np.ndarray:
    """Coefficients of a matrix along an axis of one leaf, shape (c,).

    `matrix` is (r, r), or (h, r, r) with `batch`.
    """
    out = np.zeros(total(found))
    for family in found:
        if (family.leaf, family.axis, family.batch) != (leaf, axis, batch):
            continue
        if family.kind == "matrix":
            out[family.columns] = matrix.ravel()
            return out
        if family.kind == "diagonal":
            out[family.columns] = np.diagonal(matrix)
            return out
    raise AssertionError("no such family")


def scale_of(found: Sequence[Family], leaf: int, length: int | None) -> np.ndarray:
    """Coefficients of the scaling of a whole leaf; `length` of its first axis, if it has one."""
    if length is not None:
        return place(found, leaf, 0, np.eye(length))
    out = np.zeros(total(found))
    for family in found:
        if family.leaf == leaf and family.kind == "scale":
            out[family.columns] = 1.0
    return out


def describe(
    found: Sequence[Family], paths: Sequence[str], unseen: Sequence[int]
) -> tuple[str, ...]:
    """What was searched, one line a leaf; `unseen` entries of it were left out."""
    lines = []
    for leaf, path in enumerate(paths):
        mine = [f for f in found if f.leaf == leaf]
        full = [f.axis for f in mine if f.kind == "matrix" and f.batch is None]
        thin = [f.axis for f in mine if f.kind == "diagonal"]
        heads = [(f.axis, f.batch) for f in mine if f.batch is not None]
        words = [f"matrices along axes {full}"] if full else []
        words += [f"scalings along axes {thin}"] if thin else []
        words += [f"matrices for each index, (axis, batch) {heads}"] if heads else []
        words += ["scaling"] if any(f.kind == "scale" for f in mine) else []
        words += ["translations"] if words else ["`predict` does not see it: translations"]
        if unseen[leaf]:
            words.append(f"without {unseen[leaf]} entries that `predict` does not see")
        lines.append(f"{path or 'params'}: {', '.join(words)}")
    return tuple(lines)
