"""The effective rank along gradient descent, and the windows that are predicted for it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import PALETTE, axes, tidy
from ._ticks import log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def effective_rank(path: Any, windows: Any = (), ax: Any = None) -> "Axes":
    """The effective rank along gradient descent, and its stopping windows.

    In a window it is that of the best low-rank approximation of the target.

    **Arguments:**

    - `path`: a [`gaugebias.flows.SpectralPath`][].
    - `windows`: of [`gaugebias.flows.stopping_window`][]; empty ones are not drawn.
    - `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes; a window is shaded from its first to its last step, darker from the lower
    to the upper bound of the effective rank.
    """
    ax = axes(ax)
    steps, rank = np.asarray(path.steps, float), np.asarray(path.effective_rank)
    ax.plot(np.maximum(steps, 1.0), rank, color=PALETTE[6], linewidth=1.2)
    end = steps[-1]
    for number, window in enumerate(windows):
        if window.empty or window.first > end:
            continue
        colour = PALETTE[number % 6]
        last = min(float(window.last), end)
        ax.axvspan(window.first, last, color=colour, alpha=0.12, linewidth=0)
        ax.fill_between(
            [window.first, last],
            window.lower,
            window.upper,
            color=colour,
            alpha=0.35,
            linewidth=0,
            label=f"rank {window.rank}",
        )
        ax.plot([window.first, last], [window.target] * 2, color=colour, linewidth=0.8)
    ax.set(xscale="log", xlabel="step", ylabel="effective rank")
    log_ticks(ax.xaxis)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, frameon=False)
    tidy(ax)
    return ax
