"""Moments from quadrature points, where tails do not decide them."""

import math

import numpy as np

SEEN, _RARE = 1e-18, 1e-15  # probabilities of quadrature points
_SHARE = 1e-3  # of a moment, from points rarer than that: what lies beyond is of the same size


def moments_of(values: np.ndarray, weights: np.ndarray, law: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of `values`, shape `(N, ...)`, with probabilities `weights`, `(N,)`, of
    sum one.

    The variance is given as infinite where points that are rarer than 1e-15 decide more than 1e-3
    of it: there it is, or quadrature does not reach where it comes from.

    **Raises:** `ValueError` where they decide so much of the mean.
    """
    rare = weights < _RARE
    mean = np.tensordot(weights, values, (0, 0))
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (values - mean[None]) ** 2
        variance = np.tensordot(weights, squares, (0, 0))
    if not np.any(rare):
        return mean, variance
    size, far = (np.tensordot(w, np.abs(v), (0, 0)) for w, v in _both(values, weights, rare))
    if np.any(far > _SHARE * size):
        raise ValueError(
            f"`fn` has no mean under the {law} law that quadrature can find: values of probability "
            "below 1e-15 decide it. Take a statistic that grows more slowly, or quantiles."
        )
    whole, far = (np.tensordot(w, v, (0, 0)) for w, v in _both(squares, weights, rare))
    return mean, np.where(far > _SHARE * whole, math.inf, variance)


def skewness_of(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Third standardised moment of `values`, as `moments_of`; 0 where nothing varies."""
    away = values - np.tensordot(weights, values, (0, 0))[None]
    variance, third = (np.tensordot(weights, away**k, (0, 0)) for k in (2, 3))
    scale = np.where(variance > 0.0, variance, 1.0) ** 1.5
    return np.where(variance > 0.0, third / scale, 0.0)


def _both(values: np.ndarray, weights: np.ndarray, rare: np.ndarray):
    return (weights, values), (weights[rare], values[rare])
