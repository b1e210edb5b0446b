"""A designed parametrisation: the map, its penalty, and the density it was validated on."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ._cases import case_figure
from ._data import FigureData
from ._page import empty_page
from ._style import PALETTE, PANEL, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (PANEL[0], PANEL[1] + 0.4)


def design(design: Any, validation: Any = None, axes: Any = None) -> "tuple[Axes, ...]":
    """Three panels: `w(u)`, the penalty, and the simulated density with the laws.

    **Arguments:**

    - `design`: a [`gaugebias.design.Design`][] made by `from_penalty`.
    - `validation`: a [`gaugebias.design.Validation`][]; without one there are two panels. Of
        several coordinates the first is shown (of increments, or the largest singular value).
    - `axes`: two or three matplotlib axes to draw on, or `None` for a new figure with a row of
        them, each of column width (3.4 in).

    **Returns:** the axes. Raises `ValueError` for another number of `axes`, and for a design that
    was not made by `from_penalty`.
    """
    draws = _draws(validation)
    line = _profile(design, draws)
    panels = 2 if validation is None else 3
    if axes is None:
        import matplotlib.pyplot as plt

        size = (_SIZE[0] * panels, _SIZE[1])
        axes = plt.subplots(1, panels, figsize=size, layout="constrained")[1]
    axes = tuple(np.ravel(np.asarray(axes, dtype=object)))
    if len(axes) != panels:
        raise ValueError(f"`axes` has {len(axes)} of them: give {panels}, one a panel.")
    _draw(axes, line, design, validation, draws)
    return axes


def design_page(design: Any, validation: Any = None) -> "Figure":
    """One page with the panels of [`gaugebias.plot.design`][]; not registered with pyplot."""
    draws = _draws(validation)
    line = _profile(design, draws)
    page, axes = empty_page(1, 2 if validation is None else 3, _SIZE)
    _draw(tuple(axes), line, design, validation, draws)
    return page


def _draws(validation: Any) -> np.ndarray | None:
    """The last draw of the first coordinate of each chain."""
    if validation is None:
        return None
    draws = np.asarray(validation.ensemble.values, dtype=float)[:, -1]
    return draws.reshape(len(draws), -1)[:, 0]


def _profile(design: Any, draws: np.ndarray | None) -> Any:
    from ..design import profile

    reach = 2.0 if draws is None else 1.2 * float(np.quantile(np.abs(draws), 0.995))
    return profile(design, -reach, reach)


def _draw(axes: Any, line: Any, design: Any, validation: Any, draws: np.ndarray | None) -> None:
    axes[0].plot(line.u, line.w, color=PALETTE[0], linewidth=1.6)
    axes[0].set(xlabel=line.labels[0], ylabel=line.labels[1], title="parametrisation")
    axes[1].plot(line.w, line.penalty, color=PALETTE[0], linewidth=1.6)
    temperature = float(design.temperature)
    one = "R" if not design.shape else f"R, of one {line.labels[1].partition(' ')[0]}"
    title = f"{one}, in units of the loss"
    axes[1].set(xlabel=line.labels[1], ylabel=title, title=f"penalty at T = {temperature:g}")
    for ax in axes[:2]:
        tidy(ax)
    if draws is None:
        return
    several = validation.laws["designed"].domain.dimension > 1
    left, right = (float(x) for x in np.quantile(draws, [0.0005, 0.9995]))
    axis = np.linspace(left, right, 161)
    densities = {}
    for name, law in validation.laws.items():
        one = law.coordinate((0,) * len(law.shape)) if several else law
        points = axis if several else axis.reshape(-1, *law.shape)
        cdf = np.asarray(one.cdf(points), dtype=float).reshape(-1)
        densities[name] = (0.5 * (axis[1:] + axis[:-1]), np.diff(cdf) / np.diff(axis))
    title = validation.process.partition(" of ")[0]
    values = np.shape(validation.ensemble.values)[2:]
    label = "w" if not several else "w_1" if line.labels[1] != "d_i" else "d_1"
    if values != tuple(design.shape):
        label = "largest singular value of w"
    case_figure(FigureData(title, label, draws, densities, validation.expected), axes[2])
