"""The score tests that a law offers: of its temperature and of the exponent of its volume."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..stats import TestResult, mean_test
from ..stats._mean import saddlepoint_tail

# What a law raises for a question it cannot answer (`LawRefused` is a `ValueError`).
NOT_OFFERED = (ValueError, KeyError, NotImplementedError)

Statistics = dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, float, float]]


def _skewness(law: Any, statistic: Any, mean: float, variance: float, values: np.ndarray) -> float:
    """That of the statistic under the law; where the law cannot say, that of the draws, which a few
    draws know badly: of 8 draws with skewness -5, 1 in 2,000 would then reject the right law."""
    try:
        if callable(getattr(law, "skewness", None)):
            return float(law.skewness(statistic))
        third = law.expectation(lambda x: ((statistic(x) - mean) / variance**0.5) ** 3)[0]
        if np.isfinite(third):
            return float(third)
    except NOT_OFFERED:
        pass
    away = values - values.mean()
    spread = float(np.mean(away**2))
    return float(np.mean(away**3)) / spread**1.5 if spread > 0.0 else 0.0


def _evaluate(statistic: Callable[[Any], Any], points: np.ndarray, name: str) -> np.ndarray:
    """A statistic at every draw, whether it is written for one point or for many."""
    out = np.asarray(statistic(points), dtype=np.float64)
    if out.shape != points.shape[:1]:
        out = np.asarray(jax.vmap(statistic)(jax.numpy.asarray(points)), dtype=np.float64)
    if out.shape != points.shape[:1]:
        raise ValueError(f"the {name} statistic of the law must give one number a draw.")
    return out


def _by_saddlepoint(law: Any, statistic: Any, found: TestResult, away: float) -> TestResult:
    """The test with the tail of the statistic's own law, where the law can say. log V has skewness
    -5 and kurtosis 66 for w = uv: with 100 draws the central limit theorem rejects the right law at
    1e-6 in 4 of 10,000 runs."""
    if not callable(getattr(law, "distribution", None)) or found.p_value > 0.1:
        return found
    values, weights = law.distribution(statistic)
    sign = 1.0 if away > 0.0 else -1.0
    tail = saddlepoint_tail(sign * np.asarray(values), np.asarray(weights), abs(away), found.n)
    return eqx.tree_at(lambda test: test.p_value, found, float(min(1.0, 2.0 * tail)))


def score_tests(
    law: Any, points: np.ndarray
) -> tuple[dict[str, TestResult], Statistics, tuple[str, ...]]:
    """The tests by name, the statistics with their mean, variance and skewness under the law, and
    what could not be tested."""
    tests: dict[str, TestResult] = {}
    statistics: Statistics = {}
    notes: list[str] = []
    if not callable(getattr(law, "statistic", None)):
        return tests, statistics, ()
    for name in ("temperature", "exponent"):
        try:
            statistic = law.statistic(name)
            if statistic is None:
                continue
            mean, variance = (float(v) for v in law.expectation(statistic))
        except NOT_OFFERED:
            notes.append(f"no {name} score test")
            continue
        if not (np.isfinite(mean) and np.isfinite(variance) and variance > 0.0):
            notes.append(f"no {name} score test (its variance under the law is {variance:.3g})")
            continue
        values = _evaluate(statistic, points, name)
        if not np.all(np.isfinite(values)):
            # A draw where the density is zero or infinite, such as log V at V = 0.
            bad = int(np.count_nonzero(~np.isfinite(values)))
            notes.append(f"no {name} score test (not finite at {bad} draws)")
            continue
        skewness = _skewness(law, statistic, mean, variance, values)
        found = mean_test(values, mean, variance, skewness)
        tests[name] = _by_saddlepoint(law, statistic, found, float(np.mean(values)) - mean)

        def at(x: np.ndarray, statistic: Any = statistic, name: str = name) -> np.ndarray:
            return _evaluate(statistic, x, name)

        statistics[name] = (at, mean, variance, skewness)
    return tests, statistics, tuple(notes)
