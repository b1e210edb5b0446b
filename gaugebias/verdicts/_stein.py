"""The Stein discrepancy of draws from a law: its score, and a weight that vanishes at walls."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ..stats import TestResult, kernel_stein


def _factor(distance: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """d / (d + scale) and its derivative in d: linear at the wall, 1 far from it."""
    return distance / (distance + scale), scale / (distance + scale) ** 2


def wall_weight(domain: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A weight that vanishes linearly at every wall of a domain, and its gradient at `points`.

    Walls are finite bounds, breaks (where a density may be singular) and, for ordered
    coordinates, x_i = x_(i+1). The length it rises over is the standard deviation of the draws.
    None where there is no wall.

    **Raises:** `ValueError` for points outside of the domain.
    """
    bounds = [(i, b, 1.0) for i, b in enumerate(domain.lower) if np.isfinite(b)]
    bounds += [(i, b, -1.0) for i, b in enumerate(domain.upper) if np.isfinite(b)]
    outside = int(np.count_nonzero(~domain.contains(points)))
    if outside:
        raise ValueError(
            f"{outside} of {len(points)} draws lie outside of the law's domain, where it has no "
            "score"
        )
    factors: list[tuple[np.ndarray, np.ndarray]] = []

    def wall(direction: np.ndarray, distance: np.ndarray, scale: float) -> None:
        value, slope = _factor(np.abs(distance), scale)
        towards = (slope * np.sign(distance))[:, None] * direction[None, :]
        factors.append((value, towards))

    unit = np.eye(points.shape[1])
    spread = np.std(points, axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    for i, b, sign in bounds:
        wall(sign * unit[i], sign * (points[:, i] - b), float(spread[i]))
    for i, breaks in enumerate(domain.breaks):
        for b in breaks:
            wall(unit[i], points[:, i] - b, float(spread[i]))
    if domain.ordered:
        for i in range(points.shape[1] - 1):
            gap = points[:, i] - points[:, i + 1]
            wall(unit[i] - unit[i + 1], gap, float(np.mean(gap)) or 1.0)
    if not factors:
        return None
    values = np.stack([value for value, _ in factors])
    gradient = np.zeros_like(points)
    for j, (_, towards) in enumerate(factors):
        others = np.prod(np.delete(values, j, axis=0), axis=0)
        gradient += others[:, None] * towards
    return np.prod(values, axis=0), gradient


def tail_index(sizes: np.ndarray) -> float:
    """An upper limit (Hill's estimate plus two standard errors) for the exponent a of a tail
    P(size > t) ~ t^-a, from the largest sqrt(n) of n positive numbers."""
    ordered = np.sort(sizes[sizes > 0.0])
    k = math.isqrt(ordered.size)
    if k < 2 or ordered[-1] == ordered[-k - 1]:
        return math.inf
    hill = 1.0 / float(np.mean(np.log(ordered[-k:] / ordered[-k - 1])))
    return hill * (1.0 + 2.0 / math.sqrt(k))


def stein_test(law: Any, points: np.ndarray, key: PRNGKeyArray | Array) -> TestResult:
    """`kernel_stein` of draws of shape (n, *shape) from a law.

    **Raises:** `ValueError` where the law offers no score, draws lie outside of its domain, the
    score is not finite at a draw, or has so heavy a tail that the Stein identity and the
    statistic's null law are in doubt (tail index below 2: no finite variance). So it is where the
    density is singular on a surface that is no wall of the domain: near det W = 0 with density
    |det W|^(-1/2) the score is 1 / (2 distance), and E |score| is infinite.
    """
    if not callable(getattr(law, "score", None)):
        raise ValueError("the law offers no `score`")
    with jax.enable_x64(True):
        scores = np.asarray(law.score(jnp.asarray(points)), dtype=np.float64)
    flat, scores = points.reshape(len(points), -1), scores.reshape(len(points), -1)
    bad = int(np.count_nonzero(~np.all(np.isfinite(scores), axis=1)))
    if bad:
        raise ValueError(f"the law's score is not finite at {bad} of {len(points)} draws")
    domain = getattr(law, "domain", None)
    # A law that names no walls is taken to live on the whole space.
    found = None if not hasattr(domain, "lower") else wall_weight(domain, flat)
    weight, slope = (None, None) if found is None else found
    scale = np.std(flat, axis=0, keepdims=True)
    size = scores if found is None else found[0][:, None] * scores + found[1]
    index = tail_index(np.linalg.norm(size * scale, axis=1))
    if index < 2.0:
        raise ValueError(
            f"its score has no finite variance (tail index at most {index:.2g} at the draws): the "
            "density is singular off the walls of the law's domain, which must be named as breaks"
        )
    return kernel_stein(flat, scores, key, weight, slope)
