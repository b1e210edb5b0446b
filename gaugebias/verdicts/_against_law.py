"""The tests of draws against a law."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ..stats import (
    DistanceInterval,
    TestResult,
    kolmogorov_smirnov,
    mean_detectable,
    mean_test,
    wasserstein,
)
from ._against_samples import compare_samples, coordinate_name, coordinates
from ._draws import Draws
from ._protocols import law_dimension
from ._row import REJECTED

# What a law raises for a question it cannot answer (`LawRefused` is a `ValueError`).
_NOT_OFFERED = (ValueError, KeyError, NotImplementedError)


class Comparison(eqx.Module):
    """Everything found about one target, before it becomes a row."""

    tests: dict[str, TestResult]
    score_variances: dict[str, float]
    wasserstein: DistanceInterval | None
    notes: tuple[str, ...]
    effective: float


def _evaluate(statistic: Callable[[Any], Any], points: np.ndarray, name: str) -> np.ndarray:
    """A statistic at every draw, whether it is written for one point or for many."""
    out = np.asarray(statistic(points), dtype=np.float64)
    if out.shape != points.shape[:1]:
        out = np.asarray(jax.vmap(statistic)(jax.numpy.asarray(points)), dtype=np.float64)
    if out.shape != points.shape[:1]:
        raise ValueError(f"the {name} statistic of the law must give one number a draw.")
    return out


def _scores(law: Any, points: np.ndarray) -> tuple[dict, dict, tuple[str, ...]]:
    tests: dict[str, TestResult] = {}
    variances: dict[str, float] = {}
    notes: list[str] = []
    if not callable(getattr(law, "statistic", None)):
        return tests, variances, ()
    for name in ("temperature", "exponent"):
        try:
            statistic = law.statistic(name)
            if statistic is None:
                continue
            mean, variance = (float(v) for v in law.expectation(statistic))
        except _NOT_OFFERED:
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
        tests[name] = mean_test(values, mean, variance)
        variances[name] = variance
    return tests, variances, tuple(notes)


def _quantile(law: Any) -> Callable[[Any], Any] | None:
    """The quantile function of a law on the line, where it has one."""
    for name in ("quantile", "ppf"):  # the second is scipy's name for it
        found = getattr(law, name, None)
        if callable(found):
            return found
    return None


def compare_law(
    draws: Draws, law: Any, name: str, key: PRNGKeyArray | Array, joint: bool, law_draws: int
) -> Comparison:
    """Marginals by Kolmogorov-Smirnov, score tests, Wasserstein-1; where the marginals are out of
    reach (many coordinates), draws of the law stand in for it."""
    dimension = law_dimension(law)
    if dimension != draws.dimension:
        raise ValueError(
            f"`targets`: the law {name!r} has {dimension} coordinates but a draw has shape "
            f"{draws.shape}, {draws.dimension} coordinates: observe the predictor of the law."
        )
    shape = getattr(law, "shape", draws.shape)
    if dimension > 1 and tuple(shape) != draws.shape:
        raise ValueError(
            f"`targets`: the law {name!r} is one of draws of shape {tuple(shape)}, not "
            f"{draws.shape}: reshape the observable."
        )
    points = draws.points.reshape(-1, *shape)
    bootstrap, sampling, relabelling = jax.random.split(key, 3)
    scores, variances, notes = _scores(law, points)
    tests: dict[str, TestResult] = {}
    marginals: dict[tuple[int, ...], Any] = {}
    if dimension == 1:
        # A law of one coordinate may write it as shape (1,); its marginal is on the line.
        plain = callable(getattr(law, "cdf", None)) and tuple(shape) == ()
        marginals[()] = law if plain else law.marginal(lambda x: x.reshape(()))
    elif callable(getattr(law, "marginal", None)) and getattr(law, "normalised", True):
        try:
            for index in coordinates(draws.shape):
                marginals[index] = (
                    law.coordinate(index)
                    if callable(getattr(law, "coordinate", None))
                    else law.marginal(lambda x, index=index: x[(..., *index)])
                )
        except _NOT_OFFERED:
            marginals = {}
    sampled = dimension > 1 and callable(getattr(law, "sample", None)) and (joint or not marginals)
    others = None
    if sampled:
        count = min(law_draws, max(1024, points.shape[0])) if marginals else law_draws
        others = Draws(np.asarray(law.sample(sampling, count), dtype=np.float64), None)
    if not marginals:
        if others is None:
            raise ValueError(
                f"`targets`: the law {name!r} offers neither marginals nor draws of its "
                f"{dimension} coordinates."
            )
        found = compare_samples(draws, others, relabelling, joint, bootstrap)
        return Comparison(
            {**found.tests, **scores},
            variances,
            found.wasserstein,
            (*notes, f"law by {others.last.shape[0]:,} of its draws"),
            found.effective,
        )
    for index, marginal in marginals.items():
        tests[coordinate_name(index)] = kolmogorov_smirnov(
            draws.points[(..., *index)], marginal.cdf
        )
    worst = min(marginals, key=lambda index: tests[coordinate_name(index)].p_value)
    quantile = _quantile(marginals[worst])
    interval = None
    if quantile is None:
        notes = (*notes, "no Wasserstein distance (no quantile function)")
    else:
        interval = wasserstein(draws.points[(..., *worst)], quantile, bootstrap)
    if others is not None and joint:
        tests["energy"] = compare_samples(draws, others, relabelling, True, None).tests["energy"]
    return Comparison({**tests, **scores}, variances, interval, notes, float(points.shape[0]))


def detectable(found: Comparison) -> dict[str, float]:
    """The smallest deviations rejected with probability 0.9 at the row's Bonferroni level."""
    from ..stats import ks_detectable

    level = REJECTED / len(found.tests)
    out = {"distance": ks_detectable(found.effective, level)}
    for name, variance in found.score_variances.items():
        n = found.tests[name].n
        out[name] = mean_detectable(n, variance, level) / variance
    return out
