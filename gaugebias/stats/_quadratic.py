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


def spectral_tail(kernel: np.ndarray, value: float) -> float:
    """P(sum_i lambda_i Z_i^2 >= value), the weights lambda_i being the eigenvalues of a positive
    semi-definite `kernel` matrix over its number of points."""
    weights = np.linalg.eigvalsh(kernel) / len(kernel)
    return quadratic_tail(weights[weights > 1e-10 * weights[-1]], value)
