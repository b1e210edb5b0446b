"""The density of a law of one or two coordinates."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import PALETTE, axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 400


def law(law: Any, ax: Any = None) -> "Axes":
    """Density of a law: a curve in one coordinate, filled contours in two.

    **Arguments:**

    - `law`: a law of `gaugebias.laws` with respect to Lebesgue measure, of dimension 1 or 2.
    - `ax`: matplotlib axes to draw on, or `None` for a new figure of column width (3.4 in).

    **Returns:** the axes. The bulk is shown (99.6% of 4096 draws with a fixed key); dotted lines
    mark the points where the density may be singular, and a singular density leaves through the
    top.

    Raises `ValueError` for a law of more coordinates (plot a marginal of it) and for a law with
    another reference measure (convert it first).
    """
    import jax

    dimension = law.domain.dimension
    if law.reference != "lebesgue":
        raise ValueError(
            f"`law` is stated with respect to the {law.reference!r} measure, which has no axis to "
            'draw on: plot `law.to("lebesgue")`.'
        )
    if dimension > 2:
        raise ValueError(
            f"`law` has {dimension} coordinates: plot `law.marginal(fn)` for a scalar `fn`."
        )
    ax = axes(ax)
    draws = np.asarray(law.sample(jax.random.key(0), 4096), dtype=float).reshape(4096, -1)
    low, high = np.quantile(draws, [0.002, 0.998], axis=0)
    if dimension == 1:
        _curve(law, ax, float(low[0]), float(high[0]))
        ax.set(xlabel="w", ylabel="density")
    else:
        _contours(law, ax, low, high)
        ax.set(xlabel="$w_1$", ylabel="$w_2$")
    ax.set_title(law.name)
    tidy(ax)
    return ax


def _curve(law: Any, ax: "Axes", low: float, high: float) -> None:
    domain = law.domain
    pad = 0.04 * (high - low)
    low, high = max(low - pad, domain.lower[0]), min(high + pad, domain.upper[0])
    breaks = [point for point in domain.breaks[0] if low < point < high]
    tops = []
    for a, b in zip([low, *breaks], [*breaks, high], strict=True):
        # Cosine spacing: points crowd at both ends, where the density may be singular, and never
        # fall on them.
        x = a + (b - a) * 0.5 * (1.0 - np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS))
        density = np.exp(np.asarray(law.log_density(x), dtype=float))
        ax.plot(x, density, color=PALETTE[0], linewidth=1.6)
        ax.fill_between(x, density, color=PALETTE[0], alpha=0.12, linewidth=0)
        tops.append(np.quantile(density, 0.97))
    ax.locator_params(axis="x", nbins=6)
    for point in breaks:
        ax.axvline(point, color="0.4", linestyle=":", linewidth=0.9)
    ax.set(xlim=(low, high), ylim=(0.0, 1.1 * max(tops)))


def _contours(law: Any, ax: "Axes", low: np.ndarray, high: np.ndarray) -> None:
    # Midpoints of cells: unlike corners they seldom fall on a break at a round number.
    sides = [a + (b - a) * (np.arange(120) + 0.5) / 120 for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1)
    inside = np.asarray(law.domain.contains(grid))
    points = np.where(inside[..., None], grid, grid[inside][0] if inside.any() else low)
    density = np.exp(np.asarray(law.log_density(points.reshape(-1, 2)), dtype=float))
    density = np.where(inside, density.reshape(inside.shape), np.nan)
    top = float(np.nanquantile(density, 0.995))
    ax.contourf(
        grid[..., 0],
        grid[..., 1],
        np.clip(density, 0.0, top),
        levels=np.linspace(0.0, top, 9)[1:],
        cmap="Blues",
        extend="max",
    )
