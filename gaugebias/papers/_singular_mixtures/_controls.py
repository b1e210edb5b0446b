"""What is seen if the start, and not the chart, is what matters; and where a floor costs."""

import math

import numpy as np

from .._claim import Claim, judge
from ._run import Result
from ._statistics import faster, mean_interval, ratio_text, speed_up


def controls(result: Result) -> tuple[Claim, ...]:
    """The same starts in other charts, and floors above the truth."""
    return (
        _idle(result),
        *(_same_start(result, trainer) for trainer in ("descent", "network")),
        _too_high(result),
        _idle_fits(result),
    )


def _idle(result: Result) -> Claim:
    one, other = (result.race("em", chart, "floor") for chart in ("absolute", "floored"))
    equal = speed_up(one, other)[2]
    return Claim(
        "em-same-start",
        "From one start at the floor EM takes equally many steps with the floor and without in at "
        "least 90% of pairs: what a floor changes is the start.",
        "control",
        f"{equal:.0%} equal; " + ratio_text(one, other),
        judge(equal, 0.9, 1.0),
    )


def _same_start(result: Result, trainer: str) -> Claim:
    charts = {
        chart: result.race(trainer, chart, "floor") for chart in ("absolute", "relative", "floored")
    }
    verdicts = {faster(charts[chart], charts["absolute"]) for chart in ("relative", "floored")}
    worst = next(v for v in ("not supported", "undecided", "supported") if v in verdicts)
    return Claim(
        f"{'gd' if trainer == 'descent' else trainer}-same-start",
        "From one start at the floor gradient descent is fastest in absolute coordinates: the "
        "relative and the floored chart take more steps (median ratios above 1, 99% intervals).",
        "control",
        "; ".join(
            f"{chart}: {ratio_text(charts[chart], charts['absolute'])}"
            for chart in ("relative", "floored")
        ),
        worst,
    )


def _too_high(result: Result) -> Claim:
    truth = min(t for t in result.settings.truths if t > 0)
    floor = max(result.settings.floors)
    scale = 2.0 * result.settings.set_size
    high, free = result.fit(truth, floor), result.fit(truth, 0.0)
    gap, reach = mean_interval(scale * (high.divergence - free.divergence))
    return Claim(
        "floor-too-high",
        f"A floor of {floor:g} over a true difference of {truth:g} costs test log-likelihood (mean "
        "of 2n times the loss over the same data sets above 0, 99% interval): a floor helps by its "
        "knowledge of the truth.",
        "control",
        f"loss {gap:.2f} +- {reach:.2f}; the best of the chart {scale * high.bias:.2f}",
        judge(gap, np.finfo(float).tiny, math.inf, error=reach) if floor > truth else "undecided",
    )


def _idle_fits(result: Result) -> Claim:
    truth = max(result.settings.truths)
    floor = min(f for f in result.settings.floors if f > 0)
    one, other = (result.fit(truth, f).divergence for f in (0.0, floor))
    worst = float(np.max(np.abs(one - other)))
    return Claim(
        "floor-far-below",
        f"At a true difference of {truth:g} a floor of {floor:g} changes no fit (to 1e-6).",
        "control",
        f"largest change of the divergence {worst:.0e}",
        judge(worst, 0.0, 1e-6),
    )
