"""Coordinates in which a domain is a box: the identity, ratios or gaps of ordered points."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...quotient import Domain


class Coordinates(NamedTuple):
    """A box in `y` mapped onto a domain in `x`.

    - `kind`: `"box"` (x = y); `"ratio"`: `x_1 = y_1`, `x_i = l + (x_{i-1} - l) y_i`, for ordered
        points above a finite bound `l` (which makes corner singularities products); `"gap"`:
        `x_1 = y_1`, `x_i = x_{i-1} - y_i`, for ordered points on the whole line.
    """

    kind: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    breaks: tuple[tuple[float, ...], ...]

    def x(self, y: Any) -> Any:
        """`(..., m)` to `(..., m)`; numpy and jax arrays alike."""
        if self.kind == "box":
            return y
        columns = [y[..., 0]]
        for i in range(1, y.shape[-1]):
            if self.kind == "ratio":
                low = self.lower[0]
                columns.append(low + (columns[-1] - low) * y[..., i])
            else:
                columns.append(columns[-1] - y[..., i])
        module = np if isinstance(y, np.ndarray) else jnp
        return module.stack(columns, axis=-1)

    def log_jacobian(self, y: Array) -> Array:
        """`log |dx/dy|` at one point."""
        if self.kind != "ratio":
            return jnp.zeros((), y.dtype)
        x = self.x(y)
        return jnp.sum(jnp.log(x[:-1] - self.lower[0]))

    def y(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `x`, on the host."""
        if self.kind == "box":
            return x
        y = np.array(x, dtype=float)
        if self.kind == "ratio":
            low = self.lower[0]
            y[..., 1:] = (x[..., 1:] - low) / (x[..., :-1] - low)
        else:
            y[..., 1:] = x[..., :-1] - x[..., 1:]
        return y


def coordinates_of(domain: Domain) -> Coordinates:
    """The coordinates of a domain.

    **Raises:** `ValueError` for ordered domains with bounds that differ between coordinates, or
    bounded above and not below.
    """
    lower, upper, m = domain.lower, domain.upper, domain.dimension
    if not domain.ordered or m == 1:
        return Coordinates("box", lower, upper, domain.breaks)
    if len(set(lower)) > 1 or len(set(upper)) > 1:
        raise ValueError("`domain` is ordered: give every coordinate the same bounds.")
    if np.isfinite(lower[0]):
        inner = ((),) * (m - 1)
        return Coordinates(
            "ratio",
            (lower[0],) + (0.0,) * (m - 1),
            (upper[0],) + (1.0,) * (m - 1),
            (domain.breaks[0], *inner),
        )
    if np.isfinite(upper[0]):
        raise ValueError(
            "`domain` is ordered and bounded above only: bound it below too, or change the sign "
            "of the coordinates."
        )
    return Coordinates(
        "gap",
        (-np.inf,) + (0.0,) * (m - 1),
        (np.inf,) * m,
        (domain.breaks[0],) + ((),) * (m - 1),
    )
