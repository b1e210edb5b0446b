"""Norms of factors while a network trains, and what conservation alone predicts of them."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import PALETTE, axes, tidy
from ._ticks import log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _conserved_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The ratios of norms that conservation of the imbalance predicts from the total alone.

    Gradient flow conserves `c = |a|^2 - |b|^2` of two factors; with `s = |a|^2 + |b|^2` as it is at
    each time, `|a| / |b| = sqrt((s + c) / (s - c))`.

    **Arguments:** squared norms of both factors, shape `(chains, draws, units)`; `c` is taken at
    the first draw. **Returns:** the same shape; NaN where `|c| > s`.
    """
    c = first[:, :1] - second[:, :1]
    s = first + second
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt((s + c) / (s - c))


def norm_ratios(
    ensemble: Any, first: str, second: str, *, conserved: bool = True, ax: Any = None
) -> "Axes":
    """Ratios of the norms of two factors along a run, unit by unit.

    **Arguments:**

    - `ensemble`: a [`gaugebias.dynamics.Ensemble`][] that observed a dictionary with the *squared*
      norms `first` and `second`, arrays `(units,)` or numbers, at several times.
    - `conserved`: draw also what conservation of the imbalance `|a|^2 - |b|^2` predicts, dashed.
      Where the two agree, balance is growth of the norms and no noise is needed to explain it.
    - `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes: medians over chains. Raises `ValueError` for names that were not observed
    and for one draw.
    """
    values = ensemble.values
    for name in (first, second):
        if not isinstance(values, dict) or name not in values:
            known = ", ".join(values) if isinstance(values, dict) else "one array without a name"
            raise ValueError(
                f"`ensemble` did not observe {name!r} but {known}: observe a dictionary of squared "
                "norms."
            )
    a, b = (np.asarray(values[name], float) for name in (first, second))
    a, b = (x[..., None] if x.ndim == 2 else x for x in (a, b))
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(
            f"{first!r} and {second!r} must be numbers or vectors of one length, but have shapes "
            f"{a.shape[2:]} and {b.shape[2:]}."
        )
    if a.shape[1] < 2:
        raise ValueError("`ensemble` has one draw: record with `every=` to see a trace.")
    ax = axes(ax)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.median(np.sqrt(a / b), axis=0)
    predicted = np.median(_conserved_ratio(a, b), axis=0)
    for unit in range(ratio.shape[1]):
        colour = PALETTE[unit % 6]
        ax.plot(ensemble.steps, ratio[:, unit], color=colour, linewidth=1.2)
        if conserved:
            ax.plot(ensemble.steps, predicted[:, unit], "--", color="0.15", linewidth=0.8)
    ax.plot([], [], color=PALETTE[0], linewidth=1.2, label="measured")
    if conserved:
        ax.plot([], [], "--", color="0.15", linewidth=0.8, label="conserved imbalance")
    ax.axhline(1.0, color="0.75", linewidth=0.7, zorder=0)
    ax.set(yscale="log", xlabel="step", ylabel=f"|{first}| / |{second}|")
    log_ticks(ax.yaxis)
    ax.legend(fontsize=7, frameon=False)
    tidy(ax)
    return ax
