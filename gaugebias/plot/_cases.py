"""Histogram of the samples with every candidate density over it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._files import written_whole
from ._data import FigureData
from ._page import page_of
from ._style import DASHES, HISTOGRAM, PALETTE, PANEL, axes, legend_below, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def case_figure(figure_data: FigureData, ax: Any = None) -> "Axes":
    """Histogram of the samples with the candidate densities over it.

    **Arguments:**

    - `figure_data`: a [`gaugebias.plot.FigureData`][].
    - `ax`: matplotlib axes to draw on, or `None` for a new figure of column width (3.4 in).

    **Returns:** the axes. Expected laws are solid and drawn first, rivals dashed; the bars are
    normalised by all the samples, so that the curves stay comparable when the tails are cut.
    """
    ax = axes(ax)
    low, high = figure_data.limits or _central(figure_data.samples)
    counts, edges = np.histogram(figure_data.samples, bins=figure_data.bins, range=(low, high))
    heights = counts / (len(figure_data.samples) * np.diff(edges))
    ax.stairs(heights, edges, fill=True, color=HISTOGRAM, label="simulated")

    order = sorted(figure_data.densities, key=lambda name: name not in figure_data.expected)
    top = heights.max(initial=0.0)
    dashes = 0
    for index, name in enumerate(order):
        x, density = figure_data.densities[name]
        density = np.where(np.isfinite(density), density, np.nan)
        inside = (x >= low) & (x <= high) & np.isfinite(density)
        if inside.any():
            # A singular density would flatten everything else: let it leave through the top.
            top = max(top, min(float(density[inside].max()), 1.6 * heights.max(initial=0.0)))
        solid = name in figure_data.expected
        ax.plot(
            x,
            density,
            color=PALETTE[index % len(PALETTE)],
            linestyle="-" if solid else DASHES[dashes % len(DASHES)],
            linewidth=1.8 if solid else 1.3,
            label=name,
        )
        dashes += not solid
    ax.set(xlim=(low, high), ylim=(0.0, 1.08 * (top or 1.0)))
    ax.set(xlabel=figure_data.xlabel, ylabel="density", title=figure_data.title)
    tidy(ax)
    # Long names stand one below the other.
    longest = max(map(len, ax.get_legend_handles_labels()[1]), default=0)
    legend_below(ax, 2 if longest <= 30 else 1, handlelength=2.2, columnspacing=1.2)
    return ax


def case_page(figures: Sequence[FigureData]) -> "Figure":
    """One page with a panel for each of `figures` (at most three a row).

    **Returns:** a `matplotlib.figure.Figure` that is not registered with pyplot, so that it never
    opens a window and is freed with its last reference. Raises `ValueError` when `figures` is
    empty.
    """
    if not figures:
        raise ValueError("`figures` is empty: give at least one `FigureData`.")
    return page_of(figures, case_figure, (PANEL[0], PANEL[1] + 0.4))


def save_case_page(figures: Sequence[FigureData], path: str | Path, dpi: int = 160) -> Path:
    """Write [`gaugebias.plot.case_page`][] as PNG to `path`, all of it or nothing.

    **Returns:** the path. Raises `OSError` when the folder cannot be written; a figure already
    there is replaced only once the new one is complete.
    """
    path = Path(path)
    with written_whole(path) as part:
        case_page(figures).savefig(part, format="png", dpi=dpi)
    return path


def _central(samples: np.ndarray) -> tuple[float, float]:
    low, high = (float(value) for value in np.quantile(samples, [0.001, 0.999]))
    pad = 0.03 * (high - low)
    # Never past the data: a bar across the end of a sharp domain would look half empty.
    smallest, largest = float(samples.min()), float(samples.max())
    low, high = max(low - pad, smallest), min(high + pad, largest)
    if 0.0 < low < pad:
        low = 0.0
    return (low, high) if low < high else (low - 0.5, high + 0.5)
