"""Tails of quadratic forms: the limiting laws of kernel statistics."""

import math

import numpy as np

# Points whose kernel matrix is diagonalised for the far tail.
SPECTRUM_POINTS = 1024


def quadratic_tail(weights: np.ndarray, value: float) -> float:
    """P(sum_i weights_i Z_i^2 >= value), Z_i standard normal, by the Lugannani-Rice saddlepoint
    formula (Kuonen, Biometrika 86, 1999); relative accuracy of per cents far into the tail."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    value = value / float(weights.max())
    weights = weights / weights.max()
    total = float(weights.sum())
    if value <= total:
        return 1.0  # only the upper tail is ever asked for

    def slope(zeta: float) -> float:
        return float(np.sum(weights / (1.0 - 2.0 * zeta * weights))) - value

    # The largest weight alone gives slope 1 / (1 - 2 zeta): beyond `value` before this bound.
    zeta: float = brentq(slope, 0.0, 0.5 * (1.0 - 0.5 / value), xtol=1e-14)  # pyright: ignore
    shrunk = 1.0 - 2.0 * zeta * weights
    cumulant = -0.5 * float(np.sum(np.log(shrunk)))
    curvature = 2.0 * float(np.sum((weights / shrunk) ** 2))
    w = math.sqrt(max(2.0 * (zeta * value - cumulant), 0.0))
    v = zeta * math.sqrt(curvature)
    if w < 1e-6:
        return 0.5
    return float(ndtr(-(w + math.log(v / w) / w)))


def sign_tail(matrix: np.ndarray) -> float:
    """A bound on P(e^T M e >= 1^T M 1) for independent random signs e, M positive semi-definite.

    E exp(z e^T M e) = E exp(sqrt(2 z) g^T M^(1/2) e) <= E exp(z g^T M g), g standard normal, since
    E exp(a . e) = prod cosh(a_i) <= exp(|a|^2 / 2): the signs' form has the moments of
    sum_i lambda_i g_i^2 at most, and Chernoff's bound for that, exp(-z v) det(1 - 2 z M)^(-1/2),
    holds at every size of M and for every z. (Derived for this package.) z is chosen by the
    spectrum of the leading 512 rows: give the signs in random order.
    """
    from scipy.linalg import cholesky
    from scipy.optimize import brentq

    n, value = len(matrix), float(np.sum(matrix))
    few = min(n, 512)
    weights = np.clip(np.linalg.eigvalsh(matrix[:few, :few]) * (n / few), 0.0, None)
    largest = float(weights[-1])
    if not (largest > 0.0 and value > float(np.trace(matrix))):
        return 1.0
    weights, ratio = weights / largest, value / largest

    def slope(zeta: float) -> float:
        return float(np.sum(weights / (1.0 - 2.0 * zeta * weights))) - ratio

    zeta = 0.25
    if slope(0.0) < 0.0:
        zeta = float(brentq(slope, 0.0, 0.5 * (1.0 - 0.5 / ratio), xtol=1e-12))  # pyright: ignore
    zeta /= largest
    for _ in range(60):
        try:
            root = cholesky(np.eye(n) - 2.0 * zeta * matrix, check_finite=False)
        except np.linalg.LinAlgError:  # beyond the largest eigenvalue of the whole matrix
            zeta *= 0.8
            continue
        exponent = -zeta * value - float(np.sum(np.log(np.diag(root))))
        return math.exp(min(exponent, 0.0))
    return 1.0


def least_sign_tail(n: int) -> float:
    """The least value of `sign_tail` over all matrices of n rows: that of n equal signs alone,
    M = 1 1^T, where exp(-n a / 2) (1 - a)^(-1/2) is least at a = 1 - 1/n."""
    return math.exp(-0.5 * (n - 1)) * math.sqrt(n)


def spectral_tail(kernel: np.ndarray, value: float) -> float:
    """P(sum_i lambda_i Z_i^2 >= value), the weights lambda_i being the eigenvalues of a positive
    semi-definite `kernel` matrix over its number of points."""
    weights = np.linalg.eigvalsh(kernel) / len(kernel)
    return quadratic_tail(weights[weights > 1e-10 * weights[-1]], value)
