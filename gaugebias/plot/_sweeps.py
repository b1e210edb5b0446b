"""Sweeps as pictures: an output over two settings, and the border that a theory draws there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import axes, tidy
from ._ticks import log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def heat_map(
    dataset: Any,
    variable: str,
    x: str,
    y: str,
    *,
    reduce: str = "mean",
    log: bool = False,
    limits: tuple[float, float] | None = None,
    ax: Any = None,
) -> "Axes":
    """An output of a sweep over two of its settings.

    **Arguments:**

    - `dataset`: as from [`gaugebias.sweep.load`][], of a grid.
    - `variable`: an output with one number a cell.
    - `x`, `y`: the settings on the axes; logarithmic where their values are so.
    - `reduce`: `"mean"`, `"median"`, `"std"`, `"min"` or `"max"` over everything else, seeds among
      it. Cells that are not done are left out; a place where none is done stays grey.
    - `log`: colours by the logarithm; `limits`: of the colours.
    - `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes. Raises `ValueError` for names that are not there, saying which are.
    """
    from matplotlib.colors import LogNorm, Normalize

    found = _plane(dataset, variable, x, y, reduce)
    ax = axes(ax)
    norm = (LogNorm if log else Normalize)(*(limits or (None, None)))
    edges = [_edges(found[name].values) for name in (x, y)]
    values = found.transpose(y, x).values
    if log and np.any(values <= 0):
        raise ValueError(f"`log`: {variable!r} has values that are not positive.")
    ax.set_facecolor("0.85")
    mesh = ax.pcolormesh(
        edges[0][0], edges[1][0], np.ma.masked_invalid(values), norm=norm, cmap="cividis"
    )
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.ax.tick_params(labelsize=7)
    if log:
        log_ticks(bar.ax.yaxis)
    bar.set_label(f"{variable} ({reduce})", fontsize=8)
    for name, (_, scale, labels), axis in ((x, edges[0], ax.xaxis), (y, edges[1], ax.yaxis)):
        if scale == "log":
            (ax.set_xscale if axis is ax.xaxis else ax.set_yscale)("log")
            log_ticks(axis)
        if labels is not None:
            axis.set_ticks(range(len(labels)), labels)
        units = dataset[name].attrs.get("units", "")
        axis.set_label_text(f"{name} ({units})" if units else name)
    tidy(ax)
    ax.spines[["top", "right"]].set_visible(True)
    return ax


def phase_diagram(
    dataset: Any,
    variable: str,
    x: str,
    y: str,
    *,
    level: float | None = None,
    boundary: Callable | None = None,
    label: str = "predicted",
    ax: Any = None,
    **options: Any,
) -> "Axes":
    """A [`gaugebias.plot.heat_map`][] with the measured level line and a predicted border.

    **Arguments:**

    - `dataset`, `variable`, `x`, `y`, `ax`, `options`: as there. Both settings are numbers.
    - `level`: draw where the variable has this value (between cells, by linear interpolation).
    - `boundary`: `boundary(values of x) -> values of y`, the border that a theory predicts.
    - `label`: of the predicted border in the legend.

    **Returns:** the axes.
    """
    from matplotlib.patheffects import withStroke

    ax = heat_map(dataset, variable, x, y, ax=ax, **options)
    left, right, bottom, top = *ax.get_xlim(), *ax.get_ylim()
    if level is not None:
        found = _plane(dataset, variable, x, y, options.get("reduce", "mean")).transpose(y, x)
        # White on any colour of the map needs a dark edge.
        edge = [withStroke(linewidth=3.0, foreground="0.15")]
        line = ax.contour(found[x].values, found[y].values, found.values, [level], colors="white")
        line.set(path_effects=edge)
        name = f"{variable} = {level:g}"
        ax.plot([], [], color="white", path_effects=edge, label=name)
    if boundary is not None:
        logarithmic = ax.get_xscale() == "log"
        at = (np.geomspace if logarithmic else np.linspace)(left, right, 256)
        border = np.asarray(boundary(at), float)
        ax.plot(at, border, color="#D55E00", linestyle="--", linewidth=1.6, label=label)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, framealpha=0.9)
    return ax


def _plane(dataset: Any, variable: str, x: str, y: str, reduce: str) -> Any:
    """`variable` over `y` and `x`, everything else reduced."""
    outputs = [str(name) for name in dataset.data_vars if name not in ("status", "reason")]
    if variable not in outputs:
        raise ValueError(f"`variable` {variable!r} is no output: there is {', '.join(outputs)}.")
    for argument, name in (("x", x), ("y", y)):
        if name not in dataset.dims:
            dims = ", ".join(str(d) for d in dataset.dims)
            raise ValueError(f"`{argument}` {name!r} is no axis of the sweep: there is {dims}.")
    if x == y:
        raise ValueError(f"`x` and `y` are both {x!r}: name two settings.")
    if reduce not in ("mean", "median", "std", "min", "max"):
        raise ValueError(f"`reduce` is {reduce!r}: give mean, median, std, min or max.")
    own = [d for d in dataset[variable].dims if d not in dataset.status.dims]
    if own:
        raise ValueError(
            f"`variable` {variable!r} has axes of its own ({', '.join(map(str, own))}): select "
            "from it first, as `dataset.isel(...)`."
        )
    done = dataset[variable].where(dataset.status == "done")
    rest = [d for d in done.dims if d not in (x, y)]
    return getattr(done, reduce)(rest) if rest else done


def _edges(values: np.ndarray) -> tuple[np.ndarray, str, list[str] | None]:
    """Borders of the cells along an axis, its scale, and names where it holds no numbers."""
    if values.dtype.kind not in "fiu" or len(values) < 2:
        return np.arange(len(values) + 1) - 0.5, "linear", [str(v) for v in values]
    steps = np.diff(values)
    if np.any(steps <= 0) and np.any(steps >= 0):
        return np.arange(len(values) + 1) - 0.5, "linear", [f"{v:g}" for v in values]
    x = np.asarray(values, float)
    log = np.all(x > 0) and len(x) > 2 and np.allclose(np.diff(np.log(x)), np.log(x[1] / x[0]))
    z = np.log(x) if log else x
    middle = 0.5 * (z[1:] + z[:-1])
    ends = np.concatenate([[2 * z[0] - middle[0]], middle, [2 * z[-1] - middle[-1]]])
    return (np.exp(ends) if log else ends), ("log" if log else "linear"), None
