"""Monotone functions of a positive distance, tabulated in bins that follow its binary exponent."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._solve import Growth

# Bins an octave of the distance from the nearest anchor: 2^5.
_BITS = 5
_CHECKED = 7


class Side(eqx.Module):
    """`w(u)` for distances `u >= 0` from an anchor, by quintic pieces.

    Bins are cut by the leading bits of the floating-point number `u` (or of `end - u` in the
    second half, where `w` blows up or meets a wall), so that finding one costs no search and
    structure is resolved on every scale.

    - `coefficients`: `(bins, 6)`, powers of the position in the bin from 0 to 1.
    - `least`: smallest distance resolved near 0 and near the end, `(2,)`; linear below.
    - `base`: number of the first bin, minus its row, `(2,)`.
    - `split`, `end`: where the second half begins, and where `u` ends (infinite where it does not).
    - `last`: `(u, w, dw/du)` beyond which `w` goes on linearly.
    """

    coefficients: Array
    least: Array
    base: Array
    split: Array
    end: Array
    last: Array

    def __call__(self, u: Array) -> Array:
        dtype = self.coefficients.dtype
        integer, shift = (jnp.int64, 52 - _BITS) if dtype == jnp.float64 else (jnp.int32, 18)
        near = u < self.split
        raw = jnp.where(near, u, self.end - u)
        least = jnp.where(near, self.least[0], self.least[1])
        distance = jnp.maximum(raw, least)
        bits = jax.lax.bitcast_convert_type(distance, integer)
        row = (bits >> shift) - jnp.where(near, self.base[0], self.base[1])
        x = (bits & ((1 << shift) - 1)).astype(dtype) * dtype.type(2.0**-shift)
        # One gather a power: a gather of whole rows is done again for each of its uses.
        bins, powers = self.coefficients.shape
        flat, first = self.coefficients.reshape(-1), powers * jnp.clip(row, 0, bins - 1)
        w = jnp.zeros_like(x)
        for k in reversed(range(powers)):
            w = w * x + flat.at[first + k].get(mode="promise_in_bounds")
        w = jnp.where(near & (u < self.least[0]), w * (u / self.least[0]), w)
        beyond = u > self.last[0]
        w = jnp.where(beyond, self.last[1] + self.last[2] * (u - self.last[0]), w)
        return jnp.where(jnp.isnan(u), u, w)


class Piece(NamedTuple):
    """Knots of one family of bins: `w` and its derivatives in the distance at their edges."""

    distance: np.ndarray
    w: np.ndarray
    first: np.ndarray
    second: np.ndarray


def _edges(low: float, high: float) -> np.ndarray:
    """Edges of the bins from a power of two above `low` to the first edge beyond `high`."""
    first = np.ceil(np.log2(low))
    octaves = np.arange(first, max(np.ceil(np.log2(high)), first) + 1.0)
    inner = 1.0 + np.arange(2**_BITS) / 2**_BITS
    edges = (2.0 ** octaves[:, None] * inner[None, :]).ravel()
    return edges[: int(np.searchsorted(edges, max(high, edges[1]))) + 1]


def _quintics(piece: Piece) -> np.ndarray:
    h = np.diff(piece.distance)
    a, b = piece.w[:-1], piece.w[1:]
    da, db = h * piece.first[:-1], h * piece.first[1:]
    sa, sb = h**2 * piece.second[:-1], h**2 * piece.second[1:]
    rise = b - a
    quintic = np.stack(
        [
            a,
            da,
            0.5 * sa,
            10.0 * rise - 6.0 * da - 4.0 * db - 1.5 * sa + 0.5 * sb,
            -15.0 * rise + 8.0 * da + 7.0 * db + 1.5 * sa - sb,
            6.0 * rise - 3.0 * (da + db) - 0.5 * (sa - sb),
        ],
        axis=1,
    )
    zero = np.zeros_like(a)
    cubic = np.stack([a, da, 3.0 * rise - 2.0 * da - db, da + db - 2.0 * rise, zero, zero], axis=1)
    chord = np.stack([a, rise, zero, zero, zero, zero], axis=1)
    # A kink of the penalty inside a bin: fall back to what is monotone there.
    out = quintic
    for other in (cubic, chord):
        bad = ~_monotone(out, np.sign(rise))
        out = np.where(bad[:, None], other, out)
    return out


def _monotone(c: np.ndarray, sign: np.ndarray) -> np.ndarray:
    x = np.linspace(0.0, 1.0, 9)
    slope = sum(k * c[:, k, None] * x ** (k - 1) for k in range(1, 6))
    return np.all(np.isfinite(c), axis=1) & np.all(sign[:, None] * slope >= 0.0, axis=1)


class Shape(NamedTuple):
    """A side of the map on the host.

    - `near`: growth from the anchor. `far`: growth from a wall towards the anchor, or `None`.
    - `split`: `u` where the bins near the end begin, infinite where there are none.
    - `end`: where `u` ends, `length`: distance of the wall from the anchor.
    """

    near: Growth
    far: Growth | None
    split: float
    end: float
    length: float


def tabulate(shape: Shape, dtype: Any, small: float) -> tuple[Side, float]:
    """The table of a side in `dtype`, and its largest error at seven points of every bin.

    The error is relative to `max(|w|, small)`, against the solution of the equation itself.
    """
    near, end, split = shape.near, shape.end, shape.split
    last_u = float(np.exp(near.log_u[-1]))
    families = [_edges(float(np.exp(near.log_u[0])), min(split, last_u))]
    if np.isfinite(split):
        floor = np.exp(shape.far.log_u[0]) if shape.far is not None else end - last_u
        families.append(_edges(max(float(floor), 1e-14 * end), end - split))
    elif families[0][-1] > last_u and len(families[0]) > 2:
        families[0] = families[0][:-1]
    if shape.far is not None:
        last = (end, shape.length, 0.0)
    else:
        stop = end - families[1][:1] if np.isfinite(split) else families[0][-1:]
        w, first, _ = _exact(shape, stop, False)
        last = (stop[0], w[0], first[0])
    rows, bases, worst, before = [], [], 0.0, 0
    for which, edges in enumerate(families):
        c = _quintics(Piece(edges, *_exact(shape, edges, which == 1)))
        worst = max(worst, _error(shape, edges, c, which == 1, small))
        bits = int(np.float64(edges[0]).view(np.int64)) >> (52 - _BITS)
        bits32 = int(np.float32(edges[0]).view(np.int32)) >> (23 - _BITS)
        bases.append((bits - before, bits32 - before))
        rows.append(c)
        before += len(c)
    column = 0 if dtype == jnp.float64 else 1
    return Side(
        coefficients=jnp.asarray(np.concatenate(rows), dtype),
        least=jnp.asarray([families[0][0], families[-1][0]], dtype),
        base=jnp.asarray([bases[0][column], bases[-1][column]], (jnp.int64, jnp.int32)[column]),
        split=jnp.asarray(split, dtype),
        end=jnp.asarray(end if np.isfinite(split) else 0.0, dtype),
        last=jnp.asarray(last, dtype),
    ), worst


def _exact(shape: Shape, distance: np.ndarray, second_half: bool):
    """`w`, and its first two derivatives in the distance, from the solved equation."""
    if second_half and shape.far is not None:
        log_u = np.log(distance)
        t = shape.far.t_at(log_u)
        first, second = shape.far.slopes(t, log_u)
        return shape.length - np.exp(t), -first, -second
    u = shape.end - distance if second_half else distance
    log_u = np.log(u)
    t = shape.near.t_at(log_u)
    first, second = shape.near.slopes(t, log_u)
    return np.exp(t), (-first if second_half else first), second


def _error(
    shape: Shape, edges: np.ndarray, c: np.ndarray, second_half: bool, small: float
) -> float:
    x = (np.arange(_CHECKED) + 0.5) / _CHECKED
    distance = (edges[:-1, None] + np.diff(edges)[:, None] * x).ravel()
    exact = _exact(shape, distance, second_half)[0].reshape(len(c), -1)
    found = sum(c[:, k, None] * x**k for k in range(6))
    return float(np.max(np.abs(found - exact) / np.maximum(exact, small)))
