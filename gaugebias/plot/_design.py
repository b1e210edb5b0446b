"""A designed parametrisation: the map, its penalty, and the density it was validated on."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ._cases import case_figure
from ._data import FigureData
from ._style import PALETTE, PANEL, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def design(design: Any, validation: Any = None) -> "Figure":
    """Three panels: `w(u)`, the penalty, and the simulated density with the laws.

    **Arguments:**

    - `design`: a [`gaugebias.design.Design`][] made by `from_penalty`.
    - `validation`: a [`gaugebias.design.Validation`][]; without one there are two panels. Of
        several coordinates the first is shown (of increments, or the largest singular value).

    **Returns:** a `matplotlib.figure.Figure` that is not registered with pyplot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ..design import profile

    panels = 2 if validation is None else 3
    page = Figure(figsize=(PANEL[0] * panels, PANEL[1] + 0.4), layout="constrained")
    FigureCanvasAgg(page)
    axes = page.subplots(1, panels)
    low, high = -2.0, 2.0
    draws = None
    if validation is not None:
        draws = np.asarray(validation.ensemble.values, dtype=float)[:, -1]
        draws = draws.reshape(len(draws), -1)[:, 0]
        reach = 1.2 * float(np.quantile(np.abs(draws), 0.995))
        low, high = -reach, reach
    line = profile(design, low, high)
    axes[0].plot(line.u, line.w, color=PALETTE[0], linewidth=1.6)
    axes[0].set(xlabel=line.labels[0], ylabel=line.labels[1], title="parametrisation")
    axes[1].plot(line.w, line.penalty, color=PALETTE[0], linewidth=1.6)
    temperature = float(design.temperature)
    one = "R" if not design.shape else f"R, of one {line.labels[1].partition(' ')[0]}"
    axes[1].set(xlabel=line.labels[1], ylabel=one, title=f"penalty at T = {temperature:g}")
    for ax in axes[:2]:
        tidy(ax)
    if validation is not None and draws is not None:
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
    return page
