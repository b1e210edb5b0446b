"""Curves against one axis, with reference lines and shaded ranges: panels of a publication."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._files import written_whole
from ._page import page_of
from ._style import DASHES, PALETTE, PANEL, axes, legend_below, tidy
from ._ticks import log_ticks, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class CurveData:
    """What one panel shows.

    - `curves`: label -> `(x, y)`; `dashed`: labels of curves drawn as predictions, dashed.
    - `levels`: label -> a value of `y`, drawn across in grey.
    - `ranges`: `(first, last)` of `x`, shaded; `last` may be infinite.
    - `xscale`, `yscale`: `"linear"` or `"log"`; `limits`: of `y`, or `None`.

    Raises `ValueError` for curves of unequal lengths, and where there is none.
    """

    title: str
    xlabel: str
    ylabel: str
    curves: Mapping[str, tuple[Any, Any]]
    dashed: tuple[str, ...] = ()
    levels: Mapping[str, float] = dataclasses.field(default_factory=dict)
    ranges: tuple[tuple[float, float], ...] = ()
    xscale: str = "linear"
    yscale: str = "linear"
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.curves:
            raise ValueError("`curves` is empty: give at least one (x, y).")
        for name, (x, y) in self.curves.items():
            if np.ndim(x) != 1 or np.shape(x) != np.shape(y):
                raise ValueError(
                    f"`curves`[{name!r}] has shapes {np.shape(x)} and {np.shape(y)}: give two "
                    "vectors of one length."
                )
        if unknown := [name for name in self.dashed if name not in self.curves]:
            raise ValueError(f"`dashed` names {unknown[0]!r}, which is not in `curves`.")
        for name in ("xscale", "yscale"):
            if getattr(self, name) not in ("linear", "log"):
                raise ValueError(f'`{name}` is {getattr(self, name)!r}: give "linear" or "log".')


def curve_figure(data: CurveData, ax: Any = None) -> "Axes":
    """The panel of a [`gaugebias.plot.CurveData`][] on `ax`, or on a new figure (`None`)."""
    ax = axes(ax)
    solid = dashed = 0
    for name, (x, y) in data.curves.items():
        prediction = name in data.dashed
        style = DASHES[dashed % len(DASHES)] if prediction else "-"
        # A prediction has the colour of the curve beside it.
        index = dashed if prediction else solid
        colour = "black" if prediction and len(data.dashed) == 1 else PALETTE[index % len(PALETTE)]
        # Of many curves some coincide: those below are wider, and show.
        width = 3.4 - 0.5 * solid if len(data.curves) > 4 and not prediction else 1.2
        ax.plot(x, y, color=colour, linestyle=style, linewidth=max(width, 0.8), label=name)
        dashed, solid = dashed + prediction, solid + (not prediction)
    for name, level in data.levels.items():
        ax.axhline(level, color="0.6", linewidth=0.8, zorder=0)
        ax.annotate(
            name,
            (0.01, level),
            xycoords=("axes fraction", "data"),
            ha="left",
            va="bottom",
            fontsize=6,
            color="0.35",
        )
    ax.set(xscale=data.xscale, yscale=data.yscale, title=data.title)
    ax.set(xlabel=data.xlabel, ylabel=data.ylabel)
    end = max(float(np.max(x)) for x, _ in data.curves.values())
    for first, last in data.ranges:
        ax.axvspan(first, min(last, end), color="0.92", zorder=-1)
    ax.set_xlim(right=end)
    if data.limits is not None:
        ax.set_ylim(*data.limits)
    for axis, scale in ((ax.xaxis, data.xscale), (ax.yaxis, data.yscale)):
        if scale == "log":
            log_ticks(axis)
    if data.xscale == "linear" and all(_whole(x) for x, _ in data.curves.values()):
        whole_ticks(ax.xaxis)
    longest = max(map(len, data.curves))
    tidy(ax)
    legend_below(ax, 2 if longest <= 26 else 1, handlelength=2.0, columnspacing=1.2)
    return ax


def _whole(x: Any) -> bool:
    x = np.asarray(x, float)
    return bool(np.all(x == np.round(x)))


def curve_page(panels: Sequence[CurveData]) -> "Figure":
    """One page with all `panels`, at most three a row; not registered with pyplot."""
    if not panels:
        raise ValueError("`panels` is empty: give at least one `CurveData`.")
    return page_of(panels, curve_figure, (PANEL[0], PANEL[1] + 0.6))


def save_curve_page(panels: Sequence[CurveData], path: str | Path, dpi: int = 160) -> Path:
    """Write [`gaugebias.plot.curve_page`][] as PNG to `path`, all of it or nothing."""
    path = Path(path)
    with written_whole(path) as part:
        curve_page(panels).savefig(part, format="png", dpi=dpi)
    return path
