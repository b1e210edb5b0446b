"""Tests of all coordinates at once, and by the law's own draws."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ..stats import TestResult, energy_distance, maximum_mean_discrepancy, rank_test

# Draws of the law for each draw of the process: one part in 20 of the information is lost.
RANK_DRAWS = 19


def joint_samples(
    first: np.ndarray,
    second: np.ndarray,
    energy_key: PRNGKeyArray | Array | None,
    mmd_key: PRNGKeyArray | Array | None,
) -> dict[str, TestResult]:
    """Energy distance and maximum mean discrepancy (those with a key), each coordinate in units of
    its pooled standard deviation: a scale that does not know which draw is whose keeps the
    relabellings exact."""
    scale = np.std(np.concatenate([first, second]), axis=0, keepdims=True)
    scale = np.where(scale > 0.0, scale, 1.0)
    tests = {}
    if energy_key is not None:
        tests["energy"] = energy_distance(first / scale, second / scale, energy_key)
    if mmd_key is not None:
        tests["mmd"] = maximum_mean_discrepancy(first / scale, second / scale, mmd_key)
    return tests


def _log_density(law: Any, points: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        values = np.asarray(law.log_density(jax.numpy.asarray(points)), dtype=np.float64)
    most = np.finfo(np.float64).max
    return np.nan_to_num(values, nan=-most, posinf=most, neginf=-most)


def rank_tests(
    law: Any, points: np.ndarray, key: PRNGKeyArray | Array, law_draws: int
) -> dict[str, TestResult]:
    """Rank checks of every coordinate, and of the law's log density where it offers one.

    Every draw (n, *shape) has its own 19 draws of the law. In more than three dimensions, where
    those cost a Markov chain, only `law_draws` of them are made and the first draws tested.
    """
    if not callable(getattr(law, "sample", None)):
        raise ValueError("the law offers no draws (`sample`)")
    dimension = points.reshape(len(points), -1).shape[1]
    n = len(points) if dimension <= 3 else min(len(points), max(8, law_draws // RANK_DRAWS))
    points = points[:n]
    sampling, *ties = jax.random.split(key, dimension + 2)
    drawn = np.asarray(law.sample(sampling, n * RANK_DRAWS), dtype=np.float64)
    flat, among = points.reshape(n, -1), drawn.reshape(n, RANK_DRAWS, -1)
    tests = {}
    for i in range(dimension):
        name = "rank" if dimension == 1 else f"rank[{i}]"
        tests[name] = rank_test(flat[:, i], among[..., i], ties[i])
    if callable(getattr(law, "log_density", None)):
        tests["rank[density]"] = rank_test(
            _log_density(law, points),
            _log_density(law, drawn).reshape(n, RANK_DRAWS),
            ties[dimension],
        )
    return tests
