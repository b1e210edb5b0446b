"""What the runs on the piecewise-constant signal say: claims, controls, panels."""

import math

import numpy as np

from ...plot import CurveData
from .._claim import Claim, judge
from ._ratios import median_text, ratio_claim, within_prediction
from ._signal import SignalResult, SignalSettings, variation


def claims_signal(settings: SignalSettings, result: SignalResult) -> tuple[Claim, ...]:
    """Fewer jumps; what the correction has to do with it; what the start has."""
    jumps, error = result.path.variation[-1], result.path.error[-1]
    published = (
        ("variation", jumps, 23.4),
        ("plain", result.vanilla.variation, 129.6),
        ("error", error, 0.080),
        ("plain", result.vanilla.error, 1.39),
    )
    inside = all(within_prediction(values, value) for _, values, value in published)
    mirror = result.mirror
    return (
        ratio_claim(
            "signal-variation",
            "The sum of products has at most a third of the plain signal's total variation after "
            "the same steps (median over seeds of the ratio).",
            "published",
            jumps,
            result.vanilla.variation,
            0.0,
            1.0 / 3.0,
            more=f"{median_text(jumps)}, plain {median_text(result.vanilla.variation)}, "
            f"true {variation(settings.signal):g}",
        ),
        ratio_claim(
            "signal-error",
            "Its mean square error is at most a fifth of the plain signal's.",
            "published",
            error,
            result.vanilla.error,
            0.0,
            0.2,
            more=f"{median_text(error)}, plain {median_text(result.vanilla.error)}",
        ),
        Claim(
            "signal-values",
            "The values published for one run, variation "
            "23.4 (plain 129.6) and error 0.080 (plain 1.39), lie in the 99.9% prediction "
            "intervals of the seeds (Student, on logarithms).",
            "published",
            "; ".join(f"{name} {median_text(values)}" for name, values, _ in published),
            judge(float(inside), 1.0, 1.0),
        ),
        ratio_claim(
            "signal-gauge",
            "The few jumps come from the gauge correction (T/2) log det S: at T = 0, where it is "
            "0 (these runs are full batch), at least half of the plain variation stays.",
            "published",
            jumps,
            result.vanilla.variation,
            0.5,
            math.inf,
            expected="not supported",
        ),
        Claim(
            "signal-mirror",
            "They come from the start: every run ends, to 1%, at the minimiser of the hyperbolic "
            "entropy of its start among the signals with its residuals (KKT residual).",
            "derived",
            f"residual at most {mirror.residual.max():.1e}; distance from the minimiser at most "
            f"{mirror.distance.max():.1e}",
            judge(float(max(mirror.residual.max(), mirror.distance.max())), 0.0, 0.01),
        ),
    )


def controls_signal(settings: SignalSettings, result: SignalResult) -> tuple[Claim, ...]:
    """Other starts, noise, explicit regularisers."""
    first, last = settings.scales[0], settings.scales[-1]
    jumps = result.scale_limits.variation
    medians = ", ".join(
        f"{scale:g}: {np.median(values):.3g}"
        for scale, values in zip(settings.scales, jumps, strict=True)
    )
    at = int(np.searchsorted(result.steps, settings.noise_steps))
    same_time = result.path.variation[at]
    return (
        ratio_claim(
            "signal-scale",
            "At T = 0 the scale of the start sets the variation of what the flow ends at: from "
            f"{last:g} it is 5 times that from {first:g}, or more.",
            "control",
            jumps[-1],
            jumps[0],
            5.0,
            math.inf,
            more=f"medians {medians}; from the published {settings.spread:g}: "
            f"{np.median(result.limit.variation):.3g}",
        ),
        ratio_claim(
            "signal-large-start",
            f"From {last:g} at least half of the plain signal's variation is left.",
            "control",
            jumps[-1],
            result.vanilla.variation,
            0.5,
            math.inf,
        ),
        ratio_claim(
            "signal-minibatch",
            f"T > 0, minibatches of {settings.batch_size}: after as many steps the variation is "
            "that of T = 0 within 5%. Noise is not what removes jumps.",
            "control",
            result.minibatch.variation,
            same_time,
            0.95,
            1.05,
            more=f"{settings.noise_steps} steps",
        ),
        *(
            ratio_claim(
                f"signal-horizontal-{temperature:g}",
                f"T > 0, noise across the orbits, T = {temperature:g}: the variation is larger "
                "than at T = 0. It adds jumps.",
                "control",
                values,
                same_time,
                1.0,
                math.inf,
                more=f"{settings.noise_steps} steps",
            )
            for temperature, values in zip(
                settings.temperatures, result.horizontal.variation, strict=True
            )
        ),
        Claim(
            "signal-euclidean",
            "The certificate can fail: with the squared length of the increments in place of the "
            "entropy more than a tenth of the move is outside of the row space, in every seed.",
            "control",
            f"residual at least {result.mirror.euclidean.min():.2f}",
            judge(float(result.mirror.euclidean.min()), 0.1, 1.0),
        ),
        ratio_claim(
            "signal-least-variation",
            "As the start shrinks the limit becomes the fit of least sum of |increments|, the "
            f"first among them: from {first:g} it is the least to 10%.",
            "control",
            result.limit_norms[0],
            result.least_norms,
            0.9,
            1.1,
            more=f"duality gap and misfit at most {result.gap:.0e}",
        ),
        ratio_claim(
            "signal-above-least",
            f"From the published start, {settings.spread:g}, it is not the fit of least variation: "
            "it ends at 1.2 times that or more.",
            "control",
            result.limit.variation,
            result.least.variation,
            1.2,
            math.inf,
            more=f"least variation {median_text(result.least.variation)}, error "
            f"{median_text(result.least.error)}; limit's error {median_text(result.limit.error)}",
        ),
        ratio_claim(
            "signal-least-squares",
            "The plain signal is the fit of least |w|_2: errors agree to 1%.",
            "control",
            result.vanilla.error,
            result.shortest.error,
            0.99,
            1.01,
        ),
    )


def figures_signal(settings: SignalSettings, result: SignalResult) -> tuple[CurveData, ...]:
    """Reconstructions of one seed, variation over time, and the scale of the start."""
    points = np.arange(1, settings.size + 1)
    signals = CurveData(
        "Signal: reconstructions of one seed",
        "point",
        "signal",
        {
            name: (points, result.signals[name])
            for name in ("vanilla", "cumulative", "least variation", "truth")
        },
        dashed=("truth",),
    )
    steps = result.steps[1:]
    time = CurveData(
        "Signal: total variation at T = 0 (median)",
        "step",
        "total variation",
        {"cumulative": (steps, np.median(result.path.variation[1:], axis=1))},
        levels={
            "vanilla": float(np.median(result.vanilla.variation)),
            "limit of the flow": float(np.median(result.limit.variation)),
            "least variation": float(np.median(result.least.variation)),
            "truth": float(variation(settings.signal)),
        },
        yscale="log",
        xscale="log",
    )
    scales = np.asarray(settings.scales)
    start = CurveData(
        "Signal: the start decides at T = 0",
        "spread of the factors at the start",
        "variation of the limit (median)",
        {"limit of the flow": (scales, np.median(result.scale_limits.variation, axis=1))},
        levels={
            "vanilla": float(np.median(result.vanilla.variation)),
            "least variation": float(np.median(result.least.variation)),
        },
        xscale="log",
        yscale="log",
    )
    return signals, time, start
