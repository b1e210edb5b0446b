"""A Fokker-Planck equation as a jump process on a lattice: conservative, with positive rates."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

_SPAN = (
    "`domain` spans more than float64 can solve for: towards its sides drift outweighs noise so "
    "far that rates or densities vanish to rounding. Make it smaller, or `cells` larger."
)


class Jumps(NamedTuple):
    """Jumps `start -> stop` (indices of raveled nodes) with `rate`s, and rates of `loss`.

    `step` is `(jumps, m)`, the lattice vector of each jump.
    """

    start: np.ndarray
    stop: np.ndarray
    rate: np.ndarray
    step: np.ndarray
    loss: np.ndarray


def bernoulli(x: np.ndarray) -> np.ndarray:
    """`x / (e^x - 1)`, positive everywhere."""
    small = np.abs(x) < 1e-5
    safe = np.where(small, 1.0, np.clip(x, -700.0, 700.0))
    return np.where(small, 1.0 - 0.5 * x + x**2 / 12.0, safe / np.expm1(safe))


def decompose(tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive tensors `(N, m, m)`, m = 1 or 2, as `sum_k weight_k e_k e_k^T`.

    `e_k` are integer vectors and the weights non-negative, whatever the anisotropy (Selling's
    reduction). Weights `(N, k)` and vectors `(N, k, m)`, k = 1 or 3.
    """
    count, m, _ = tensors.shape
    if m == 1:
        return tensors[:, :, 0], np.ones((count, 1, 1), int)
    base = np.tile(np.asarray([[1, 0], [0, 1], [-1, -1]]), (count, 1, 1))
    pairs = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    scale = np.einsum("nii->n", tensors)[:, None]

    def inner() -> np.ndarray:
        parts = [np.einsum("ni,nij,nj->n", base[:, i], tensors, base[:, j]) for i, j, _ in pairs]
        return np.stack(parts, axis=1)

    for _ in range(200):
        products = inner()
        obtuse = products <= 1e-14 * scale
        if np.all(obtuse):
            break
        worst = np.argmax(products, axis=1)
        for p, (i, j, k) in enumerate(pairs):
            rows = np.nonzero(~np.all(obtuse, axis=1) & (worst == p))[0]
            one, two = base[rows, i].copy(), base[rows, j].copy()
            base[rows, i], base[rows, j], base[rows, k] = -one, two, one - two
    # -b_i.D b_j weighs the vector orthogonal to the third, b_k.
    third = base[:, [2, 0, 1]]
    across = np.stack([-third[:, :, 1], third[:, :, 0]], axis=-1)
    return np.maximum(-inner(), 0.0), across


def jumps_of(drift: np.ndarray, diffusion: np.ndarray, absorbing: np.ndarray) -> Jumps:
    """Exponentially fitted rates (Scharfetter-Gummel) along the vectors of [`decompose`][].

    In lattice units (nodes at distance 1): `drift` of shape `(*n, m)`, `diffusion` half the
    covariance rate, `(*n, m, m)`, of `d_t p = -div(drift p) + sum_ij d_i d_j (D_ij p)`. A jump by
    `e` has the rate `weight B(-P)`, `P = e . D^-1 drift` averaged over its two ends, so that the
    law without flux in one coordinate, `exp(int drift/D) / D`, is met up to that average. Jumps
    out of the box are dropped (no flux), and kept as losses on the sides where `absorbing`, shape
    `(m, 2)`, is true; the wall is half a step from the last node.
    """
    *sizes, m = drift.shape
    shape = tuple(sizes)
    count = int(np.prod(shape))
    flat_drift, tensors = drift.reshape(count, m), diffusion.reshape(count, m, m)
    weights, vectors = decompose(tensors)
    force = np.linalg.solve(tensors, flat_drift[:, :, None])[:, :, 0]
    index = np.stack(np.unravel_index(np.arange(count), shape), axis=-1)
    limits = np.asarray(shape)
    starts, stops, rates, steps = [], [], [], []
    loss = np.zeros(count)
    for k in range(weights.shape[1]):
        for sign in (1, -1):
            step = sign * vectors[:, k]
            target = index + step
            inside = np.all((target >= 0) & (target < limits), axis=1)
            some = inside & (weights[:, k] > 0.0)
            a, b = np.nonzero(some)[0], np.ravel_multi_index(target[some].T, shape)
            fitted = 0.5 * np.sum(step[a] * (force[a] + force[b]), axis=1)
            starts.append(a)
            stops.append(b)
            rates.append(weights[a, k] * bernoulli(-fitted))
            steps.append(step[a])
            low, high = (target < 0) & absorbing[:, 0], (target >= limits) & absorbing[:, 1]
            gone = np.any(low | high, axis=1) & ~inside
            half = 0.5 * np.sum(step * force, axis=1)
            loss += np.where(gone, 2.0 * weights[:, k] * bernoulli(-half), 0.0)
    return Jumps(
        np.concatenate(starts),
        np.concatenate(stops),
        np.concatenate(rates),
        np.concatenate(steps),
        loss,
    )


def steady(jumps: Jumps, count: int) -> tuple[np.ndarray, float]:
    """Probabilities of the nodes and the rate of decay: the positive vector that persists.

    Without losses the kernel of the generator, and 0; with losses the law given survival
    (quasi-stationary) and the rate at which mass is lost. The matrices are M-matrices, whose
    inverses are positive.

    **Raises:** `ValueError` where the linear system has no positive solution in float64.
    """
    out = np.bincount(jumps.start, jumps.rate, count) + jumps.loss
    flow = sparse.coo_matrix((jumps.rate, (jumps.stop, jumps.start)), shape=(count, count))
    matrix: Any = (sparse.diags(out) - flow).tocsc()
    if np.any(jumps.loss > 0.0):
        return _persisting(matrix)
    # Where the mass is: after a long time, exponentially distributed, from an even start. The
    # system is then solved relative to that node; relative to an empty one it would be singular.
    late = _factor(matrix + 1e-7 * float(np.median(out)) * sparse.eye(count)).solve(np.ones(count))
    return _positive(_grounded(matrix, int(np.argmax(late)))), 0.0


def _grounded(matrix: Any, ground: int) -> np.ndarray:
    rest = np.delete(np.arange(matrix.shape[0]), ground)
    right = -np.asarray(matrix[rest][:, [ground]].todense())[:, 0]
    p = np.ones(matrix.shape[0])
    p[rest] = _factor(matrix[rest][:, rest]).solve(right)
    return p


def _factor(matrix: Any) -> linalg.SuperLU:
    # Diagonal pivots are stable for M-matrices, and keep what is positive positive.
    options = {"SymmetricMode": True}
    try:
        return linalg.splu(
            matrix.tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options=options,
        )
    except RuntimeError:
        raise ValueError(_SPAN) from None


def _persisting(matrix: Any) -> tuple[np.ndarray, float]:
    solver = _factor(matrix)
    p, rate = np.full(matrix.shape[0], 1.0 / matrix.shape[0]), np.inf
    for _ in range(2000):
        following = solver.solve(p)
        size = float(np.sum(following))
        following, before, rate = following / size, rate, 1.0 / size
        settled = np.sum(np.abs(following - p)) < 1e-12
        p = following
        if settled and abs(rate - before) <= 1e-12 * rate:
            break
    return _positive(p), rate


def _positive(p: np.ndarray) -> np.ndarray:
    total = float(np.sum(p))
    if not (np.all(np.isfinite(p)) and total > 0.0 and np.min(p) >= -1e-12 * np.max(p)):
        raise ValueError(_SPAN)
    return np.maximum(p / total, 1e-300)


def node_flux(jumps: Jumps, p: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Net probability current at the nodes, lattice vectors per unit time, shape `(N, m)`.

    Half of the net currents of all jumps that start at a node: the mean over its two sides.
    """
    count = len(p)
    flow = sparse.coo_matrix(
        (jumps.rate * p[jumps.start], (jumps.start, jumps.stop)), (count, count)
    )
    flow = flow.tocsr()
    net: Any = (flow - flow.T).tocoo()
    index = np.stack(np.unravel_index(np.arange(count), shape), axis=-1)
    step = index[net.col] - index[net.row]
    columns = [np.bincount(net.row, 0.5 * net.data * step[:, a], count) for a in range(len(shape))]
    return np.stack(columns, axis=-1)
