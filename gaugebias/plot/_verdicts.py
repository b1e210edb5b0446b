"""How far the draws are from each target, as a forest plot."""

import math
from typing import TYPE_CHECKING, Any

from ._style import axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colour and marker both say the verdict, so that the plot survives a grey print.
_MARKS = {
    "consistent": ("#009E73", "o"),
    "undecided": ("#E69F00", "D"),
    "rejected": ("#D55E00", "X"),
}


def verdict(verdict: Any, ax: Any = None, level: float = 1e-3) -> "Axes":
    """Forest plot of a [`gaugebias.verdicts.Verdict`][]: one line a target, the nearest at the top.

    The marker is the Kolmogorov-Smirnov distance of the row, the bar a confidence interval of the
    true distance at confidence 1 - `level` (Dvoretzky-Kiefer-Wolfowitz with Massart's constant:
    the distance plus or minus (log(2 / level) / 2n)^(1/2)), the grey tick the smallest distance
    that would have been rejected. Several coordinates: the worst one, as in the row.

    **Arguments:** `ax`: axes to draw on, or `None` for a new figure; `level` in (0, 1).

    **Returns:** the axes. Raises `ValueError` for a verdict without rows, a row without
    Kolmogorov-Smirnov tests or a `level` out of range.
    """
    rows = sorted(verdict.rows, key=lambda row: row.statistic)
    if not rows:
        raise ValueError("`verdict` has no rows: compare with at least one target.")
    for row in rows:
        if row.tests and not any(key.startswith("ks") for key in row.tests):
            raise ValueError(
                f"`verdict`: the row {row.law!r} has no Kolmogorov-Smirnov distance to draw: "
                'compare with "ks" among the `tests`.'
            )
    if not 0.0 < level < 1.0:
        raise ValueError(f"`level` is {level}: give a number between 0 and 1.")
    ax = axes(ax, (4.6, 0.9 + 0.34 * len(rows)))
    seen = set()
    for place, row in enumerate(rows):
        colour, marker = _MARKS[row.verdict]
        # Against other draws a test's n is the effective number n m / (n + m).
        n = min((test.n for key, test in row.tests.items() if key[:2] == "ks"), default=row.draws)
        reach = math.sqrt(math.log(2.0 / level) / (2.0 * n))
        low, high = max(0.0, row.statistic - reach), min(1.0, row.statistic + reach)
        ax.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        label = row.verdict if row.verdict not in seen else None
        ax.plot(row.statistic, place, marker, color=colour, markersize=6, label=label)
        seen.add(row.verdict)
        if "distance" in row.detectable:
            ax.plot(row.detectable["distance"], place, "|", color="0.5", markersize=11)
        ax.annotate(
            f"p = {_short(row.p_value)}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
        )
    ax.set_yticks(range(len(rows)), [row.law for row in rows])
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel="Kolmogorov-Smirnov distance")
    ax.set_xlim(left=0.0)
    # Above the axes: an interval may be anywhere in them.
    ax.legend(fontsize=7, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    tidy(ax)
    return ax


def _short(p_value: float) -> str:
    if p_value >= 1e-3:
        return f"{p_value:.3f}"
    return f"{p_value:.0e}" if p_value > 0.0 else "<1e-300"
