"""Explicitly regularised solutions of linear problems, each with a certificate of optimality."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Optimum:
    """A minimiser `x` with what proves it.

    - `value`: the objective at `x`.
    - `gap`: `value` less a lower bound from a dual point that is feasible to rounding, over
        `value`: no solution is better by more than that share.
    - `misfit`: `|A x - b| / |b|` where `A x = b` is asked for, else 0.
    """

    x: np.ndarray
    value: float
    gap: float
    misfit: float


def weighted_basis_pursuit(A: np.ndarray, b: np.ndarray, weights: np.ndarray) -> Optimum:
    r"""The least \(\sum_i c_i |x_i|\) on \(A x = b\), for `weights` `c >= 0`: a linear program.

    At most one weight may be 0 (an entry that costs nothing). Dual: the greatest `b . nu` with
    `|A^T nu|_i <= c_i`; the solver's `nu` is made feasible, so that the gap is a proof.

    **Raises:** `ValueError` where the program is infeasible.
    """
    from scipy.optimize import linprog

    n = A.shape[1]
    done = linprog(
        np.concatenate([weights, weights]), A_eq=np.hstack([A, -A]), b_eq=b, method="highs"
    )
    if done.status != 0:
        raise ValueError(f"`A` x = `b` was not solved by the linear program: {done.message}")
    x = done.x[:n] - done.x[n:]
    value = float(np.sum(weights * np.abs(x)))
    nu = np.asarray(done.eqlin.marginals)
    free = np.flatnonzero(weights == 0)
    if free.size > 1:
        raise ValueError("`weights` may hold one zero at most.")
    for i in free:
        nu = nu - (A[:, i] @ nu) / (A[:, i] @ A[:, i]) * A[:, i]
    kept = weights > 0
    nu = nu / max(1.0, float(np.max(np.abs(A.T @ nu)[kept] / weights[kept])))
    misfit = float(np.linalg.norm(A @ x - b) / np.linalg.norm(b))
    return Optimum(x, value, (value - float(b @ nu)) / value, misfit)


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
