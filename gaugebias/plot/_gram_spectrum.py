"""The spectrum of an orbit's Gram matrix: how far the group moves the parameters, and where not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import DASHES, PALETTE, axes, tidy
from ._ticks import log_ticks, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gram_spectrum(action: Any, points: Mapping[str, Any], ax: Any = None) -> "Axes":
    """Eigenvalues of the orbit Gram at one or several points, in falling order.

    They are the squares of the singular values of the orbit's derivative (never of a Gram matrix
    that was formed): directions in which the orbit is degenerate show as a step down to rounding.

    **Arguments:**

    - `action`: an action; `points`: parameters by the name they have in the legend.
    - `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes. Raises `ValueError` where there is no point, or the action no generator.
    """
    from ..symmetry import orbit_jacobian

    if not isinstance(points, Mapping) or not points:
        raise ValueError("`points` must be a dictionary from names to parameters.")
    ax = axes(ax)
    for number, (name, params) in enumerate(points.items()):
        jacobian = np.asarray(orbit_jacobian(action, params))
        if not jacobian.size:
            raise ValueError("`action` has no generators: there is no spectrum to draw.")
        jacobian = jacobian.reshape(jacobian.shape[0], -1)
        found = np.linalg.svd(jacobian, compute_uv=False) ** 2
        # More generators than parameters: the others are linear combinations of these.
        found = np.pad(found, (0, jacobian.shape[1] - len(found)))
        tiny = float(found[0]) * np.finfo(jacobian.dtype).eps ** 2
        style = "-" if number == 0 else DASHES[(number - 1) % len(DASHES)]
        ax.plot(
            np.arange(1, len(found) + 1),
            np.maximum(found, tiny),
            color=PALETTE[number % 6],
            linestyle=style,
            marker="o",
            markersize=2.5,
            linewidth=1.0,
            label=name,
        )
    ax.set(yscale="log", xlabel="direction", ylabel="eigenvalue of the orbit Gram")
    log_ticks(ax.yaxis)
    whole_ticks(ax.xaxis)
    ax.legend(fontsize=7, frameon=False)
    tidy(ax)
    return ax
