"""A design along one coordinate, as arrays: for figures and tables."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ._design import Design, batch_of
from ._parametrisations import Coordinates, Factors, Products, Radial


class Profile(NamedTuple):
    """`w = h(u)` and `R(w)` of one coordinate; arrays of shape `(n,)`, and labels.

    For a norm `w` is its value and `u` that of the parameters; for factors `u` is the size of each
    at balance, with the sign of `w`; for products the arc length along the slice. After a linear
    transform `w` is one coordinate `d_i`. The penalty is that of one entry, coordinate or norm.
    """

    u: np.ndarray
    w: np.ndarray
    penalty: np.ndarray
    labels: tuple[str, str]


def profile(design: Design, low: float = -2.0, high: float = 2.0, points: int = 400) -> Profile:
    """A designed parametrisation along one coordinate `w` from `low` to `high`.

    **Raises:** `ValueError` for a design that was claimed by hand: it has no single coordinate.
    """
    map = design.parametrisation
    one: Any = getattr(design.penalty, "penalty", None)
    if not isinstance(map, Coordinates | Products | Factors | Radial) or one is None:
        raise ValueError("`design` was not made by `from_penalty`: plot its own parametrisation.")
    low = max(low, one.lower, 0.0 if isinstance(map, Radial) else -np.inf)
    high = min(high, one.upper)
    w = low + (high - low) * (np.arange(points) + 0.5) / points
    penalty = np.asarray(batch_of(one, jnp.asarray(w)), dtype=float)
    if isinstance(map, Radial):
        u = np.asarray(map.map.inverse(jnp.asarray(w)))
        return Profile(u, w, penalty, ("r, of the parameters", f"N = {_norm_of(design)}"))
    entry = "w" if not design.shape else "w_i" if map.frame.back is None else "d_i"
    if isinstance(map, Factors):
        size = np.abs(w) ** (1.0 / map.depth)
        return Profile(np.sign(w) * size, w, penalty, ("size of each factor, with sign", entry))
    u = np.asarray(map.map.inverse(jnp.asarray(w)))
    name = "arc length x of (u, v)" if isinstance(map, Products) else "u" + entry[1:]
    return Profile(u, w, penalty, (name, entry))


def _norm_of(design: Design) -> str:
    return str(getattr(design.penalty, "name", "|w|"))
