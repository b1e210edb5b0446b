"""The matrix of least nuclear norm with given entries, with a certificate."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class NuclearMinimiser:
    """Matrices `(n, rows, columns)` that have the given entries exactly.

    - `norms`: their nuclear norms, `(n,)`; `gaps`: how far each is above a lower bound of the least
      possible, relative to it. The bound is `<Y, target>` of a matrix `Y` that is 0 outside the
      mask and has spectral norm 1 at most.
    """

    matrices: np.ndarray
    norms: np.ndarray
    gaps: np.ndarray


def minimise_nuclear_norm(
    target: np.ndarray, mask: np.ndarray, *, tolerance: float = 1e-6, iterations: int = 5_000
) -> NuclearMinimiser:
    """Douglas-Rachford splitting on a batch `(n, rows, columns)`, until all gaps are small.

    `mask` is true where an entry is given. Runs of which the gap stays above `tolerance` after
    `iterations` are returned as they are, with the gap.

    **Raises:** `ValueError` for an empty mask.
    """
    target, mask = np.asarray(target, np.float64), np.asarray(mask, bool)
    if target.shape != mask.shape or target.ndim != 3:
        raise ValueError(
            f"`target` and `mask` must have one shape (n, rows, columns), not {target.shape} and "
            f"{mask.shape}."
        )
    if not mask.any(axis=(1, 2)).all():
        raise ValueError("`mask` is empty for some matrix: give at least one entry of each.")
    given = np.where(mask, target, 0.0)
    # A step of about the singular values looked for.
    step = np.linalg.norm(given, 2, axis=(1, 2))[:, None, None]
    z = given.copy()
    for i in range(iterations):
        x = np.where(mask, given, z)
        u, s, v = np.linalg.svd(2.0 * x - z, full_matrices=False)
        y = (u * np.maximum(s - step[:, 0], 0.0)[:, None, :]) @ v
        z += y - x
        if i % 20 == 19 or i == iterations - 1:
            found = _certified(np.where(mask, given, z), (given - z) / step, given, mask)
            if np.max(found.gaps) <= tolerance:
                return found
    return found


def _certified(
    x: np.ndarray, dual: np.ndarray, given: np.ndarray, mask: np.ndarray
) -> NuclearMinimiser:
    dual = np.where(mask, dual, 0.0)
    dual = dual / np.maximum(np.linalg.norm(dual, 2, axis=(1, 2)), 1.0)[:, None, None]
    bound = np.sum(dual * given, axis=(1, 2))
    norms = np.sum(np.linalg.svd(x, compute_uv=False), axis=1)
    gaps = (norms - bound) / np.maximum(bound, np.finfo(float).tiny)
    return NuclearMinimiser(x, norms, gaps)
