"""The claims, held against the numbers."""

import math

import numpy as np

from .._claim import Claim, judge
from ._collisions import Curve
from ._run import Result
from ._statistics import faster, mean_interval, ratio_text

TWO_PERCENT = 0.02


def claims(result: Result) -> tuple[Claim, ...]:
    """Claims of the abstract, made measurable, and what we derived beside them."""
    return (
        _plateaus(result),
        _extra(result),
        _charts(result),
        _neurons(result),
        _em(result),
        _descent(result, "relative", "near"),
        _descent(result, "floored", "floor"),
        _network(result),
        _shape(result),
        _fisher(result),
        _generalises(result),
        _regular(result),
        _singular(result),
        _iris_charts(result),
        _iris_ends(result),
    )


def _halves(curves: list[Curve]) -> tuple[float, str]:
    """The worst relative error of half-times, and the numbers."""
    errors = [abs(each.half / each.law_half - 1.0) for each in curves]
    text = "; ".join(
        f"{'natural' if e.natural else e.chart} from {e.start:g}: {e.half:.4g} ({e.law_half:.4g})"
        for e in curves
    )
    return max(errors), text


def _plateaus(result: Result) -> Claim:
    chosen = [e for e in result.curves if e.what == "mixture" and e.chart == "centred"]
    worst, text = _halves([e for e in chosen if not math.isnan(e.law_half)])
    return Claim(
        "plateau-times",
        "Two components that nearly coincide: the times to half of their true difference are those "
        "of the reduced law (in brackets) to 2%, for gradient flow, whose plateau grows without "
        "bound, and for natural gradient flow, which has none.",
        "derived",
        text,
        judge(worst, 0.0, TWO_PERCENT),
    )


def _extra(result: Result) -> Claim:
    (curve,) = (e for e in result.curves if e.what == "mixture" and math.isnan(e.law_half))
    worst = float(np.max(np.abs(curve.difference / curve.law - 1.0)))
    return Claim(
        "extra-component",
        "With one component more than needed the difference decays as t^(-1/2), by the reduced law "
        "to 2% at all times.",
        "derived",
        f"{curve.start:g} to {curve.difference[-1]:.4f} ({curve.law[-1]:.4f}), worst {worst:.2%}",
        judge(worst, 0.0, TWO_PERCENT),
    )


def _charts(result: Result) -> Claim:
    chosen = [e for e in result.curves if e.what == "mixture" and e.chart != "centred"]
    worst, text = _halves(chosen)
    return Claim(
        "charts-slow",
        "Near the singular set gradient flow in (theta_1, delta) is slower than in the centred "
        "chart by 1 + w^2, and in (theta_1, theta_2) faster by w^2 + (1 - w)^2 (law in brackets), "
        "to 2%.",
        "derived",
        text,
        judge(worst, 0.0, TWO_PERCENT),
    )


def _neurons(result: Result) -> Claim:
    worst, text = _halves([e for e in result.curves if e.what == "network"])
    return Claim(
        "neurons-collide",
        "Two neurons of one hidden layer that nearly coincide follow the same law, at the rate "
        "that the expansion gives after all fast directions are projected out, to 2%, where their "
        "output weights are equal (else only to a relative O(difference)).",
        "published",
        text,
        judge(worst, 0.0, TWO_PERCENT),
    )


def _em(result: Result) -> Claim:
    slow, fast = (result.race("em", chart, "near") for chart in ("absolute", "floored"))
    return Claim(
        "em-faster",
        "From near the singular set EM is faster with a floor under the difference of means than "
        "without, by a factor of 1.5 or more in the median (99% interval). Known to fail in these "
        "charts: there is little between them.",
        "published",
        ratio_text(slow, fast),
        faster(slow, fast, by=1.5),
        expected="not supported",
    )


def _descent(result: Result, chart: str, start: str) -> Claim:
    slow, fast = (
        result.race("descent", "absolute", "near"),
        result.race("descent", chart, start),
    )
    what = {
        "relative": "in relative coordinates from the same start",
        "floored": "in floored relative coordinates from the floor",
    }
    return Claim(
        f"gd-{chart}-faster",
        f"Gradient descent {what[chart]} takes fewer steps than in absolute ones from near the "
        "singular set, each at the rate of its own Fisher matrix (one over the largest eigenvalue, "
        "at the truth; median ratio above 1, 99% interval). Known to fail in these charts.",
        "published",
        ratio_text(slow, fast),
        faster(slow, fast),
        expected="not supported",
    )


def _network(result: Result) -> Claim:
    slow = result.race("network", "absolute", "near")
    fast = result.race("network", "floored", "floor")
    return Claim(
        "network-faster",
        "The same for a network of two neurons in floored relative coordinates, from the floor. "
        "Known to fail: at the floor the slope of the chart itself is small.",
        "published",
        ratio_text(slow, fast),
        faster(slow, fast),
        expected="not supported",
    )


def _shape(result: Result) -> Claim:
    slow, fast = (result.race("network", "relative", start) for start in ("near", "floor"))
    return Claim(
        "floor-shapes",
        "In relative coordinates a network that starts at the floor, and not near the singular "
        "set, is done earlier (median ratio above 1, 99% interval): the plateau is shorter.",
        "published",
        ratio_text(slow, fast),
        faster(slow, fast),
    )


def _between(result: Result) -> tuple[float, float]:
    """The smallest positive truth, and the largest floor that is not above it."""
    truth = min(t for t in result.settings.truths if t > 0)
    return truth, max((f for f in result.settings.floors if f <= truth), default=0.0)


def _fisher(result: Result) -> Claim:
    truth, floor = _between(result)
    free, held = (result.fit(truth, f).spectrum[:, 1] for f in (0.0, floor))
    bound = min(each.spectrum[0, 1] for each in result.fits if each.floor == floor)
    on = float(np.min(held))
    low = float(np.mean(free < 0.5 * on))
    return Claim(
        "fisher-floor",
        f"At a true difference of {truth:g} the least eigenvalue of the Fisher matrix at the fit "
        f"is below half of its least with a floor of {floor:g} in at least 10% of data sets "
        "without a floor.",
        "published",
        f"{low:.0%}; least {np.min(free):.1e} without, {on:.3f} with; floor itself {bound:.3f}",
        judge(low, 0.1, 1.0, error=_binomial(low, len(free))),
    )


def _binomial(share: float, count: int) -> float:
    """Half the width of a 99% interval of a share (normal)."""
    from ._statistics import Z99

    return Z99 * math.sqrt(max(share * (1.0 - share), 1.0 / count) / count)


def _scaled(result: Result, values: np.ndarray) -> tuple[float, float]:
    middle, reach = mean_interval(values)
    scale = 2.0 * result.settings.set_size
    return scale * middle, scale * reach


def _generalises(result: Result) -> Claim:
    truth, floor = _between(result)
    held = result.fit(truth, floor).divergence
    free = result.fit(truth, 0.0).divergence
    order = result.fit(truth, 0.0, ordered=True).divergence
    gains = [_scaled(result, each - held) for each in (free, order)]
    tiny = np.finfo(float).tiny
    verdicts = [judge(gap, tiny, math.inf, error=reach) for gap, reach in gains]
    text = " and ".join(f"{gap:.3f} +- {reach:.3f}" for gap, reach in gains)
    return Claim(
        "floor-generalises",
        f"A floor of {floor:g} at a true difference of {truth:g} raises the expected test "
        "log-likelihood of the fit, over no floor and over the order of the means alone, which "
        "the floor imposes too (means of 2n times the gain over the same data sets above 0, 99% "
        "intervals).",
        "published",
        f"gains {text}, of {_scaled(result, free)[0]:.3f}",
        next(v for v in ("not supported", "undecided", "supported") if v in verdicts),
    )


def _regular(result: Result) -> Claim:
    truth = max(result.settings.truths)
    value, reach = _scaled(result, result.fit(truth, 0.0).divergence)
    return Claim(
        "regular-count",
        f"Far from the singular set (true difference {truth:g}) 2n times the mean loss of test "
        "log-likelihood is the number of parameters, 2, within a factor of 2 (99% interval).",
        "derived",
        f"{value:.2f} +- {reach:.2f}",
        judge(value, 1.0, 4.0, error=reach),
    )


def _singular(result: Result) -> Claim:
    value, reach = _scaled(result, result.fit(0.0, 0.0).divergence)
    return Claim(
        "singular-count",
        "On it (one component too many) the count is 3/2, not 2: the mean is free, and the "
        "variance may only grow, by delta^2. Within 0.45 of 3/2, 99% interval.",
        "derived",
        f"{value:.2f} +- {reach:.2f}",
        judge(value, 1.05, 1.95, error=reach),
    )


def _iris(result: Result, trainer: str, chart: str):
    (found,) = (e for e in result.iris if (e.trainer, e.chart) == (trainer, chart))
    return found


def _iris_charts(result: Result) -> Claim:
    parted = {}
    for trainer in ("natural", "descent"):
        one, other = (_iris(result, trainer, chart) for chart in ("absolute", "floored"))
        way = float(np.max(one.moved))
        parted[trainer] = float(np.max(other.between)) / way
    ratio = parted["descent"] / parted["natural"]
    return Claim(
        "iris-charts",
        "On iris (four dimensions, three components, 24 parameters) the paths of natural gradient "
        "descent in two charts part, over the way they go, in Fisher distance, by less than half "
        "as much as those of gradient descent.",
        "derived",
        f"natural {parted['natural']:.3f}, plain {parted['descent']:.3f} of the way",
        judge(ratio, 2.0, math.inf),
    )


def _iris_ends(result: Result) -> Claim:
    em, natural, plain = (
        _iris(result, trainer, "absolute").distance for trainer in ("em", "natural", "descent")
    )
    inside = natural <= 0.1
    at = int(np.argmax(inside))
    ratio = float(plain[at] / natural[at]) if inside.any() and em[-1] <= 0.1 else 0.0
    steps = _iris(result, "natural", "absolute").steps
    return Claim(
        "iris-natural",
        "EM and natural gradient descent come within a Fisher distance of 0.1 of the maximum of "
        "the likelihood; where natural gradient descent first does, gradient descent is at least "
        "three times as far away.",
        "derived",
        f"step {steps[at]}: natural {natural[at]:.3f}, plain {plain[at]:.3f}; at the end EM "
        f"{em[-1]:.3f}, natural {natural[-1]:.3f}, plain {plain[-1]:.3f}",
        judge(ratio, 3.0, math.inf),
    )
