"""Local optima over the admissible matrices T, all components moving at once."""

from collections.abc import Callable

import numpy as np

from ._nested import apply

VIOLATION = 1e-8
"""Shares down to minus this are rounding of the optimisers."""


def hull_rows(points: np.ndarray) -> np.ndarray:
    """Indices of the rows of `points`, which sum to 1, that are corners of their hull.

    The other rows of A, and columns of G divided by their sums, add no condition on T.
    """
    from scipy.spatial import ConvexHull, QhullError

    k = points.shape[1]
    if k < 3 or len(points) <= k or k > 8:  # the hull is of little use, or costs too much
        return np.arange(len(points))
    try:
        return np.sort(ConvexHull(points[:, :-1]).vertices)
    except QhullError:  # nearly flat: all of them, then
        return np.arange(len(points))


def essential(mixing: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of A and the columns of G that all other conditions on T follow from."""
    sums = basis.sum(axis=0)
    columns = basis[:, sums > 0]
    normal = (columns / columns.sum(axis=0)).T
    return mixing[hull_rows(mixing)], columns[:, hull_rows(normal)]


def admissible(matrix: np.ndarray, mixing: np.ndarray, basis: np.ndarray) -> bool:
    """Whether T is well conditioned and A T^-1 and T G are not negative, to rounding."""
    if not np.isfinite(matrix).all() or np.linalg.cond(matrix) > 1e8:
        return False
    left, right = apply(matrix, mixing, basis)
    return bool(min(left.min(), right.min()) >= -VIOLATION)


def matched(matrix: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The rows of T in the order in which T G is nearest to G, by the sum of squared differences.

    An optimiser that steps outside on its way may come back with the components permuted.
    """
    return matrix[nearest_order(matrix @ basis, basis)]


def nearest_order(basis: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The order of the rows of `basis` that is nearest to `other`, by squared differences."""
    from scipy.optimize import linear_sum_assignment

    apart = np.sum((basis[:, None] - other[None]) ** 2, axis=2)
    rows, columns = linear_sum_assignment(apart)
    return rows[np.argsort(columns)]


def local_minimum(
    start: np.ndarray,
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    mixing: np.ndarray,
    basis: np.ndarray,
    *,
    steps: int = 200,
    ftol: float = 1e-12,
) -> np.ndarray | None:
    """T near `start` with the least objective, by SLSQP; `None` where it ends outside.

    **Arguments:** `objective`: T -> value and gradient, (K, K); `mixing`, `basis`: the conditions
    A T^-1 >= 0 and T G >= 0, see `essential`.
    """
    from scipy.optimize import minimize

    k = len(basis)
    eye = np.eye(k)

    def full(z: np.ndarray) -> np.ndarray:
        free = z.reshape(k, k - 1)
        return np.column_stack([free, 1.0 - free.sum(axis=1)])

    def reduced(gradient: np.ndarray) -> np.ndarray:
        """From derivatives by T, (..., k, k), to those by its first k - 1 columns."""
        return (gradient[..., :-1] - gradient[..., -1:]).reshape(*gradient.shape[:-2], -1)

    def value(z: np.ndarray) -> tuple[float, np.ndarray]:
        size, gradient = objective(full(z))
        return size, reduced(gradient)

    def shares(z: np.ndarray) -> np.ndarray:
        left, right = apply(full(z), mixing, basis)
        return np.concatenate([left.ravel(), right.ravel()])

    # d(T G) = dT G does not depend on T.
    second = reduced(np.einsum("ka,bj->kjab", eye, basis).reshape(-1, k, k))

    def slopes(z: np.ndarray) -> np.ndarray:
        inverse = np.linalg.inv(full(z))
        # d(A T^-1) = -A T^-1 dT T^-1.
        first = -np.einsum("ia,bl->ilab", mixing @ inverse, inverse).reshape(-1, k, k)
        return np.concatenate([reduced(first), second])

    try:
        with np.errstate(all="ignore"):
            found = minimize(
                value,
                start[:, :-1].ravel(),
                jac=True,
                method="SLSQP",
                constraints=[{"type": "ineq", "fun": shares, "jac": slopes}],
                options={"maxiter": steps, "ftol": ftol},
            )
    except (np.linalg.LinAlgError, ValueError):  # it stepped onto a singular T
        return None
    matrix = full(found.x)
    return matrix if admissible(matrix, mixing, basis) else None
