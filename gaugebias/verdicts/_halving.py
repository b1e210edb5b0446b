"""What of a deviation is due to the step: test functions of both runs of a step halving."""

from typing import Any

import numpy as np

from ..stats import HalvingResult, step_halving_test
from ._against_samples import coordinates
from ._draws import Draws
from ._row import REJECTED
from ._scores import Statistics

# Indicators of a marginal's quantiles k / 16: a deviation of the distribution function between
# two of them shows in one of them up to 1 / 16.
LEVELS = np.arange(1, 16) / 16


class _Functions:
    """Test functions of the coarse and the fine draws, with mean and variance under the target."""

    def __init__(self) -> None:
        self.coarse: list[np.ndarray] = []
        self.fine: list[np.ndarray] = []
        self.mean: list[np.ndarray] = []
        self.variance: list[np.ndarray] = []
        self.error: list[np.ndarray] = []

    def add(self, coarse: Any, fine: Any, mean: Any, variance: Any, error: Any = 0.0) -> None:
        columns = np.asarray(fine, dtype=float).reshape(len(fine), -1)
        self.fine.append(columns)
        self.coarse.append(np.asarray(coarse, dtype=float).reshape(columns.shape))
        for kept, value in zip(
            (self.mean, self.variance, self.error), (mean, variance, error), strict=True
        ):
            kept.append(np.broadcast_to(np.asarray(value, dtype=float), columns.shape[1:]))

    def test(self) -> HalvingResult:
        return step_halving_test(
            np.concatenate(self.coarse, axis=1),
            np.concatenate(self.fine, axis=1),
            np.concatenate(self.mean),
            np.concatenate(self.variance),
            np.concatenate(self.error),
            level=REJECTED,
        )


def _add_quadrants(functions: _Functions, draws: Draws, coarse: np.ndarray, other: Draws) -> None:
    """Indicators that two coordinates lie below the medians of the target's draws, whose means are
    estimated: marginals do not see dependence."""
    runs = [p.reshape(len(p), -1) for p in (coarse, draws.points, other.points)]
    medians = np.median(runs[2], axis=0, keepdims=True)
    low, fine, target = (points <= medians for points in runs)
    first, second = np.triu_indices(draws.dimension, 1)
    if first.size:
        both = [x[:, first] & x[:, second] for x in (low, fine, target)]
        m = len(target)
        mean = np.mean(both[2], axis=0)
        variance = np.clip(mean * (1.0 - mean), 1.0 / m, None)
        functions.add(both[0], both[1], mean, variance, np.sqrt(variance / m))


def halving_against_law(
    draws: Draws,
    marginals: dict[tuple[int, ...], Any],
    statistics: Statistics,
    others: Draws | None,
) -> HalvingResult | None:
    """Against a law with marginals and sufficient statistics, and its draws for dependence; None
    where it offers no marginals and no statistics."""
    coarse = draws.coarse_points
    if coarse is None or not (marginals or statistics):
        return None
    functions = _Functions()
    for index, marginal in marginals.items():
        low, fine = (
            np.asarray(marginal.cdf(points[(..., *index)]))[:, None] <= LEVELS[None, :]
            for points in (coarse, draws.points)
        )
        functions.add(low, fine, LEVELS, LEVELS * (1.0 - LEVELS))
    for statistic, mean, variance, _ in statistics.values():
        functions.add(statistic(coarse), statistic(draws.points), mean, variance)
    if others is not None:
        _add_quadrants(functions, draws, coarse, others)
    return functions.test()


def halving_against_samples(draws: Draws, other: Draws) -> HalvingResult | None:
    """Against independent draws: indicators of their own quantiles, whose means are estimated."""
    coarse = draws.coarse_points
    if coarse is None:
        return None
    functions = _Functions()
    m = len(other.points)
    variance = LEVELS * (1.0 - LEVELS)
    for index in coordinates(draws.shape):
        edges = np.quantile(other.points[(..., *index)], LEVELS)
        low, fine = (p[(..., *index)][:, None] <= edges[None, :] for p in (coarse, draws.points))
        functions.add(low, fine, LEVELS, variance, np.sqrt(variance / m))
    _add_quadrants(functions, draws, coarse, other)
    return functions.test()
