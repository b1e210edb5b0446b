"""Ticks that can be told apart at column width."""

import math
from typing import Any

_WHOLE = 20  # a longer axis of whole numbers has room for none between them anyway


def log_ticks(axis: Any) -> None:
    """Ticks of a logarithmic matplotlib `axis`, by how many decades it shows.

    matplotlib names minor ticks too where little more than a decade is shown, and in a narrow
    figure these names run into each other. Here major ticks alone have names: powers of ten from
    two decades on, below them 1, 2 and 5 times those, and round numbers below a factor of five.
    For axes whose limits are set.
    """
    from matplotlib.ticker import (
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        NullFormatter,
        NullLocator,
    )

    axis.set_minor_formatter(NullFormatter())
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    if decades >= 2.0:
        return
    few = decades < math.log10(5.0)
    axis.set_major_locator(MaxNLocator(4) if few else LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    """A number in at most as many characters as it needs: 0.05, 2000, 5e4, 1e-5."""
    plain = f"{value:g}"
    if 1e-3 <= abs(value) < 1e4:
        return plain
    digits, exponent = f"{value:.5e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def whole_ticks(axis: Any) -> None:
    """Ticks of a linear `axis` of whole numbers at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    low, high = axis.get_view_interval()
    if high - low <= _WHOLE:
        axis.set_major_locator(MaxNLocator(6, integer=True))
