"""Confidence intervals over independent repetitions, as a middle and a reach either way."""

import math

import numpy as np


def mean_interval(values: np.ndarray, level: float = 0.99) -> tuple[float, float]:
    """Mean of independent values `(n,)`, and how far Student's interval for the true one reaches.

    Infinite for one value, and where some value is not finite.
    """
    from scipy.special import stdtrit

    values = np.asarray(values, np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return float(np.mean(values)), math.inf
    quantile = float(stdtrit(n - 1, 0.5 + 0.5 * level))
    return float(np.mean(values)), quantile * float(np.std(values, ddof=1)) / math.sqrt(n)


def median_interval(values: np.ndarray) -> tuple[float, float]:
    """Median of independent values, and how far a 99% interval for the true one reaches.

    From order statistics (no assumption on the distribution); infinite below 8 values.
    """
    from scipy.special import bdtr

    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    # The true median is below the value of this index (from 0) with probability 0.005 at most.
    low = int(np.sum(bdtr(np.arange(n // 2), n, 0.5) <= 0.005)) - 1
    middle = float(np.median(ordered))
    if low < 0:
        return middle, float("inf")
    reach = max(middle - ordered[low], ordered[n - 1 - low] - middle)
    return middle, float(reach)
