"""Rows of a table as mixtures of three components, in the triangle."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import HISTOGRAM, PALETTE, axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ternary(
    factorisation: Any,
    *,
    names: Sequence[str] = (),
    components: Sequence[str] = (),
    region: Any = None,
    ax: Any = None,
) -> "Axes":
    """The rows of A in the triangle of three components.

    **Arguments:**

    - `factorisation`: a [`gaugebias.factor.Factorisation`][] with K = 3.
    - `names`: of the rows, written beside their points where there is room.
    - `components`: names of the corners; 1, 2, 3 by default.
    - `region`: a [`gaugebias.factor.ComponentRegion`][] of the same factorisation: the polygon of
      non-negative shares is drawn around the triangle, the hull of the rows inside it, and the
      places where a component of some solution with the same fitted table can be are coloured by
      the nearest corner.
    - `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes. Raises `ValueError` where K is not 3 or names do not match.
    """
    from ..factor import ternary_coordinates

    if factorisation.components != 3:
        raise ValueError(
            f"`factorisation` has {factorisation.components} components: a triangle has three."
        )
    labels = tuple(components) or ("1", "2", "3")
    for argument, given, size in (("components", labels, 3), ("names", names, None)):
        size = len(factorisation.mixing) if size is None else size
        if len(given) not in ((size,) if argument == "components" else (0, size)):
            raise ValueError(f"`{argument}` has {len(given)} names for {size} of them.")
    ax = axes(ax, (4.8, 4.2))
    corners = ternary_coordinates(np.eye(3))
    _grid(ax, ternary_coordinates)
    ax.fill(*corners.T, fill=False, edgecolor="0.25", linewidth=1.0)
    shown = [corners]
    if region is not None:
        outer, inner = (ternary_coordinates(x) for x in (region.outer, region.inner))
        ax.fill(*outer.T, fill=False, edgecolor="0.45", linestyle=(0, (4, 2)), linewidth=0.9)
        ax.fill(*inner.T, color=HISTOGRAM, alpha=0.6, linewidth=0, zorder=0.5)
        places = region.points[region.possible]
        for k in range(3):
            mine = ternary_coordinates(places[places.argmax(axis=1) == k])
            ax.scatter(*mine.T, s=5, color=PALETTE[k], alpha=0.35, linewidths=0, zorder=0.8)
        shown.append(outer)
    points = ternary_coordinates(factorisation.mixing)
    ax.scatter(*points.T, s=14, color="0.1", zorder=3)
    named: list[np.ndarray] = []
    for name, point in zip(names, points, strict=False):
        # A name over another one can be read by nobody.
        if all(abs(x - point[0]) > 0.11 or abs(y - point[1]) > 0.022 for x, y in named):
            ax.annotate(name, tuple(point), xytext=(4, -2), textcoords="offset points", fontsize=6)
            named.append(point)
    ax.scatter(*corners.T, s=40, marker="D", c=list(PALETTE[:3]), zorder=4)
    places = ((-9, -11, "right"), (9, -11, "left"), (10, 0, "left"))
    for k, (dx, dy, align) in enumerate(places):
        ax.annotate(
            labels[k],
            corners[k],
            xytext=(dx, dy),
            textcoords="offset points",
            ha=align,
            fontsize=9,
            color=PALETTE[k],
            weight="bold",
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
        )
    everything = np.concatenate(shown)
    low, high = everything.min(axis=0), everything.max(axis=0)
    pad = 0.08 * float((high - low).max())
    ax.set(xlim=(low[0] - pad, high[0] + pad), ylim=(low[1] - pad, high[1] + pad), aspect="equal")
    ax.set_axis_off()
    return ax


def _grid(ax: "Axes", coordinates: Any) -> None:
    for share in (0.2, 0.4, 0.6, 0.8):
        for k in range(3):
            ends = np.zeros((2, 3))
            ends[:, k] = share
            ends[0, (k + 1) % 3] = ends[1, (k + 2) % 3] = 1.0 - share
            ax.plot(*coordinates(ends).T, color="0.88", linewidth=0.6, zorder=0.2)
