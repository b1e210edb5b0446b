"""An increasing map `w = h(u)` of the line with a given derivative, and its inverse."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ._solve import Growth, grow, until
from ._table import Shape, Side, tabulate

_REACH = 1e8
_LEAST = 1e-9
_NEEDED = 10.0
# Where w changes this much faster than u (relative to their sizes), u no longer resolves w.
_STRETCH = 1.5e-8


class MonotoneMap(eqx.Module):
    """`w = h(u)`, increasing, with `du/dw = exp(log_density(w))`.

    `h(u)` is a table (quintic in bins that follow the exponent of the distance from the anchor and
    from the ends), its derivative is `exp(-log_density(h(u)))` whatever the table's error, and so
    are all higher ones; `inverse` goes the other way, with the derivative
    `exp(log_density(w))`. Entry by entry over arrays of any shape, under `jit`, `vmap`, `grad`.

    - `log_density`: `w -> log du/dw`, a function of one entry.
    - `anchor`: the point `h(0)`.
    - `lower`, `upper`: the domain of `w`.
    - `folds`: the ends of `u`, where `w` meets a wall of its domain or reaches infinity at finite
        `u`; `None` where there is none. `h` is continued by reflection there, so that `u` may be
        any real number: a process of `u` is that of `w`, reflected at the walls. (Infinity is not
        reached where the loss grows; the discrete steps of a simulation may jump over it.)
    - `reach`: the interval of `w` that `u` resolves (`d log w < d log u / 1.5e-8`), cut where the
        density begins to change within 1% of `w`, as one that oscillates for ever does. Beyond it
        `h` goes on linearly, up to the fold.
    - `accuracy`: largest error of `h` found at seven points of every bin, relative to
        `max(|w|, scale/1000)`, or of `u` for jumps and the like between nodes of the solution,
        found at eight points (the nodes are 1% of `w` apart; what is narrower than 0.1% can be
        missed).
    - `dimension`: `D`; for `D > 1`, distances `w, u >= 0` with `u^(D-1) du = w^(D-1)
        exp(log_density) dw`.
    """

    log_density: Callable
    anchor: Array
    up: Side | None
    down: Side | None
    inverses: tuple
    folds: tuple[float | None, float | None] = eqx.field(static=True)
    lower: float = eqx.field(static=True)
    upper: float = eqx.field(static=True)
    reach: tuple[float, float] = eqx.field(static=True)
    accuracy: float = eqx.field(static=True)
    even: bool = eqx.field(static=True)
    dimension: int = eqx.field(static=True, default=1)

    def __call__(self, u: ArrayLike) -> Array:
        """`w`, entry by entry."""
        return _forward(jnp.asarray(u), map=self)

    def inverse(self, w: ArrayLike) -> Array:
        """`u` with `h(u) = w`, entry by entry; NaN outside of the domain."""
        return _backward(jnp.asarray(w), map=self)

    def log_slope(self, w: Array, u: Array) -> Array:
        """`log dw/du` where `w = h(u)`, entry by entry."""
        inside = jnp.clip(w, *self._reach(w))
        rate = -self._density(inside)
        if self.dimension == 1:
            return rate
        least = jnp.asarray(1e-30, u.dtype)
        ratio = jnp.log(jnp.maximum(u, least)) - jnp.log(jnp.maximum(w, least))
        return rate + (self.dimension - 1) * ratio

    def _reach(self, w: Array) -> tuple[Array, Array]:
        a, b = (jnp.nextafter(jnp.asarray(x, w.dtype), self.anchor) for x in self.reach)
        return a, b

    def _density(self, w: Array) -> Array:
        return jax.vmap(self.log_density)(w.reshape(-1)).reshape(w.shape)

    def fold(self, u: Array) -> Array:
        """`u` reflected at the finite ends."""
        low, high = self.folds
        if low is None:
            return u if high is None else high - jnp.abs(high - u)
        if high is None:
            return low + jnp.abs(u - low)
        length = high - low
        turns = jax.lax.stop_gradient(jnp.floor((u - low) * (0.5 / length)))
        return high - jnp.abs(length - (u - low - 2.0 * length * turns))

    def beyond(self, u: ArrayLike) -> Array:
        """Whether `u` lies where `h` is continued by reflection *at infinity*, entry by entry.

        A process in continuous time that is confined does not get there, a discrete step may jump.
        Reflections at walls of the domain do not count.
        """
        u = jnp.asarray(u)
        low = -np.inf if self.folds[0] is None else self.folds[0]
        high = np.inf if self.folds[1] is None else self.folds[1]
        # A wall shows the other end once more, mirrored.
        walls = np.isfinite(self.lower), np.isfinite(self.upper)
        first, last = low, high
        if walls[0]:
            first = -np.inf if walls[1] else 2.0 * low - high
        if walls[1]:
            last = np.inf if walls[0] else 2.0 * high - low
        return (u < first) | (u > last)

    def table(self, u: Array) -> Array:
        """The table's value: `__call__` without folds and custom derivatives."""
        x = u.astype(self.anchor.dtype)
        size = jnp.abs(x)
        up = self.up
        if self.down is not None:
            low = self.anchor - self.down(size)
            w = low if up is None else jnp.where(x >= 0.0, self.anchor + up(size), low)
        elif up is None:
            raise ValueError("`map` has no side.")
        else:
            w = self.anchor + (jnp.sign(x) * up(size) if self.even else up(size))
        return w.astype(u.dtype)


@eqx.filter_custom_jvp
def _table(u: Array, *, map: MonotoneMap) -> Array:
    return map.table(u)


@_table.def_jvp
def _table_jvp(primals, tangents, *, map: MonotoneMap):
    (u,), (du,) = primals, tangents
    w = _table(u, map=map)
    if du is None:
        return w, None
    return w, jnp.exp(map.log_slope(w, u)).astype(u.dtype) * du


def _forward(u: Array, *, map: MonotoneMap) -> Array:
    u = u if jnp.issubdtype(u.dtype, jnp.floating) else u.astype(jnp.result_type(float))
    return _table(map.fold(u), map=map)


@eqx.filter_custom_jvp
def _backward(w: Array, *, map: MonotoneMap) -> Array:
    x = w.astype(map.anchor.dtype)
    out = jnp.full_like(x, jnp.nan)
    for inverse in map.inverses:
        out = jnp.where(inverse.covers(x), inverse(x), out)
    out = jnp.where((x >= map.lower) & (x <= map.upper), out, jnp.nan)
    return out.astype(w.dtype)


@_backward.def_jvp
def _backward_jvp(primals, tangents, *, map: MonotoneMap):
    (w,), (dw,) = primals, tangents
    u = _backward(w, map=map)
    if dw is None:
        return u, None
    return u, jnp.exp(-map.log_slope(w, u)).astype(w.dtype) * dw


class _Inverse(eqx.Module):
    """`u(w)` on one half of one side, cubic in `log` of the distance from `origin`."""

    origin: Array
    start: Array
    low: Array
    high: Array
    t: Array
    log_u: Array
    elasticity: Array
    last: Array
    step: Array
    outwards: float = eqx.field(static=True)
    from_end: float = eqx.field(static=True)

    def covers(self, w: Array) -> Array:
        return (w >= self.low) & (w <= self.high)

    def __call__(self, w: Array) -> Array:
        distance = self.outwards * (w - self.origin)
        t = jnp.log(jnp.maximum(distance, jnp.exp(self.t[0])))
        step = self.step
        place = jnp.clip((t - self.t[0]) / step, 0.0, len(self.t) - 1.0)
        i = jnp.clip(place.astype(jnp.int32), 0, len(self.t) - 2)
        x = place - i
        a, b = self.log_u[i], self.log_u[i + 1]
        da, db = step * self.elasticity[i], step * self.elasticity[i + 1]
        rise = b - a
        value = a + x * (da + x * (3.0 * rise - 2.0 * da - db + x * (da + db - 2.0 * rise)))
        u = jnp.exp(value)
        least = jnp.exp(self.t[0])
        u = jnp.where(distance < least, jnp.exp(self.log_u[0]) * distance / least, u)
        beyond = distance > self.last[1]
        u = jnp.where(beyond, self.last[0] + (distance - self.last[1]) / self.last[2], u)
        return self.start + self.from_end * u


def monotone(
    log_density: Callable,
    *,
    lower: float = -np.inf,
    upper: float = np.inf,
    dimension: int = 1,
    scale: float = 1.0,
    symmetric: bool = False,
    reach: float = np.inf,
) -> MonotoneMap:
    """Solve `du/dw = exp(log_density(w))` on a domain: see `MonotoneMap`.

    **Arguments:**

    - `log_density`: of one entry, traceable. Powers of the distance are fine at 0 and at the ends
        of the domain as long as they can be integrated.
    - `lower`, `upper`: the domain of `w`.
    - `dimension`: of the space that `w` is a distance in (`lower` is then 0).
    - `scale`: a typical size of `w`: distances from `1e-9` to `1e8` times it are covered, and up to
        10 times it the density must be resolved.
    - `reach`: distance from the anchor beyond which `log_density` is not evaluated.
    - `symmetric`: whether `log_density` is even (about 0), so that one side serves for both.

    **Raises:** `ValueError` where the equation cannot be solved.
    """
    dtype = jnp.result_type(float)
    if lower < 0.0 < upper:
        anchor = 0.0
    elif np.isfinite(lower) and np.isfinite(upper):
        anchor = 0.0 if lower == 0.0 else 0.5 * (lower + upper)
    else:
        anchor = lower if np.isfinite(lower) else upper
    sides: dict[int, tuple[Shape, Side]] = {}
    accuracy, ends_of_w, inverses = 0.0, [anchor, anchor], []
    with jax.enable_x64(True):
        for sign, bound in ((1, upper), (-1, lower)):
            if bound == anchor:
                continue
            if sign < 0 and symmetric:
                sides[sign] = sides[1]
            else:
                length = abs(bound - anchor)
                shape = _shape(log_density, anchor, sign, length, dimension, scale, reach)
                table, error = tabulate(shape, dtype, 1e-3 * scale)
                missed = max(g.missed for g in (shape.near, shape.far) if g is not None)
                accuracy, sides[sign] = max(accuracy, error, missed), (shape, table)
            ends_of_w[max(sign, 0)] = anchor + sign * float(sides[sign][1].last[1])
            inverses += _inverses(*sides[sign], anchor, sign, dtype)
    ends = {sign: sign * shape.end for sign, (shape, _) in sides.items()}
    ends = {sign: float(end) if np.isfinite(end) else None for sign, end in ends.items()}
    folds = (ends.get(-1, 0.0), ends.get(1, 0.0))
    if dimension > 1 and folds[1] is None:
        folds = (None, None)
    return MonotoneMap(
        log_density=log_density,
        anchor=jnp.asarray(anchor, dtype),
        up=sides[1][1] if 1 in sides else None,
        down=sides[-1][1] if -1 in sides and not symmetric else None,
        inverses=tuple(inverses),
        folds=folds,
        lower=float(lower),
        upper=float(upper),
        reach=(ends_of_w[0], ends_of_w[1]),
        accuracy=accuracy,
        even=symmetric,
        dimension=dimension,
    )


def _shape(log_density, anchor, sign, length, dimension, scale, reach) -> Shape:
    least = _LEAST * min(scale, length)
    if np.isfinite(length):
        if dimension > 1:
            raise ValueError(
                "`domain` has a finite upper end, which a penalty of a norm cannot have: let the "
                "penalty grow instead."
            )
        near = grow(log_density, anchor, sign, 1, least, 0.75 * length)
        far = grow(log_density, anchor + sign * length, -sign, 1, least, 0.75 * length)
        half = np.log([0.5 * length])
        split, rest = np.exp(near.log_u_at(half))[0], np.exp(far.log_u_at(half))[0]
        return Shape(near, far, float(split), float(split + rest), float(length))
    last = until(log_density, anchor, sign, least, min(_REACH * scale, reach), scale)
    needed = _NEEDED * scale
    near = grow(log_density, anchor, sign, dimension, least, last, needed=needed)
    if near.elasticity[0] < 0.8:
        # w is a high power of u at the anchor: resolve u there as well as w elsewhere.
        least = max(scale * _LEAST ** (1.0 / max(near.elasticity[0], 0.1)), 1e-60)
        near = grow(log_density, anchor, sign, dimension, least, last, fine=True, needed=needed)
    stretched = np.nonzero(~(near.elasticity > _STRETCH))[0]
    if len(stretched):
        near = near.cut(max(int(stretched[0]), 2))
    if near.short:
        return Shape(near, None, np.inf, np.inf, np.inf)
    # What is left of u beyond the last w, if the density went on falling at its rate there.
    t, log_u = near.t[-2:], near.log_u[-2:]
    u = float(np.exp(log_u[-1]))
    power = _falling(near, t)
    rest = u * dimension * near.elasticity[-1] / power if power > 0 else np.inf
    if not rest < 0.25 * u:
        return Shape(near, None, np.inf, np.inf, np.inf)
    end = u + max(rest, 1e-13 * u)
    return Shape(near, None, 0.5 * end, end, np.inf)


def _falling(near: Growth, t: np.ndarray) -> float:
    """`-d log(w du/dw)/d log w` at the last node: positive where u converges."""
    a, b = np.log(np.maximum(near.elasticity[-2:], 1e-300)) + near.log_u[-2:]
    return float(-(b - a) / (t[1] - t[0]))


def _inverses(shape: Shape, table: Side, anchor: float, sign: int, dtype) -> list[_Inverse]:
    def part(growth: Growth, origin, start, near, far, outwards, from_end, last):
        low, high = min(near, far), max(near, far)
        return _Inverse(
            *(jnp.asarray(x, dtype) for x in (origin, start, low, high)),
            *(jnp.asarray(x, dtype) for x in (growth.t, growth.log_u, growth.elasticity, last)),
            step=jnp.asarray(growth.t[1] - growth.t[0], dtype),
            outwards=float(outwards),
            from_end=float(from_end),
        )

    if shape.far is None:
        last = np.asarray(table.last, np.float64)
        return [part(shape.near, anchor, 0.0, anchor, sign * np.inf, sign, sign, last)]
    never = (0.0, np.inf, 1.0)
    wall, middle = anchor + sign * shape.length, anchor + 0.5 * sign * shape.length
    return [
        part(shape.near, anchor, 0.0, anchor, middle, sign, sign, never),
        part(shape.far, wall, sign * shape.end, middle, wall, -sign, -sign, never),
    ]
