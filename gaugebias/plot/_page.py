"""Panels on one page, which pyplot does not know of."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def page_of(panels: Sequence[Any], draw: Callable, size: tuple[float, float]) -> "Figure":
    """`draw(panel, ax)` of each, at most three a row, `size` inches each; other axes stay empty."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    page = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    FigureCanvasAgg(page)
    grid = page.subplots(rows, columns, squeeze=False).ravel()
    for panel, ax in zip(panels, grid, strict=False):
        draw(panel, ax)
    for ax in grid[len(panels) :]:
        ax.set_axis_off()
    return page
