"""A Fokker-Planck equation as a jump process on a lattice: conservative, with positive rates."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

_SPAN = (
    "`domain` spans more than float64 can solve for: towards its sides drift outweighs noise so "
    "far that rates or densities vanish to rounding. Make it smaller, or `cells` larger."
)


_APART = (
    "`domain` holds regions between which paths pass too rarely for float64 to tell how much mass "
    "each has (relative error about {:.0e}): give each a `domain` of its own, or raise the noise."
)
_MANY = (
    "`domain` holds regions that lose mass at nearly the same rate, so that the law given survival "
    "is not reached in any useful time: give each a `domain` of its own."
)
_ROUNDING = 1e-3  # relative error of masses by rounding that is too much


class Jumps(NamedTuple):
    """Jumps `start -> stop` (indices of raveled nodes) with `rate`s, and rates of `loss`.

    `step` is `(jumps, m)`, the lattice vector of each jump; `exit`, `(nodes, m)`, the sum of rate
    times vector over the jumps that are lost.
    """

    start: np.ndarray
    stop: np.ndarray
    rate: np.ndarray
    step: np.ndarray
    loss: np.ndarray
    exit: np.ndarray


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
    """Exponentially fitted rates (Scharfetter-Gummel) along the vectors of `decompose`.

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
    loss, leaving = np.zeros(count), np.zeros((count, m))
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
            lost = np.where(gone, 2.0 * weights[:, k] * bernoulli(-half), 0.0)
            loss += lost
            leaving += lost[:, None] * step
    return Jumps(
        np.concatenate(starts),
        np.concatenate(stops),
        np.concatenate(rates),
        np.concatenate(steps),
        loss,
        leaving,
    )


def steady(jumps: Jumps, count: int) -> tuple[np.ndarray, float]:
    """Probabilities of the nodes and the rate of decay: the positive vector that persists.

    Without losses the kernel of the generator, and 0; with losses the law given survival
    (quasi-stationary) and the rate at which mass is lost. In one coordinate without losses no
    current flows, and masses follow from the ratios of rates, whatever lies between wells. Else a
    linear system is solved, whose matrix is an M-matrix, of positive inverse.

    **Raises:** `ValueError` where float64 gives no positive solution, or where mass passes so
    rarely between regions that rounding decides how it is shared out.
    """
    losing = bool(np.any(jumps.loss > 0.0))
    if jumps.step.shape[1] == 1 and not losing:
        return _balanced(jumps, count), 0.0
    out = np.bincount(jumps.start, jumps.rate, count) + jumps.loss
    flow = sparse.coo_matrix((jumps.rate, (jumps.stop, jumps.start)), shape=(count, count))
    matrix: Any = (sparse.diags(out) - flow).tocsc()
    # Where the mass is: after a long time, exponentially distributed, from an even start. The
    # system is then solved relative to that node; relative to an empty one it would be singular.
    late = _factor(matrix + 1e-7 * float(np.median(out)) * sparse.eye(count)).solve(np.ones(count))
    ground = int(np.argmax(late))
    rest = np.delete(np.arange(count), ground)
    grounded = _factor(matrix[rest][:, rest])
    _require_mixing(grounded, late[rest], out[rest])
    if losing:
        return _persisting(matrix, jumps.loss)
    p = np.ones(count)
    p[rest] = grounded.solve(-np.asarray(matrix[rest][:, [ground]].todense())[:, 0])
    return _positive(p), 0.0


def _balanced(jumps: Jumps, count: int) -> np.ndarray:
    """Masses along a line of nodes without a current: `p_(a+1) / p_a` is the ratio of the rates."""
    up = jumps.step[:, 0] > 0
    forth, back = np.zeros(count - 1), np.zeros(count - 1)
    forth[jumps.start[up]], back[jumps.stop[~up]] = jumps.rate[up], jumps.rate[~up]
    if not (np.all(forth > 0.0) and np.all(back > 0.0)):
        raise ValueError(_SPAN)
    logs = np.concatenate([[0.0], np.cumsum(np.log(forth) - np.log(back))])
    return _positive(np.exp(logs - np.max(logs)))


def _require_mixing(grounded: linalg.SuperLU, late: np.ndarray, out: np.ndarray) -> None:
    """A diagonal entry is a sum of rates and rounded; what that adds up to until a path has come
    to the ground is what masses are wrong by."""
    times = grounded.solve(np.ones(len(late)), trans="T")
    share = late / np.sum(late)
    error = float(np.finfo(float).eps * np.sum(share * out * np.abs(times)))
    if not (error < _ROUNDING and np.all(times[share > 1e-9] > 0.0)):
        raise ValueError(_APART.format(error))


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


def _persisting(matrix: Any, loss: np.ndarray) -> tuple[np.ndarray, float]:
    solver = _factor(matrix)
    p, rate = np.full(matrix.shape[0], 1.0 / matrix.shape[0]), np.inf
    for _ in range(2000):
        following = solver.solve(p)
        size = float(np.sum(following))
        following, before, rate = following / size, rate, 1.0 / size
        settled = np.sum(np.abs(following - p)) < 1e-12
        p = following
        if settled and abs(rate - before) <= 1e-12 * abs(rate):
            break
    else:
        raise ValueError(_MANY)
    # not `rate`: where almost nothing is lost that is a difference of larger numbers
    lost, wrong = float(loss @ np.maximum(p, 0.0)), float(loss @ np.maximum(-p, 0.0))
    if not wrong <= 1e-6 * lost:
        raise ValueError(_SPAN)
    return _positive(p), lost


def _positive(p: np.ndarray) -> np.ndarray:
    total = float(np.sum(p))
    if not (np.all(np.isfinite(p)) and total > 0.0 and np.min(p) >= -1e-12 * np.max(p)):
        raise ValueError(_SPAN)
    return np.maximum(p / total, 1e-300)


def node_flux(jumps: Jumps, p: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Net probability current at the nodes, lattice vectors per unit time, shape `(N, m)`.

    Half of the net currents of all jumps that start at a node, lost ones included: the mean over
    its two sides.
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
    return np.stack(columns, axis=-1) + 0.5 * jumps.exit * p[:, None]
