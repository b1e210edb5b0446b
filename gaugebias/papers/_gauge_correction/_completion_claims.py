"""Claims, controls and panels of matrix completion."""

import math

import numpy as np

from ...plot import CurveData
from .._claim import Claim, judge
from .._intervals import mean_interval
from .._verdicts import all_of
from ._completion import CompletionResult, CompletionRuns, CompletionSettings
from ._curves import as_one


def claims_completion(settings: CompletionSettings, result: CompletionResult) -> tuple[Claim, ...]:
    """The singular values, as plotted and as they are; recovery; whether noise has a part in it."""
    return (
        _values(settings, result, 2.0),
        _values(settings, result, 1.0),
        _recovers(settings, result),
        _noise(result),
    )


def controls_completion(
    settings: CompletionSettings, result: CompletionResult
) -> tuple[Claim, ...]:
    """No noise, what horizontal noise predicts, and the least nuclear norm."""
    return (
        _full(result),
        _horizontal(settings, result),
        _least(result),
        _least_error(settings, result),
        _certificate(result),
    )


def _values(settings: CompletionSettings, result: CompletionResult, factor: float) -> Claim:
    truth = np.asarray(settings.spectrum)
    found = factor * result.minibatch.values[:, -1]
    ratios = found[:, : truth.size] / truth
    intervals = [mean_interval(each) for each in ratios.T]
    following, reach = mean_interval(found[:, truth.size])
    text = ", ".join(
        f"{m * s:.2f} +- {e * s:.2f} ({s:g})" for (m, e), s in zip(intervals, truth, strict=True)
    )
    what = "Twice the estimated singular values, which the publication plots, are"
    return Claim(
        "completion-twice" if factor == 2.0 else "completion-values",
        (what if factor == 2.0 else "The estimated singular values themselves are")
        + " those of the truth to 10%, and the next is below a tenth of the least (means over "
        f"seeds). One published run: {factor * 7.44:.2f}, {factor * 2.02:.2f}.",
        "published",
        f"{text}, then {following:.2f} +- {reach:.2f} (0)",
        all_of(
            *(judge(middle, 0.9, 1.1, error=error) for middle, error in intervals),
            judge(following, -math.inf, 0.1 * float(np.min(truth)), error=reach),
        ),
        "not supported",
    )


def _recovers(settings: CompletionSettings, result: CompletionResult) -> Claim:
    middle, error = mean_interval(result.minibatch.error[:, -1])
    freedom = len(settings.spectrum) * (2 * settings.size - len(settings.spectrum))
    unseen = int(np.sum(result.unseen > 0))
    return Claim(
        "completion-recovers",
        f"The matrix is recovered from {settings.entries} entries (for {freedom} degrees of "
        "freedom): relative error below 0.5 (mean over seeds).",
        "published",
        f"{middle:.3f} +- {error:.3f}; {unseen} of {len(result.unseen)} masks have a row or column "
        "without any entry",
        judge(middle, -math.inf, 0.5, error=error),
        "not supported",
    )


def _paired(result: CompletionResult, what) -> tuple[float, float]:
    """Mean and reach of the log of `what` with noise over without, from the same starts."""
    n = len(result.full.values)
    logs = np.log(what(result.minibatch)[:n]) - np.log(what(result.full))
    return mean_interval(logs)


def _noise(result: CompletionResult) -> Claim:
    def nuclear(runs: CompletionRuns) -> np.ndarray:
        return np.sum(runs.values[:, -1], axis=1)

    middle, error = _paired(result, nuclear)
    return Claim(
        "completion-noise",
        "Gradient noise biases to low rank: it lowers the nuclear norm of the estimate by more "
        "than 1% against no noise from the same start (mean over seeds).",
        "published",
        f"lowered by {-middle:.1e} +- {error:.0e} of itself",
        judge(-middle, 0.01, math.inf, error=error),
        "not supported",
    )


def _full(result: CompletionResult) -> Claim:
    found = [_paired(result, lambda runs, i=i: runs.values[:, -1, i]) for i in range(2)]
    return Claim(
        "completion-full-batch",
        "Without noise, at the same learning rate and from the same starts, the two largest "
        "singular values are the same to 1% (mean over seeds).",
        "control",
        ", ".join(f"{middle:.1e} +- {error:.0e}" for middle, error in found),
        all_of(*(judge(middle, -0.01, 0.01, error=error) for middle, error in found)),
    )


def accumulated_drift(result: CompletionResult) -> np.ndarray:
    """Relative sizes of the noise's drift added up over all steps, from the records, `(seeds,)`."""
    return np.sum(result.minibatch.drift, axis=1) * float(np.diff(result.steps)[0])


def _horizontal(settings: CompletionSettings, result: CompletionResult) -> Claim:
    middle, error = mean_interval(accumulated_drift(result))
    variance = settings.kept * (1.0 - settings.kept)
    slope = 4.0 * result.minibatch.fit / (settings.entries * settings.size**2)
    warmest = float(np.max(np.mean(0.5 * settings.learning_rate * variance * slope, axis=0)))
    return Claim(
        "completion-horizontal",
        "Horizontal noise of the size measured predicts no more: its drift moves the estimate by "
        "less than 0.1% of itself in the whole run (sizes added up, mean over seeds).",
        "derived",
        f"{middle:.1e} +- {error:.0e}; temperature at most {warmest:.1e}",
        judge(middle, -math.inf, 1e-3, error=error),
    )


def _least(result: CompletionResult) -> Claim:
    n = len(result.nuclear_error)
    middle, error = mean_interval(result.minibatch.error[:n, -1] - result.nuclear_error)
    return Claim(
        "completion-not-nuclear",
        "The estimate is not the nuclear-norm minimiser, which recovers better: its relative error "
        "is less by more than 0.1 (mean over the same masks).",
        "control",
        f"less by {middle:.3f} +- {error:.3f}",
        judge(middle, 0.1, math.inf, error=error),
    )


def _least_error(settings: CompletionSettings, result: CompletionResult) -> Claim:
    middle, error = mean_interval(result.nuclear_error)
    s = np.linalg.svd(result.nuclear.matrices, compute_uv=False).mean(axis=0)
    return Claim(
        "completion-too-few",
        "The nuclear-norm minimiser does not recover the matrix either, from so few entries: "
        "relative error above 0.3 (mean over masks).",
        "control",
        f"{middle:.3f} +- {error:.3f}; singular values {s[0]:.2f}, {s[1]:.2f}, {s[2]:.2f}",
        judge(middle, 0.3, math.inf, error=error),
    )


def _certificate(result: CompletionResult) -> Claim:
    worst = float(np.max(result.nuclear.gaps))
    return Claim(
        "completion-certificate",
        "Those are minimisers: a dual bound is within 1e-4 of every nuclear norm.",
        "control",
        f"largest gap {worst:.1e}",
        judge(worst, -1e-12, 1e-4),
    )


def figures_completion(
    settings: CompletionSettings, result: CompletionResult
) -> tuple[CurveData, ...]:
    """Singular values and the error, with and without noise."""
    n = len(result.full.values)
    curves = {
        f"value {i + 1}, minibatch": (
            result.steps,
            np.mean(result.minibatch.values[:n, :, i], axis=0),
        )
        for i in range(3)
    }
    still = [np.mean(result.full.values[:, :, i], axis=0) for i in range(3)]
    curves["no noise"] = as_one(result.steps, still)
    values = CurveData(
        "Completion: singular values (mean)",
        "step",
        "singular value of U V^T",
        curves,
        dashed=("no noise",),
        levels={f"truth {s:g}": s for s in settings.spectrum},
        limits=(0.0, 1.1 * max(settings.spectrum)),
    )
    errors = {
        "minibatch": (result.steps, np.mean(result.minibatch.error[:n], axis=0)),
        "no noise": (result.steps, np.mean(result.full.error, axis=0)),
    }
    error = CurveData(
        "Completion: recovery error (mean)",
        "step",
        "|W - truth| / |truth|",
        errors,
        dashed=("no noise",),
        levels={"least nuclear norm": float(np.mean(result.nuclear_error))},
        limits=(0.0, 1.1),
    )
    return values, error
