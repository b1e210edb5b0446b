"""A loss on two parameters, with the orbits along which it is flat and the slice across them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import PALETTE, axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID = 121
_LEVELS = 12
_TIMES = np.linspace(-3.0, 3.0, 241)


def landscape(
    q: Any,
    loss: Callable,
    extent: tuple[float, float, float, float],
    *,
    orbits: int = 12,
    ax: Any = None,
) -> "Axes":
    """Contours of a loss over two parameters, orbits of the symmetry and the slice.

    **Arguments:**

    - `q`: a `gaugebias.Quotient` whose `at` holds two numbers that move, as `u` and `v` of
      `w = u v`. The first is the horizontal axis.
    - `loss`: function of the parameters: the loss, or an effective loss such as
      `lambda p: law.effective_loss(q.phi(p))`. Where it is not finite nothing is drawn.
    - `extent`: left, right, bottom, top.
    - `orbits`: how many orbits, through points spread over the picture.
    - `ax`: axes to draw on, or `None` for a new figure.

    **Returns:** the axes. Raises `ValueError` where `q` has not two parameters.
    """
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    point, unravel = ravel_pytree(q.at)
    if point.shape != (2,):
        raise ValueError(f"`q` moves {point.size} numbers: a landscape is drawn of two.")
    left, right, bottom, top = (float(x) for x in extent)
    if not (left < right and bottom < top):
        raise ValueError(f"`extent` is {extent}: give left < right and bottom < top.")
    ax = axes(ax)
    x, y = np.linspace(left, right, _GRID), np.linspace(bottom, top, _GRID)
    grid = jnp.stack(jnp.meshgrid(jnp.asarray(x), jnp.asarray(y)), axis=-1).reshape(-1, 2)
    height = np.asarray(jax.vmap(lambda z: loss(unravel(z)))(grid)).reshape(_GRID, _GRID)
    finite = height[np.isfinite(height)]
    if not finite.size:
        raise ValueError("`loss` is finite nowhere in `extent`.")
    levels = np.unique(np.quantile(finite, np.linspace(0.0, 0.95, _LEVELS)))
    shown = np.where(np.isfinite(height), height, np.nan)
    ax.contourf(x, y, shown, levels=levels, cmap="Blues_r", alpha=0.55, extend="max")
    for number, path in enumerate(_orbits(q, unravel, (left, right, bottom, top), orbits)):
        label = "orbits" if number == 0 else None
        ax.plot(*path.T, color=PALETTE[1], linewidth=0.9, label=label)
    chi = jax.vmap(lambda z: ravel_pytree(q.gauge.chi(q.action, unravel(z)))[0])(grid)
    if chi.shape[1] == 1:
        values = np.asarray(chi).reshape(_GRID, _GRID)
        ax.contour(x, y, values, levels=[0.0], colors=PALETTE[6], linewidths=1.4)
        ax.plot([], [], color=PALETTE[6], linewidth=1.4, label="slice")
    names = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, _ in jax.tree_util.tree_leaves_with_path(q.at)
    ]
    first, second = names if len(names) == 2 else ("first", "second")
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel=first, ylabel=second)
    ax.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    tidy(ax)
    return ax


def _orbits(q: Any, unravel: Callable, extent: tuple[float, ...], many: int) -> list[np.ndarray]:
    """Orbits through points between the middle of the picture and its corners."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    left, right, bottom, top = extent
    middle = np.asarray([left + right, bottom + top]) / 2
    half = np.asarray([right - left, top - bottom]) / 2
    corners = half * np.asarray([[1, 1], [-1, -1], [-1, 1], [1, -1]])
    parts = np.linspace(0.9, 0.3, max(1, -(-many // 4)))
    starts = np.concatenate([middle + part * corners for part in parts])
    algebra = q.action.algebra(q.at)
    flat, back = ravel_pytree(jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), algebra))
    if flat.size != 1:
        return []
    out = []
    for start in starts[:many]:
        params = unravel(jnp.asarray(start))

        def at(t, params=params):
            return ravel_pytree(q.action.flow(params, back(t * flat)))[0]

        out.append(np.asarray(jax.vmap(at)(jnp.asarray(_TIMES))))
    return out
