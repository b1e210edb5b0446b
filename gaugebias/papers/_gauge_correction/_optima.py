"""Explicitly regularised solutions of linear problems, each with a certificate of optimality."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Optimum:
    """A minimiser `x` with what proves it.

    - `value`: the objective at `x`.
    - `gap`: `value` less a lower bound from a dual point that is feasible to rounding, over
        `value`: no solution is better by more than that share.
    - `misfit`: relative, of `A x = b` with its rows made orthonormal, where that is asked for.
    """

    x: np.ndarray
    value: float
    gap: float
    misfit: float


def weighted_basis_pursuit(A: np.ndarray, b: np.ndarray, weights: np.ndarray) -> Optimum:
    r"""The least \(\sum_i c_i |x_i|\) on \(A x = b\), for `weights` `c >= 0`: a linear program.

    At most one weight may be 0 (an entry that costs nothing). Dual: the greatest `b . nu` with
    `|A^T nu|_i <= c_i`; the solver's `nu` is made feasible, so that the gap is a proof.

    **Raises:** `ValueError` where rows of `A` depend on others, or the program was not solved.
    """
    from scipy.optimize import linprog

    if np.sum(weights == 0) > 1:
        raise ValueError("`weights` may hold one zero at most.")
    n = A.shape[1]
    # Orthonormal rows and targets of size 1: rows that nearly coincide would stop the solver.
    u, s, rows = np.linalg.svd(A, full_matrices=False)
    if s[-1] <= np.finfo(float).eps * max(A.shape) * s[0]:
        raise ValueError("`A` must have independent rows: drop those that depend on others.")
    target = (u.T @ b) / s
    size = float(np.max(np.abs(target)))
    both = np.concatenate([weights, weights])
    done = linprog(both, A_eq=np.hstack([rows, -rows]), b_eq=target / size, method="highs")
    if done.status != 0:
        raise ValueError(f"`A` x = `b` was not solved by the linear program: {done.message}")
    x = size * (done.x[:n] - done.x[n:])
    value = float(np.sum(weights * np.abs(x)))
    nu = np.asarray(done.eqlin.marginals)
    for i in np.flatnonzero(weights == 0):
        nu = nu - (rows[:, i] @ nu) / (rows[:, i] @ rows[:, i]) * rows[:, i]
    kept = weights > 0
    nu = nu / max(1.0, float(np.max(np.abs(rows.T @ nu)[kept] / weights[kept])))
    misfit = float(np.linalg.norm(rows @ x - target) / np.linalg.norm(target))
    return Optimum(x, value, (value - float(target @ nu)) / value, misfit)


def lasso(A: np.ndarray, b: np.ndarray, penalty: float) -> Optimum:
    r"""The minimiser of \(|A x - b|^2 / m + \lambda |x|_1\), by coordinate descent.

    Dual: the greatest \(b \cdot \nu - m |\nu|^2 / 4\) with \(|A^T \nu|_\infty \le \lambda\);
    \(\nu = 2 (b - A x) / m\), scaled into the feasible set.
    """
    from sklearn.linear_model import Lasso

    m = len(b)
    # scikit-learn halves the square.
    fitted = Lasso(alpha=0.5 * penalty, fit_intercept=False, tol=1e-10, max_iter=1_000_000)
    x = np.asarray(fitted.fit(A, b).coef_, float)
    residual = b - A @ x
    value = float(residual @ residual / m + penalty * np.sum(np.abs(x)))
    nu = 2.0 / m * residual
    nu = nu * min(1.0, penalty / max(float(np.max(np.abs(A.T @ nu))), 1e-300))
    bound = float(b @ nu - 0.25 * m * (nu @ nu))
    return Optimum(x, value, (value - bound) / value, 0.0)
