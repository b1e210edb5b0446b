"""The tests of draws against other draws."""

import itertools

from jaxtyping import Array, PRNGKeyArray

from ..stats import (
    DistanceInterval,
    TestResult,
    kolmogorov_smirnov_two_sample,
    wasserstein,
)
from ._draws import Draws


def coordinates(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All indices of an array of this shape, row-major."""
    return list(itertools.product(*(range(size) for size in shape)))


def coordinate_name(index: tuple[int, ...]) -> str:
    """Name of a marginal's test: "ks" for a single coordinate, else "ks[i,j]"."""
    return "ks" if not index else f"ks[{','.join(str(i) for i in index)}]"


def check_shapes(draws: Draws, other: Draws) -> None:
    """`ValueError` for draws of different shapes."""
    if draws.shape != other.shape:
        raise ValueError(
            f"`targets`: draws of shape {other.shape} cannot be compared with draws of shape "
            f"{draws.shape}: give both the same observable."
        )


def marginal_samples(
    draws: Draws, other: Draws, key: PRNGKeyArray | Array
) -> tuple[dict[str, TestResult], DistanceInterval]:
    """Two-sample Kolmogorov-Smirnov in every coordinate, and Wasserstein-1 in the worst."""
    first, second = draws.points, other.points
    tests = {}
    indices = coordinates(draws.shape)
    for index in indices:
        tests[coordinate_name(index)] = kolmogorov_smirnov_two_sample(
            first[(..., *index)], second[(..., *index)]
        )
    worst = min(indices, key=lambda index: tests[coordinate_name(index)].p_value)
    return tests, wasserstein(first[(..., *worst)], second[(..., *worst)], key)
