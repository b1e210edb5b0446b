"""Separable and sufficiently scattered factors: conditions under which a factor is identified."""

from typing import Any, NamedTuple

import numpy as np

_LARGEST = 7  # components up to which the corners of the dual polytope are listed


class Check(NamedTuple):
    """One condition.

    - `name`; `kind`: what it is for uniqueness: "sufficient", "necessary", "local" (sufficient for
      no other solution nearby) or "evidence" (proves nothing).
    - `holds`: `None` where it was not decided.
    - `detail`: one sentence.
    """

    name: str
    kind: str
    holds: bool | None
    detail: str


def without_small(points: np.ndarray, atol: float) -> np.ndarray:
    """`points`, (n, K), with entries up to `atol` times the sum of their row set to 0."""
    return np.where(points <= atol * points.sum(axis=1, keepdims=True), 0.0, points)


def pure(points: Any, *, atol: float = 1e-6) -> np.ndarray:
    r"""Which components have a pure point: a row of `points` on the k-th axis alone, (K,) booleans.

    All of them is separability: of A (I, K), pure rows; of \(G^\top\) (J, K), anchor columns.
    """
    points = np.asarray(points, dtype=np.float64)
    shares = points / points.sum(axis=1, keepdims=True)
    return shares.max(axis=0) >= 1.0 - atol


class Scattered(NamedTuple):
    """Whether the points are sufficiently scattered.

    - `holds`: `None` where it was not decided.
    - `largest`: the largest norm of a dual vector y with sum 1 that was found: at most 1, and
      1 only on the axes, where the condition holds.
    - `exact`: whether all corners were listed (K <= 7), so that `largest` is the maximum.
    """

    holds: bool | None
    largest: float
    exact: bool


def sufficiently_scattered(points: Any, *, atol: float = 1e-6) -> Scattered:
    r"""Is the cone of the rows of `points` (n, K) sufficiently scattered?

    The condition (Huang, Sidiropoulos, Swami 2014): the cone of the points contains
    \(\{x : 1^\top x \ge (K - 1)^{1/2} |x|\}\), and its dual cone touches the boundary of the dual
    of that, \(\{y : 1^\top y \ge |y|\}\), only along the axes. Equivalently, on the polytope
    \(\{y : points . y \ge 0, 1^\top y = 1\}\) the norm is at most 1, and is 1 only at the K unit
    vectors. A convex function is largest at corners. For K <= 7 all corners are listed and the
    answer is exact to `atol`; above, it is `True` for separable points (sufficient), `False` where
    a linear program finds a dual vector with an entry above 1 (the condition needs none), and
    else `None`: deciding it is NP-hard.

    It holds or fails for a scaling of the axes: that of A or G^T as given.

    **Raises:** `ValueError` where `points` is no matrix of non-negative numbers with nonzero rows.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all() or points.min() < 0:
        raise ValueError("`points` must be a matrix of finite numbers that are not negative.")
    points = points[points.sum(axis=1) > 0]
    if not len(points):
        raise ValueError("`points` holds no row that is not zero.")
    points = without_small(points, atol)
    k = points.shape[1]
    if k == 1 or pure(points, atol=atol).all():
        return Scattered(True, 1.0, True)
    top = _largest_entry(points)
    if top > 1.0 + 1e-7:
        return Scattered(False, top, False)
    if k > _LARGEST or np.isnan(top):
        return Scattered(None, top, False)
    corners = _corners(points)
    norms = np.linalg.norm(corners, axis=1)
    largest = float(norms.max())
    # A corner at the sphere away from every axis breaks the second half of the condition.
    touching = norms > 1.0 - 1e-7
    on_axis = corners.max(axis=1) > 1.0 - 1e-7
    return Scattered(bool(largest <= 1.0 + 1e-7 and on_axis[touching].all()), largest, True)


def _largest_entry(points: np.ndarray) -> float:
    """The largest entry of a y with points . y >= 0 and sum 1, by linear programming."""
    from scipy.optimize import linprog

    k, top = points.shape[1], 0.0
    for axis in np.eye(k):
        found = linprog(
            -axis,
            A_ub=-points,
            b_ub=np.zeros(len(points)),
            A_eq=np.ones((1, k)),
            b_eq=[1.0],
            bounds=(None, None),
        )
        if found.status == 3:  # unbounded
            return np.inf
        if found.status != 0:
            return np.nan
        top = max(top, -float(found.fun))
    return top


def _corners(points: np.ndarray) -> np.ndarray:
    k = points.shape[1]
    # y = (z, 1 - sum z); every y = 1/K is inside, since each point has a positive sum.
    planes = np.column_stack([points[:, -1:] - points[:, :-1], -points[:, -1:]])
    flat = np.abs(planes[:, :-1]).max(axis=1) < 1e-14
    planes = planes[~flat]
    if k == 2:
        ends = -planes[:, 1] / planes[:, 0]
        z = np.array([[ends[planes[:, 0] < 0].max()], [ends[planes[:, 0] > 0].min()]])
    else:
        from scipy.spatial import HalfspaceIntersection

        z = HalfspaceIntersection(planes, np.full(k - 1, 1.0 / k)).intersections
    return np.column_stack([z, 1.0 - z.sum(axis=1)])


def contained(factor: Any, *, atol: float = 1e-6) -> tuple[int, int] | None:
    """Columns (k, l) of `factor` with the support of k inside that of l, or `None`.

    Then a little of column k can be taken from column l: the factorisation is not unique. Entries
    up to `atol` times the sum of their row count as 0.
    """
    support = without_small(np.asarray(factor, dtype=np.float64), atol) > 0
    for k in range(support.shape[1]):
        for other in range(support.shape[1]):
            if k != other and not (support[:, k] & ~support[:, other]).any():
                return k, other
    return None
