"""The claims, held against the numbers."""

import numpy as np

from .._claim import Claim, judge
from .._intervals import median_interval
from .._verdicts import all_of
from ._run import Estimation, RandomStart, Result, Sensing


def _list(values, form: str = ".4g") -> str:
    return ", ".join(format(float(v), form) for v in values)


def claims(result: Result) -> tuple[Claim, ...]:
    """Six claims of the abstract, and what we derived to make them quantitative."""
    return (
        _order(result),
        _bracket(result),
        _depth(result),
        _windows(result),
        _windows_there(result),
        _monotone(result),
        _random_order(result),
        _random_ranks(result),
        *_sensing(result),
        _perturbed(result),
    )


def controls(result: Result) -> tuple[Claim, ...]:
    """What is seen without depth, from a large start, and without exact ties."""
    return (
        _depth_one(result),
        _large(result),
        *_sensing_depth_one(result),
        _reduction(result),
        _trap(result),
    )


def _order(result: Result) -> Claim:
    ordered = [bool(np.all(np.diff(each.passages) > 0)) for each in result.estimation]
    finite = all(np.isfinite(each.passages).all() for each in result.estimation)
    measured = "; ".join(f"N={e.depth}: {_list(e.passages, '.0f')}" for e in result.estimation)
    accuracy = 1.0 - result.settings.accuracy
    return Claim(
        "larger-first",
        f"Steps to {accuracy:.0%} of each eigenvalue grow as it falls, at every depth.",
        "published",
        measured,
        judge(float(all(ordered) and finite), 1.0, 1.0),
    )


def _bracket(result: Result) -> Claim:
    outside = sum(
        int(np.sum((e.passages < e.brackets.lower) | (e.passages > e.brackets.upper)))
        for e in result.estimation
    )
    flow = "; ".join(f"N={e.depth}: {_list(e.brackets.flow, '.0f')}" for e in result.estimation)
    return Claim(
        "flow-times",
        "Those steps lie in the rigorous bracket about the exact flow time T/eta, every one.",
        "derived",
        f"{outside} outside; T/eta {flow}",
        judge(outside, 0, 0),
    )


def _depth(result: Result) -> Claim:
    depths, values = result.settings.compared_depths, result.separations
    return Claim(
        "depth-separates",
        "From one product scale alpha^N, the step at which the second eigenvalue is at 10% over "
        "that of the first at 90% grows with depth.",
        "published",
        "; ".join(f"N={n}: {v:.3f}" for n, v in zip(depths, values, strict=True)),
        judge(float(np.min(np.diff(values))), np.finfo(float).tiny, np.inf),
    )


def _inside(estimation: Estimation) -> tuple[int, int, list[str]]:
    """Steps inside windows, violations there, and the ranges seen."""
    seen = wrong = 0
    ranges = []
    for window in estimation.windows:
        if window.empty:
            continue
        last = int(min(window.last, len(estimation.effective_rank) - 1))
        part = estimation.effective_rank[int(window.first) : last + 1]
        if not len(part):
            continue
        slack = 1e-9
        bad = (part < window.lower - slack) | (part > window.upper + slack)
        seen, wrong = seen + len(part), wrong + int(bad.sum())
        ranges.append(f"{part.min():.4f}-{part.max():.4f} ({window.target:.4g})")
    return seen, wrong, ranges


def _windows(result: Result) -> Claim:
    parts = [_inside(each) for each in result.estimation]
    seen, wrong = sum(p[0] for p in parts), sum(p[1] for p in parts)
    measured = "; ".join(
        f"N={e.depth}: {', '.join(p[2])}" for e, p in zip(result.estimation, parts, strict=True)
    )
    return Claim(
        "low-rank-windows",
        "In the explicit windows the effective rank stays within the derived bounds of that of the "
        "best low-rank approximation (in brackets), at every step.",
        "published",
        f"{wrong} of {seen} steps outside; {measured}",
        judge(wrong, 0, 0) if seen else "undecided",
    )


def _windows_there(result: Result) -> Claim:
    """At which depth each rank has a window."""
    there = {e.depth: [w.rank for w in e.windows if not w.empty] for e in result.estimation}
    deepest = result.estimation[-1]
    full = float(len(there[deepest.depth]) == len(deepest.windows))
    return Claim(
        "windows-exist",
        f"At depth {deepest.depth} every rank has a window (shallower ones may have none).",
        "derived",
        "ranks with a window: " + "; ".join(f"N={n}: {r}" for n, r in there.items()),
        judge(full, 1.0, 1.0),
    )


def _monotone(result: Result) -> Claim:
    falls, lowest = [], []
    for each in result.estimation:
        rank = each.effective_rank
        at = int(np.argmin(rank))
        after = rank[at:]
        falls.append(float(np.max(np.maximum.accumulate(after) - after)))
        lowest.append(at)
    return Claim(
        "rank-grows",
        "After its minimum the effective rank never falls by more than 1e-4 in all (it does fall, "
        "by that little, where zero eigenvalues are still decaying).",
        "published",
        f"minimum at steps {_list(lowest, '.0f')}; falls {_list(falls, '.1e')}",
        judge(max(falls), 0.0, 1e-4),
    )


def _ordered_seeds(each: RandomStart) -> int:
    return int(np.sum(np.all(np.diff(each.passages, axis=1) > 0, axis=1)))


def _random_order(result: Result) -> Claim:
    counts = [(each.depth, _ordered_seeds(each), len(each.passages)) for each in result.random]
    return Claim(
        "random-order",
        "From small Gaussian starts eigenvalues reach 90% in the order of their size, in every "
        "seed.",
        "published",
        "; ".join(f"N={n}: {k} of {m} seeds" for n, k, m in counts),
        judge(float(min(k / m for _, k, m in counts)), 1.0, 1.0),
    )


def _random_ranks(result: Result) -> Claim:
    worst = [np.median(each.nearest, axis=0) for each in result.random]
    intervals = [median_interval(rank) for each in result.random for rank in each.nearest.T]
    return Claim(
        "random-ranks",
        "From Gaussian starts the effective rank still passes within 5% of that of every best "
        "low-rank approximation in turn (median over seeds).",
        "published",
        "; ".join(
            f"N={each.depth}: {_list(100 * w, '.2g')}%"
            for each, w in zip(result.random, worst, strict=True)
        ),
        all_of(*(judge(middle, -np.inf, 0.05, error=reach) for middle, reach in intervals)),
    )


def _sensing(result: Result) -> tuple[Claim, ...]:
    deep = [each for each in result.sensing if each.depth > 1]
    truth = sum(result.settings.sensing_spectrum) / result.settings.sensing_spectrum[0]
    errors = [median_interval(each.errors) for each in deep]
    ranks = [median_interval(np.abs(each.ranks / truth - 1.0)) for each in deep]

    def text(pairs, scale=1.0):
        return "; ".join(
            f"N={e.depth}: {scale * m:.3g} +- {scale * r:.2g}"
            for e, (m, r) in zip(deep, pairs, strict=True)
        )

    return (
        Claim(
            "sensing-recovers",
            "Sensing with fewer measurements than unknowns from a small identical start recovers "
            "the target to 10% at every depth from 2 (median over seeds, with its 99% interval).",
            "published",
            text(errors),
            all_of(*(judge(middle, -np.inf, 0.1, error=reach) for middle, reach in errors)),
        ),
        Claim(
            "sensing-rank",
            f"There the effective rank ends within 5% of the target's {truth:.3g} (median of the "
            "relative distance, with its 99% interval).",
            "published",
            text(ranks),
            all_of(*(judge(middle, -np.inf, 0.05, error=reach) for middle, reach in ranks)),
        ),
    )


def _perturbed(result: Result) -> Claim:
    errors = result.trap.perturbed
    return Claim(
        "perturbed-signs",
        "From the perturbed start every eigenvalue, negative ones too, is recovered to 1e-3.",
        "derived",
        "; ".join(f"N={n}: {e:.1e}" for n, e in zip(result.settings.depths, errors, strict=True)),
        judge(max(errors), 0.0, 1e-3),
    )


def _depth_one(result: Result) -> Claim:
    values = dict(zip(result.settings.compared_depths, result.separations, strict=True))
    value = values.get(1, float("nan"))
    return Claim(
        "no-depth",
        "Without depth (N = 1) the second eigenvalue does not wait: the same ratio is below 0.5.",
        "control",
        f"{value:.3f}",
        judge(value, -np.inf, 0.5),
    )


def _large(result: Result) -> Claim:
    values = result.large_separations
    return Claim(
        "large-start",
        f"From a large start, alpha^N = {result.settings.large_scale:g}, no depth separates: the "
        "ratio is below 1 at every one.",
        "control",
        "; ".join(
            f"N={n}: {v:.3f}" for n, v in zip(result.settings.compared_depths, values, strict=True)
        ),
        judge(float(np.max(values)), -np.inf, 1.0),
    )


def _sensing_depth_one(result: Result) -> tuple[Claim, ...]:
    flat = [each for each in result.sensing if each.depth == 1]
    if not flat:
        return ()
    each: Sensing = flat[0]
    middle, reach = median_interval(each.errors)
    return (
        Claim(
            "sensing-no-depth",
            "At depth 1 from 0 (the least Frobenius norm) the same measurements are fitted to 1e-6 "
            "and the target is missed by more than 30% (median).",
            "control",
            f"error {middle:.3g} +- {reach:.2g}, misfit {each.residuals.max():.0e}, effective rank "
            f"{np.median(each.ranks):.3g}",
            judge(middle, 0.3, np.inf, error=reach)
            if each.residuals.max() <= 1e-6
            else "undecided",
        ),
    )


def _reduction(result: Result) -> Claim:
    worst = max(result.reduction_error)
    return Claim(
        "reduction",
        "Descent on the matrices agrees with the recursion on eigenvalues to 1e-9 of the largest.",
        "control",
        _list(result.reduction_error, ".0e"),
        judge(worst, 0.0, 1e-9),
    )


def _trap(result: Result) -> Claim:
    trap = result.trap
    least = min(result.settings.trap_spectrum)
    apart = abs(trap.factors - least) < 1e-3 and max(abs(trap.tied), abs(trap.recursion)) < 1e-3
    return Claim(
        "saddle-trap",
        f"With an eigenvalue {least:g} at depth 2 exact ties end at 0 (recursion and tied "
        "factors), a strict saddle: a tie broken by 1e-12, as by rounding, finds it; all to 1e-3.",
        "control",
        f"recursion {trap.recursion:.1e}, tied {trap.tied:.1e}, broken {trap.factors:.4f}",
        judge(float(apart), 1.0, 1.0),
    )
