"""Intervals of paired comparisons."""

import math

import numpy as np

from .._claim import judge
from .._intervals import median_interval
from ._speed import Race

Z99 = 2.5758293035489004  # of a normal: 99% inside


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Mean, and half the width of its 99% interval (normal: for some tens of values or more)."""
    values = np.asarray(values, np.float64)
    return float(values.mean()), Z99 * float(values.std(ddof=1)) / math.sqrt(len(values))


def speed_up(slow: Race, fast: Race) -> tuple[float, float, float]:
    """Median over pairs of log(steps of `slow` / steps of `fast`), its reach, the share equal.

    Steps of a run that was not done count as one more than the limit, which understates the slower.
    """
    a, b = np.maximum(slow.steps, 1), np.maximum(fast.steps, 1)
    middle, reach = median_interval(np.log(a / b))
    return middle, reach, float(np.mean(slow.steps == fast.steps))


def faster(slow: Race, fast: Race, by: float = 1.0) -> str:
    """The verdict on `fast` being faster in the median by more than the factor `by`."""
    middle, reach, _ = speed_up(slow, fast)
    return judge(middle, math.nextafter(math.log(by), math.inf), math.inf, error=reach)


def ratio_text(slow: Race, fast: Race) -> str:
    """Median steps of both, and the median ratio with its 99% interval."""
    middle, reach, _ = speed_up(slow, fast)
    low, high = math.exp(middle - reach), math.exp(middle + reach)
    late = [int(np.sum(each.steps > each.limit)) for each in (slow, fast)]
    text = (
        f"{np.median(slow.steps):.0f} against {np.median(fast.steps):.0f}, ratio "
        f"{math.exp(middle):.2f} ({low:.2f}-{high:.2f})"
    )
    if any(late):
        text += f"; not done in {slow.limit}: {late[0]} and {late[1]} of {len(slow.steps)}"
    return text
