"""The tests of draws against a law."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ..stats import (
    DistanceInterval,
    HalvingResult,
    TestResult,
    kolmogorov_smirnov,
    ks_detectable,
    mean_detectable,
    wasserstein,
)
from ._against_samples import check_shapes, coordinate_name, coordinates, marginal_samples
from ._draws import Draws
from ._halving import LEVELS, halving_against_law, halving_against_samples
from ._joint import joint_samples, rank_tests
from ._protocols import law_dimension
from ._row import REJECTED
from ._scores import NOT_OFFERED, score_tests
from ._stein import stein_test
from ._wanted import SAMPLE_TESTS, Wanted


class Comparison(eqx.Module):
    """Everything found about one target, before it becomes a row."""

    tests: dict[str, TestResult]
    score_shapes: dict[str, tuple[float, float]]  # variance and skewness under the law
    wasserstein: DistanceInterval | None
    notes: tuple[str, ...]
    effective: float
    halving: HalvingResult | None = None
    outside: int = 0  # draws where the law has no density


def _quantile(law: Any) -> Callable[[Any], Any] | None:
    """The quantile function of a law on the line, where it has one."""
    for name in ("quantile", "ppf"):  # the second is scipy's name for it
        found = getattr(law, name, None)
        if callable(found):
            return found
    return None


def _marginals(law: Any, draws: Draws, shape: tuple[int, ...]) -> dict[tuple[int, ...], Any]:
    """The law of every coordinate; empty where the law cannot say."""
    if draws.dimension == 1:
        # A law of one coordinate may write it as shape (1,); its marginal is on the line.
        if callable(getattr(law, "cdf", None)) and tuple(shape) == ():
            return {(): law}
        if callable(getattr(law, "marginal", None)):
            return {(): law.marginal(lambda x: x.reshape(()))}
        return {}
    if not callable(getattr(law, "marginal", None)) or not getattr(law, "normalised", True):
        return {}
    try:
        return {
            index: law.coordinate(index)
            if callable(getattr(law, "coordinate", None))
            else law.marginal(lambda x, index=index: x[(..., *index)])
            for index in coordinates(draws.shape)
        }
    except NOT_OFFERED:
        return {}


def _check_dimension(law: Any, draws: Draws, name: str) -> tuple[int, ...]:
    """The shape of the law's points; `ValueError` where it is not that of the draws."""
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
    return tuple(shape)


def compare_law(
    draws: Draws,
    law: Any,
    name: str,
    key: PRNGKeyArray | Array,
    wanted: Wanted,
    law_draws: int,
) -> Comparison:
    """The wanted tests against a law. Where marginals are out of reach (many coordinates), draws
    of the law stand in for it."""
    shape = _check_dimension(law, draws, name)
    dimension, points = draws.dimension, draws.points.reshape(-1, *shape)
    bootstrap, sampling, relabelling = jax.random.split(key, 3)
    wants = {test: wanted.wants(test, dimension) for test in ("ks", "scores", "energy", "mmd")}
    tests: dict[str, TestResult] = {}
    notes: tuple[str, ...] = ()
    scores, statistics = {}, {}
    if wants["scores"]:
        scores, statistics, notes = score_tests(law, points)
    marginals = _marginals(law, draws, shape) if wants["ks"] or draws.coarse is not None else {}
    others = None
    drawable = callable(getattr(law, "sample", None))
    pairwise = wants["energy"] or wants["mmd"]
    if wanted.names is not None and pairwise and not drawable:
        raise ValueError(f"`tests`: the law {name!r} offers no draws for the energy distance.")
    if drawable and (pairwise or (wants["ks"] and not marginals)):
        count = min(law_draws, max(1024, points.shape[0])) if marginals else law_draws
        drawn = np.asarray(law.sample(sampling, count), dtype=np.float64)
        others = Draws(drawn.reshape(count, *draws.shape), None)
        check_shapes(draws, others)
    interval, effective = None, float(points.shape[0])
    if wants["ks"]:
        if marginals:
            tests, interval = _against_marginals(draws, marginals, bootstrap)
            notes = notes if interval else (*notes, "no Wasserstein distance (no quantiles)")
        elif others is None:
            raise ValueError(
                f"`targets`: the law {name!r} offers neither marginals nor draws of its "
                f"{dimension} coordinates."
            )
        else:
            tests, interval = marginal_samples(draws, others, bootstrap)
            n, m = len(points), len(others.points)
            effective = n * m / (n + m)
            notes = (*notes, f"law by {m:,} of its draws")
    if others is not None and pairwise:
        keys = [
            relabelling if wants["energy"] else None,
            jax.random.fold_in(relabelling, 1) if wants["mmd"] else None,
        ]
        tests |= joint_samples(
            draws.points.reshape(len(points), -1), others.points.reshape(-1, dimension), *keys
        )
    for test in ("stein", "rank"):
        if not wanted.wants(test, dimension):
            continue
        own = jax.random.fold_in(key, 1 if test == "stein" else 2)
        try:
            if test == "stein":
                tests["stein"] = stein_test(law, points, own)
            else:
                tests |= rank_tests(law, points, own, law_draws)
        except NOT_OFFERED as error:
            if wanted.named(test):
                raise ValueError(f"`tests`: no {test} test of the law {name!r}: {error}") from error
            notes = (*notes, f"no {test} test ({error})")
    tests |= scores
    if not tests:
        raise ValueError(
            f"`tests`: the law {name!r} offers none of {', '.join(wanted.names or ())}."
        )
    shapes = {test: (variance, skew) for test, (_, _, variance, skew) in statistics.items()}
    halving = halving_against_law(draws, marginals, statistics, others)
    if halving is None and others is not None:
        halving = halving_against_samples(draws, others)
    if halving is None and draws.coarse is not None:
        notes = (*notes, "step size not checked (no marginals, statistics or draws of the law)")
    outside = _outside(law, points)
    if outside:
        notes = (*notes, f"{outside:,} of {len(points):,} draws lie outside of the law's domain")
    return Comparison(tests, shapes, interval, notes, effective, halving, outside)


def _outside(law: Any, points: np.ndarray) -> int:
    """How many draws lie where the law has no density, as far as it says."""
    contains = getattr(getattr(law, "domain", None), "contains", None)
    if not callable(contains):
        return 0
    flat = points.reshape(len(points), -1)
    return int(np.count_nonzero(~np.asarray(contains(flat), dtype=bool)))


def _against_marginals(
    draws: Draws, marginals: dict[tuple[int, ...], Any], key: PRNGKeyArray | Array
) -> tuple[dict[str, TestResult], DistanceInterval | None]:
    """Kolmogorov-Smirnov in every coordinate, and Wasserstein-1 in the worst."""
    tests = {
        coordinate_name(index): kolmogorov_smirnov(draws.points[(..., *index)], marginal.cdf)
        for index, marginal in marginals.items()
    }
    worst = min(marginals, key=lambda index: tests[coordinate_name(index)].p_value)
    quantile = _quantile(marginals[worst])
    if quantile is None:
        return tests, None
    return tests, wasserstein(draws.points[(..., *worst)], quantile, key)


def compare_draws(
    draws: Draws, other: Draws, name: str, key: PRNGKeyArray | Array, wanted: Wanted
) -> Comparison:
    """The wanted tests against other draws: those that need no law."""
    check_shapes(draws, other)
    bootstrap, relabelling = jax.random.split(key)
    dimension, n, m = draws.dimension, len(draws.points), len(other.points)
    wants = {test: wanted.wants(test, dimension) for test in SAMPLE_TESTS}
    if not any(wants.values()):
        raise ValueError(
            f"`tests`: {name!r} is a set of draws, which is compared by {', '.join(SAMPLE_TESTS)} "
            "only; the others need a law."
        )
    tests, interval = {}, None
    if wants["ks"]:
        tests, interval = marginal_samples(draws, other, bootstrap)
    if wants["energy"] or wants["mmd"]:
        tests |= joint_samples(
            draws.points.reshape(n, -1),
            other.points.reshape(m, -1),
            relabelling if wants["energy"] else None,
            jax.random.fold_in(relabelling, 1) if wants["mmd"] else None,
        )
    halving = halving_against_samples(draws, other)
    return Comparison(tests, {}, interval, (), n * m / (n + m), halving)


def detectable(found: Comparison) -> dict[str, float]:
    """The smallest deviations rejected with probability 0.9 at the row's Bonferroni level; with
    a step-halving run, beyond what the step may have caused."""
    level = REJECTED / len(found.tests)
    out = {}
    # Rejection needs both tests: 0.95 each makes 0.9 of the two.
    power = 0.9 if found.halving is None else 0.95
    if any(test.startswith("ks") for test in found.tests):
        out["distance"] = ks_detectable(found.effective, level, power)
    for name, (variance, skewness) in found.score_shapes.items():
        n = found.tests[name].n
        out[name] = mean_detectable(n, variance, level, power, skewness) / variance
    if found.halving is not None:
        beyond = found.halving.visible
        for name in out:
            # In standard deviations: at most 1/2 for an indicator, plus the grid's spacing.
            size = (
                0.5 * beyond + float(LEVELS[0])
                if name == "distance"
                else beyond / found.score_shapes[name][0] ** 0.5
            )
            out[name] = max(out[name], size)
    return {name: min(1.0, size) if name == "distance" else size for name, size in out.items()}
