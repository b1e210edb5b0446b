"""Claims, controls and panels of the two balancing experiments."""

import dataclasses
import math

import numpy as np

from ...plot import CurveData
from .._claim import Claim, judge
from .._intervals import mean_interval
from .._verdicts import all_of
from ._balancing import BalancingResult, BalancingSettings, Runs
from ._curves import as_one


@dataclasses.dataclass(frozen=True)
class Wording:
    """How an experiment is called: `unit` has factors `a` and `b`; what was published of it.

    - `low`, `high`: about the published range of `|a| / |b|` at the end; `published`: the ranges.
    - `in_range`: the verdict expected on whether networks end there.
    """

    name: str
    title: str
    unit: str
    a: str
    b: str
    low: float
    high: float
    published: str
    in_range: str


def claims_task(
    words: Wording, settings: BalancingSettings, result: BalancingResult
) -> tuple[Claim, ...]:
    """The norms balance; where they end; whether noise does it; what does."""
    return (
        _balances(words, result),
        _range(words, result),
        _noise(words, settings, result),
        _conservation(words, result),
    )


def controls_task(
    words: Wording, settings: BalancingSettings, result: BalancingResult
) -> tuple[Claim, ...]:
    """Large batches at the same learning rate, and whether the network learned."""
    return (_large(words, settings, result), _learns(words, result))


def predicted_log_ratio(runs: Runs) -> np.ndarray:
    """`log(|a| / |b|)` if the first imbalance is kept, from `|a| |b|` alone.

    `|a|^2 - |b|^2 = C` and `|a| |b| = p` give `|a|^2 / p = C / 2p + sqrt(1 + (C / 2p)^2)`, so the
    logarithm is `arcsinh(C / 2p)`.
    """
    return np.arcsinh(runs.imbalance[:, :1] / (2.0 * runs.first * runs.second))


def imbalance_left(runs: Runs) -> np.ndarray:
    """Root of the sum of squares of `|a|^2 - |b|^2` over the units, over its start."""
    size = np.sqrt(np.sum(runs.imbalance**2, axis=-1))
    return size / size[:, :1]


def _typical(runs: Runs) -> np.ndarray:
    """Median over units of `|log(|a| / |b|)|`, `(seeds, T + 1)`."""
    return np.median(np.abs(runs.log_ratio), axis=-1)


def _spread(log_ratio: np.ndarray) -> str:
    low, high = np.exp(np.quantile(log_ratio, (0.05, 0.95)))
    return f"{low:.2g}-{high:.3g}"


def _balances(words: Wording, result: BalancingResult) -> Claim:
    typical = _typical(result.minibatch)
    first = float(np.mean(typical[:, 0]))
    middle, error = mean_interval(typical[:, -1])
    log_ratio = result.minibatch.log_ratio
    return Claim(
        f"{words.name}-balances",
        f"Training balances {words.a} and {words.b}: the median {words.unit}'s "
        f"|log(|{words.a}|/|{words.b}|)| ends below 0.1 (mean over seeds).",
        "published",
        f"{first:.2f} to {middle:.4f} +- {error:.4f}; 90% of all ratios: "
        f"{_spread(log_ratio[:, 0])} to {_spread(log_ratio[:, -1])}",
        judge(middle, -math.inf, 0.1, error=error),
    )


def _range(words: Wording, result: BalancingResult) -> Claim:
    ratio = np.exp(result.minibatch.log_ratio[:, -1])
    low, low_error = mean_interval(np.min(ratio, axis=1))
    high, high_error = mean_interval(np.max(ratio, axis=1))
    inside = np.all((ratio >= words.low) & (ratio <= words.high), axis=1)
    return Claim(
        f"{words.name}-range",
        f"Every {words.unit} balances: the least and the largest ratio of a network end in "
        f"{words.low}-{words.high} (means over seeds). {words.published}",
        "published",
        f"least {low:.3f} +- {low_error:.3f}, largest {high:.3f} +- {high_error:.3f}; all inside "
        f"in {np.sum(inside)} of {len(inside)} seeds",
        all_of(
            judge(low, words.low, words.high, error=low_error),
            judge(high, words.low, words.high, error=high_error),
        ),
        words.in_range,
    )


def _noise(words: Wording, settings: BalancingSettings, result: BalancingResult) -> Claim:
    middle, error = mean_interval(imbalance_left(result.minibatch)[:, -1])
    large, spread = mean_interval(imbalance_left(result.large)[:, -1])
    return Claim(
        f"{words.name}-noise",
        "Gradient noise is what balances: it leaves less than half of the imbalance "
        f"|{words.a}|^2 - |{words.b}|^2 of the start, which only noise and finite steps change.",
        "published",
        f"{middle:.4f} +- {error:.4f} is left; with batches of {settings.control_batch_size} "
        f"{large:.4f} +- {spread:.4f}",
        judge(middle, -math.inf, 0.5, error=error),
        "not supported",
    )


def unexplained(runs: Runs) -> np.ndarray:
    """Root mean square error of the prediction over that of the change, `(seeds,)`.

    NaN where nothing changed.
    """
    change = runs.log_ratio[:, -1] - runs.log_ratio[:, 0]
    missed = runs.log_ratio[:, -1] - predicted_log_ratio(runs)[:, -1]
    total = np.sum(change**2, axis=-1)
    nothing = np.full(total.shape, np.nan)
    return np.sqrt(np.divide(np.sum(missed**2, axis=-1), total, out=nothing, where=total > 0))


def _conservation(words: Wording, result: BalancingResult) -> Claim:
    middle, error = mean_interval(unexplained(result.minibatch))
    large, _ = mean_interval(unexplained(result.large))
    missed = result.minibatch.log_ratio[:, -1] - predicted_log_ratio(result.minibatch)[:, -1]
    return Claim(
        f"{words.name}-conservation",
        f"Conservation of |{words.a}|^2 - |{words.b}|^2 while |{words.a}||{words.b}| grows "
        "explains all but 0.2% of the change of log ratios (root mean square, mean over seeds).",
        "derived",
        f"all but {middle:.1e} +- {error:.0e} (large batches {large:.1e}); the ratios are within "
        f"{np.quantile(np.abs(missed), 0.95):.1e} of the prediction in 95% of {words.unit}s",
        judge(middle, -math.inf, 2e-3, error=error),
    )


def _large(words: Wording, settings: BalancingSettings, result: BalancingResult) -> Claim:
    n = len(result.large.first)
    one, other = _typical(result.minibatch)[:n], _typical(result.large)
    middle, error = mean_interval(other[:, -1] - one[:, -1])
    return Claim(
        f"{words.name}-large-batch",
        f"Batches of {settings.control_batch_size} at the same learning rate, from the same "
        f"starts, balance as well: the median {words.unit}'s |log ratio| ends within 0.03 of that "
        f"with batches of {settings.batch_size} (mean over seeds).",
        "control",
        f"difference {middle:.4f} +- {error:.4f}, of {np.mean(one[:, 0]):.2f} at the start",
        judge(middle, -0.03, 0.03, error=error),
    )


def _learns(words: Wording, result: BalancingResult) -> Claim:
    middle, error = mean_interval(result.minibatch.error[:, -1])
    return Claim(
        f"{words.name}-learns",
        "The networks learn: error against the teacher below 0.2 of its mean square.",
        "control",
        f"{middle:.3f} +- {error:.3f}; large batches {np.mean(result.large.error[:, -1]):.3f}",
        judge(middle, -math.inf, 0.2, error=error),
    )


def figures_task(
    words: Wording, settings: BalancingSettings, result: BalancingResult
) -> tuple[CurveData, ...]:
    """Ratios with what conservation predicts, and the imbalance."""
    small, large = result.minibatch, result.large
    # Steps in the logarithm: most happens early.
    steps, quantiles = result.steps[1:], (0.1, 0.9)

    def of_units(log_ratio: np.ndarray, quantile: float) -> np.ndarray:
        return np.exp(np.quantile(log_ratio[:, 1:], quantile, axis=(0, 2)))

    curves = {
        f"{quantile:.0%} of {words.unit}s": (steps, of_units(small.log_ratio, quantile))
        for quantile in quantiles
    }
    predicted = predicted_log_ratio(small)
    conserved = "imbalance conserved"
    curves[conserved] = as_one(steps, [of_units(predicted, each) for each in quantiles])
    ratios = CurveData(
        f"{words.title}: ratios of norms",
        "step",
        f"|{words.a}| / |{words.b}|",
        curves,
        dashed=(conserved,),
        levels={"balanced": 1.0},
        xscale="log",
        yscale="log",
        limits=(0.02, 20.0),
    )
    left = CurveData(
        f"{words.title}: imbalance left (mean)",
        "step",
        f"of |{words.a}|^2 - |{words.b}|^2",
        {
            f"batch {settings.batch_size}": (
                result.steps,
                np.mean(imbalance_left(small), axis=0),
            ),
            f"batch {settings.control_batch_size}": (
                result.steps,
                np.mean(imbalance_left(large), axis=0),
            ),
        },
        levels={"half": 0.5},
        limits=(0.0, 1.2),
    )
    return ratios, left
