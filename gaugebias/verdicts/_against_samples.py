"""The tests of draws against other draws."""

import itertools
from typing import Any

import equinox as eqx
import numpy as np

from ..stats import (
    DistanceInterval,
    TestResult,
    energy_distance,
    kolmogorov_smirnov_two_sample,
    wasserstein,
)
from ._draws import Draws


class SampleComparison(eqx.Module):
    """Tests by name, the worst coordinate's Wasserstein interval, n m / (n + m)."""

    tests: dict[str, TestResult]
    wasserstein: DistanceInterval | None
    effective: float


def coordinates(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All indices of an array of this shape, row-major."""
    return list(itertools.product(*(range(size) for size in shape)))


def coordinate_name(index: tuple[int, ...]) -> str:
    """Name of a marginal's test: "ks" for a single coordinate, else "ks[i,j]"."""
    return "ks" if not index else f"ks[{','.join(str(i) for i in index)}]"


def compare_samples(
    draws: Draws, other: Draws, energy_key: Any, joint: bool, bootstrap_key: Any
) -> SampleComparison:
    """Two-sample Kolmogorov-Smirnov per coordinate, and in several coordinates the energy
    distance on the scale of the pooled standard deviations. Without `bootstrap_key` only the
    energy distance is computed."""
    if draws.shape != other.shape:
        raise ValueError(
            f"`targets`: draws of shape {other.shape} cannot be compared with draws of shape "
            f"{draws.shape}: give both the same observable."
        )
    first, second = draws.points, other.points
    n, m = first.shape[0], second.shape[0]
    tests: dict[str, TestResult] = {}
    interval = None
    if bootstrap_key is not None:
        indices = coordinates(draws.shape)
        for index in indices:
            tests[coordinate_name(index)] = kolmogorov_smirnov_two_sample(
                first[(..., *index)], second[(..., *index)]
            )
        worst = min(indices, key=lambda index: tests[coordinate_name(index)].p_value)
        interval = wasserstein(first[(..., *worst)], second[(..., *worst)], bootstrap_key)
    if joint and draws.dimension > 1:
        # A scale that does not know which draw is whose keeps the relabellings exact.
        scale = np.std(np.concatenate([first, second]), axis=0, keepdims=True)
        scale = np.where(scale > 0.0, scale, 1.0)
        tests["energy"] = energy_distance(first / scale, second / scale, energy_key)
    return SampleComparison(tests, interval, n * m / (n + m))
