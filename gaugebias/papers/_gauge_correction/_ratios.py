"""Claims on the ratio of two quantities, seed by seed."""

import numpy as np

from .._claim import Claim, judge
from .._intervals import median_interval


def ratio_interval(top: np.ndarray, bottom: np.ndarray) -> tuple[float, float]:
    """Median of `log(top / bottom)` over seeds, and the reach of its 99% interval."""
    return median_interval(np.log(np.asarray(top) / np.asarray(bottom)))


def ratio_text(top: np.ndarray, bottom: np.ndarray) -> str:
    """The median ratio with its 99% interval."""
    middle, reach = ratio_interval(top, bottom)
    low, high = np.exp(middle - reach), np.exp(middle + reach)
    return f"{np.exp(middle):.3g} [{low:.3g}, {high:.3g}]"


def ratio_claim(
    name: str,
    statement: str,
    kind: str,
    top: np.ndarray,
    bottom: np.ndarray,
    low: float,
    high: float,
    *,
    expected: str = "supported",
    more: str = "",
) -> Claim:
    """Whether the median over seeds of `top / bottom` lies between `low` and `high`.

    Judged on logarithms, by a 99% interval from order statistics. `more` is added to the numbers.
    """
    middle, reach = ratio_interval(top, bottom)
    with np.errstate(divide="ignore"):
        bounds = np.log([low, high])
    return Claim(
        name,
        statement,
        kind,
        f"ratio {ratio_text(top, bottom)}" + (f"; {more}" if more else ""),
        judge(middle, float(bounds[0]), float(bounds[1]), error=reach),
        expected,
    )


def median_text(values: np.ndarray) -> str:
    """Median over seeds and its range."""
    values = np.asarray(values)
    return f"{np.median(values):.3g} ({values.min():.2g}-{values.max():.2g})"


def within_prediction(values: np.ndarray, value: float, level: float = 0.999) -> bool:
    """Whether `value`, of one further run, is in the prediction interval of `values`.

    Student's, on logarithms: a run of the same kind is outside with probability `1 - level` where
    logarithms are normal.
    """
    from scipy.special import stdtrit

    logs = np.log(np.asarray(values, float))
    n = len(logs)
    reach = stdtrit(n - 1, 0.5 + 0.5 * level) * np.std(logs, ddof=1) * np.sqrt(1.0 + 1.0 / n)
    return bool(abs(np.log(value) - np.mean(logs)) <= reach)
