"""The components of a factorisation over the columns, and the rows as mixtures of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import PALETTE, axes, legend_below, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "oDs^vPX*"


def components(
    factorisation: Any,
    *,
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    movement: Any = None,
    ax: Any = None,
) -> "Axes":
    """Share of every column in every component; a bar is how far it can move.

    **Arguments:** `factorisation`: a [`gaugebias.factor.Factorisation`][]; `columns`, `names`: of
    columns and components; `movement`: its [`gaugebias.factor.Movement`][], drawn as bars from the
    least to the greatest share; `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes. Raises `ValueError` where names do not match.
    """
    k, size = factorisation.basis.shape
    label = "" if columns else "column"
    columns, names = _names(columns, size, "columns"), _names(names, k, "names")
    ax = axes(ax, (4.8, 0.9 + 0.13 * size * max(2, k)))
    for component in range(k):
        places = np.arange(size) + 0.6 * ((component + 0.5) / k - 0.5)
        colour = PALETTE[component % len(PALETTE)]
        ax.plot(
            factorisation.basis[component],
            places,
            _MARKERS[component % len(_MARKERS)],
            color=colour,
            markersize=3.5,
            label=names[component],
        )
        if movement is not None:
            low, high = movement.basis_low[component], movement.basis_high[component]
            ax.hlines(places, low, high, color=colour, linewidth=2.2, alpha=0.45)
    for place in range(1, size):
        ax.axhline(place - 0.5, color="0.93", linewidth=0.6, zorder=0)
    _ticks(ax, columns)
    # A little below 0, so that the marks of shares that are 0 are whole.
    ax.set(xlabel="share of the component", ylabel=label, xlim=(-0.015 * ax.get_xlim()[1], None))
    legend_below(ax, 4)
    return ax


def mixtures(
    factorisation: Any, *, rows: Sequence[str] = (), names: Sequence[str] = (), ax: Any = None
) -> "Axes":
    """The shares of the components in every row, stacked.

    **Arguments:** `factorisation`: a [`gaugebias.factor.Factorisation`][]; `rows`, `names`: of rows
    and components; `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes. Raises `ValueError` where names do not match.
    """
    size, k = factorisation.mixing.shape
    label = "" if rows else "row"
    rows, names = _names(rows, size, "rows"), _names(names, k, "names")
    ax = axes(ax, (4.8, 0.9 + 0.16 * size))
    left = np.zeros(size)
    for component in range(k):
        shares = factorisation.mixing[:, component]
        ax.barh(
            np.arange(size),
            shares,
            left=left,
            height=0.8,
            color=PALETTE[component % len(PALETTE)],
            label=names[component],
        )
        left = left + shares
    _ticks(ax, rows)
    ax.set(xlabel="share of the row", ylabel=label, xlim=(0.0, 1.0))
    legend_below(ax, 4)
    return ax


def _names(given: Sequence[str], size: int, argument: str) -> Sequence[str]:
    if given and len(given) != size:
        raise ValueError(f"`{argument}` has {len(given)} names for {size} of them.")
    return given or [str(index + 1) for index in range(size)]


def _ticks(ax: "Axes", labels: Sequence[str]) -> None:
    tidy(ax)
    ax.set_yticks(range(len(labels)), [_short(label) for label in labels])
    ax.tick_params(axis="y", labelsize=7, length=0)
    ax.set_ylim(len(labels) - 0.5, -0.5)


def _short(label: str) -> str:
    return label if len(label) <= 24 else label[:21] + "..."
