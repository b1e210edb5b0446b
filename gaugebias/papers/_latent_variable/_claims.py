"""The claims, held against the numbers."""

import math

import numpy as np

from .._claim import Claim, judge
from ._digits import Digits
from ._run import Growth, Result


def claims(result: Result) -> tuple[Claim, ...]:
    """Claims of the abstract."""
    return (
        _exact(result),
        _table(result),
        _kernel_phase(result),
        _feature_phase(result),
        _mechanisms(result),
        _digits_alignment(result),
        _digits_accuracy(result),
    )


def controls(result: Result) -> tuple[Claim, ...]:
    """What is conserved, and what is seen without layer rates and from a large start."""
    return (
        _conserved(result),
        _ignoring_rates(result),
        _digits_large(result),
        _digits_equal_loss(result),
    )


def _exact(result: Result) -> Claim:
    errors = {}
    for each in result.scaled:
        kernel = np.max(np.abs(each.kernel / each.exact_kernel - 1.0))
        zeta = np.max(np.abs(each.alignment - each.exact_alignment))
        errors[each.name] = float(max(kernel, zeta))
    return Claim(
        "exact-solution",
        f"At width {result.settings.width}, the kernel (relative) and the alignment of weights "
        "integrated from the loss agree with the closed form to 1e-6 at all times.",
        "published",
        "; ".join(f"{name}: {error:.0e}" for name, error in errors.items()),
        judge(max(errors.values()), 0.0, 1e-6),
    )


def _typical(each: Growth) -> tuple[float, float]:
    """Mean change and alignment at the largest width."""
    return float(np.mean(each.changes[-1])), float(np.mean(each.alignments[-1]))


def _table(result: Result) -> Claim:
    width, seeds = result.settings.widths[-1], result.settings.seeds
    worst, text = 0.0, []
    for each in result.growth:
        change, zeta = _typical(each)
        phase = each.phases[-1]
        worst = max(worst, abs(change / phase.kernel_change - 1), abs(zeta / phase.alignment - 1))
        text.append(f"{each.name}: {change:.3g}, {zeta:.3g}")
    # P, Q and the like of one draw scatter by about sqrt(8/d) of themselves, r^2 by twice that.
    reach = 5.0 * 2.0 * math.sqrt(8.0 / (width * seeds)) + 20.0 / width
    return Claim(
        "phase-table",
        f"At width {width} the kernel's relative change and the final alignment, means over "
        f"{seeds} starts, are those of the phase diagram to {reach:.1%} (five standard errors).",
        "published",
        "; ".join(text),
        judge(worst, 0.0, reach),
    )


def _slope(result: Result, each: Growth) -> float:
    """Exponent of the kernel's change in the width."""
    logs = np.log(np.mean(np.abs(each.changes), axis=1))
    return float(np.polyfit(np.log(result.settings.widths), logs, 1)[0])


def _kernel_phase(result: Result) -> Claim:
    chosen = [each for each in result.growth if each.phases[-1].regime == "kernel"]
    slopes = {each.name: _slope(result, each) for each in chosen}
    gaps = [abs(slopes[e.name] + 2 * e.phases[-1].exponent) for e in chosen]
    return Claim(
        "kernel-phase",
        "Where the exponent e of gamma h S is positive the kernel stops changing with width: its "
        "change falls as d^(-2e), to 0.15 in the power.",
        "published",
        "; ".join(f"{name}: d^{slope:.2f}" for name, slope in slopes.items()),
        judge(max(gaps), 0.0, 0.15) if gaps else "undecided",
    )


def _feature_phase(result: Result) -> Claim:
    chosen = [each for each in result.growth if each.phases[-1].regime != "kernel"]
    slopes = {each.name: _slope(result, each) for each in chosen}
    least = min((float(np.min(np.abs(each.changes))) for each in chosen), default=math.nan)
    gaps = [abs(slopes[e.name] + e.phases[-1].exponent) for e in chosen]
    holds = judge(max(gaps), 0.0, 0.15) if gaps else "undecided"
    return Claim(
        "feature-phase",
        "Where e = 0 the change of the kernel does not fall with width, and where e < 0 it grows "
        "as d^(-e), to 0.15 in the power; it is at least 10% in every start.",
        "published",
        "; ".join(f"{name}: d^{slope:.2f}" for name, slope in slopes.items())
        + f"; least change {least:.2g}",
        holds if holds != "supported" else judge(least, 0.1, math.inf),
    )


def _mechanisms(result: Result) -> Claim:
    right = all(each.name == each.found for each in result.demonstrations)
    return Claim(
        "three-mechanisms",
        "A small start learns by alignment, a large correlated one by disalignment, one with equal "
        "layers by rescaling (alignment changes by more than 0.05, or stays while the kernel "
        "changes).",
        "published",
        "; ".join(
            f"{e.found}: zeta {e.alignment[0]:.3f} to {e.alignment[-1]:.3f}"
            for e in result.demonstrations
        ),
        judge(float(right), 1.0, 1.0),
    )


def _digits_alignment(result: Result) -> Claim:
    small = result.digits[0]
    rise = small.second[:, -1] - small.second[:, 0]
    return Claim(
        "digits-alignment",
        f"A ReLU network on digits from a small start (x {small.scale:g}) learns by alignment of "
        "its second layer: it rises by more than 0.05 in every seed.",
        "published",
        f"{np.mean(small.second[:, 0]):.3f} to {np.mean(small.second[:, -1]):.3f}, least rise "
        f"{np.min(rise):.3f}; first layer {np.mean(small.first[:, 0]):.3f} to "
        f"{np.mean(small.first[:, -1]):.3f}; kernel distance {np.mean(small.distance):.3f}; loss "
        f"{np.max(small.loss[:, -1]):.3f}",
        judge(float(np.min(rise)), 0.05, math.inf),
    )


def _at_level(run: Digits, level: np.ndarray) -> np.ndarray:
    """Test accuracy of each seed when its training loss had first fallen to `level`, `(seeds,)`."""
    reached = run.loss <= level[:, None]
    return run.accuracy[np.arange(len(level)), np.argmax(reached, axis=1)]


def _digits_accuracy(result: Result) -> Claim:
    small, large = result.digits
    middle, error = _paired(small.accuracy[:, -1] - large.accuracy[:, -1])
    return Claim(
        "digits-accuracy",
        "After equally many steps it is better on the test set than from the large start: the mean "
        "gap in accuracy is positive (three standard errors). See digits-equal-loss.",
        "published",
        f"{np.mean(small.accuracy[:, -1]):.3f} against {np.mean(large.accuracy[:, -1]):.3f}, gap "
        f"{middle:.4f} +- {error:.4f}",
        judge(middle, np.finfo(float).tiny, math.inf, error=error),
    )


def _digits_equal_loss(result: Result) -> Claim:
    small, large = result.digits
    # Both reach the larger of the two final losses, so that there neither is trained less.
    level = np.maximum(small.loss.min(axis=1), large.loss.min(axis=1))
    equal, spread = _paired(_at_level(small, level) - _at_level(large, level))
    return Claim(
        "digits-equal-loss",
        "At an equal training loss the starts differ by less than 0.025 in test accuracy (three "
        "standard errors): the gap after equally many steps may be no more than faster training.",
        "control",
        f"gap {equal:.4f} +- {spread:.4f} at loss {np.mean(level):.3f}",
        judge(equal, -0.025, 0.025, error=spread),
    )


def _paired(gap: np.ndarray) -> tuple[float, float]:
    """Mean of the differences by seed, and three standard errors."""
    return float(np.mean(gap)), 3.0 * float(np.std(gap, ddof=1)) / math.sqrt(len(gap))


def _digits_large(result: Result) -> Claim:
    large = result.digits[1]
    change = np.abs(large.second[:, -1] - large.second[:, 0])
    return Claim(
        "digits-large",
        f"From a large start (x {large.scale:g}) the alignment stays: it changes by less than 0.05 "
        "in every seed, while the network learns.",
        "control",
        f"largest change {np.max(change):.3f}; kernel distance {np.mean(large.distance):.1e}; loss "
        f"{np.max(large.loss[:, -1]):.3f}",
        judge(float(np.max(change)), 0.0, 0.05),
    )


def _conserved(result: Result) -> Claim:
    drifts = {each.name: each.imbalance_error for each in result.scaled}
    return Claim(
        "conserved",
        "u_i^2/eta_u - w_i^2/eta_w is conserved by every unit of the weights integrated, to 1e-6 "
        "of its largest.",
        "control",
        f"largest change {max(drifts.values()):.0e}",
        judge(max(drifts.values()), 0.0, 1e-6),
    )


def _ignoring_rates(result: Result) -> Claim:
    wrong = {
        each.name: each.ignoring_rates
        for each in result.scaled
        if not math.isnan(each.ignoring_rates) and each.phase.regime != "kernel"
    }
    least = min(wrong.values(), default=math.nan)
    return Claim(
        "layer-rates-matter",
        "The same formula with layer rates of 1 misses the kernel's course by more than 1% in "
        "every feature-learning scaling that has other rates.",
        "control",
        "; ".join(f"{name}: {value:.0%}" for name, value in wrong.items()),
        judge(least, 0.01, math.inf),
    )
