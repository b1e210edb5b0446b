"""Panels on one page, which pyplot does not know of."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def empty_page(rows: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, Any]":
    """A page that opens no window, and its axes row by row, `size` inches each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    page = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    FigureCanvasAgg(page)
    return page, page.subplots(rows, columns, squeeze=False).ravel()


def page_of(panels: Sequence[Any], draw: Callable, size: tuple[float, float]) -> "Figure":
    """`draw(panel, ax)` of each, at most three a row, `size` inches each; other axes stay empty."""
    columns = min(3, len(panels))
    page, axes = empty_page(math.ceil(len(panels) / columns), columns, size)
    for panel, ax in zip(panels, axes, strict=False):
        draw(panel, ax)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return page
