"""Which matrices T are admissible: simplices between two nested polytopes.

The rows of T are the new components in barycentric coordinates of the old ones. T G >= 0 puts each
of them into the outer polytope {t : 1^T t = 1, t G >= 0}; A T^-1 >= 0 says that their simplex
contains the inner one, the hull of the rows of A.
"""

from typing import NamedTuple

import numpy as np

_ZERO = 1e-12  # a share below this is zero
_LP = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


class OneComponent(NamedTuple):
    """The places of component k while the others stay: exact, and a polytope.

    With \\(T = I + e_k u^\\top\\), \\(1^\\top u = 0\\): \\(T^{-1} = I - e_k u^\\top / (1 + u_k)\\),
    so A T^-1 >= 0 reads u_l <= rho_l (1 + u_k) with rho_l = min over i of A_il / A_ik, l != k.
    T G >= 0 reads (e_k + u) G >= 0. Both are linear in u; 1 + u_k > 0 follows from them.
    """

    matrix: np.ndarray
    bound: np.ndarray


def one_component(mixing: np.ndarray, basis: np.ndarray, k: int) -> OneComponent:
    """The inequalities `matrix @ u <= bound`, shape (K - 1 + J, K)."""
    components = basis.shape[0]
    used = mixing[:, k] > _ZERO
    ratio = np.min(np.maximum(mixing[used], 0.0) / mixing[used, k][:, None], axis=0)
    others = [index for index in range(components) if index != k]
    inner = np.zeros((components - 1, components))
    inner[np.arange(components - 1), others] = 1.0
    inner[:, k] = -ratio[others]
    return OneComponent(
        np.concatenate([inner, -basis.T]),
        np.concatenate([ratio[others], np.maximum(basis[k], 0.0)]),
    )


def farthest(places: OneComponent, direction: np.ndarray) -> np.ndarray | None:
    """The u in `places` that goes farthest in `direction`, (K,), or `None` if the solver fails."""
    return _solve(-direction, places.matrix, places.bound, 0.0)


def outer_extreme(basis: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
    """The point t of the outer polytope farthest in `direction`, (K,)."""
    return _solve(-direction, -basis.T, np.zeros(basis.shape[1]), 1.0)


def _solve(
    cost: np.ndarray, matrix: np.ndarray, bound: np.ndarray, total: float
) -> np.ndarray | None:
    from scipy.optimize import linprog

    size = np.abs(cost).max()
    if size == 0.0:
        return None
    found = linprog(
        cost / size,
        A_ub=matrix,
        b_ub=bound,
        A_eq=np.ones((1, len(cost))),
        b_eq=[total],
        bounds=(None, None),
        method="highs-ds",
        options=_LP,
    )
    return found.x if found.status == 0 else None


def interval(mixing: np.ndarray, basis: np.ndarray) -> tuple[float, float, float, float]:
    """K = 2, in the coordinate x of t = (1 - x, x): outer low, inner low, inner high, outer high.

    Closed form. The first component may be anywhere between the first two, the second anywhere
    between the last two, independently of each other.
    """
    change = basis[1] - basis[0]
    rising, falling = change > 0, change < 0
    low = np.max(-basis[0][rising] / change[rising])
    high = np.min(basis[0][falling] / -change[falling])
    x = mixing[:, 1]
    return min(float(low), 0.0), float(x.min()), float(x.max()), max(float(high), 1.0)


def segment(first: float, second: float) -> np.ndarray:
    """T of K = 2 with the components at x = `first` and x = `second`."""
    return np.array([[1.0 - first, first], [1.0 - second, second]])


def apply(matrix: np.ndarray, mixing: np.ndarray, basis: np.ndarray):
    """(A T^-1, T G)."""
    return np.linalg.solve(matrix.T, mixing.T).T, matrix @ basis


def require_full_rank(mixing: np.ndarray, basis: np.ndarray) -> None:
    """`ValueError` where T is not determined by what it does to the factors."""
    for name, factor in (("mixing", mixing), ("basis", basis)):
        values = np.linalg.svd(factor, compute_uv=False)
        if len(values) < basis.shape[0] or values[-1] < 1e-10 * values[0]:
            raise ValueError(
                f"`factorisation` has a `{name}` of rank below its {basis.shape[0]} components: "
                "its fitted table needs fewer, so fit fewer components."
            )
