"""Whether a density of several coordinates loses its mass to infinity along a curve or a valley.

In `u_i = log|y_i - anchor|` let `M(t)` be the mass of the shell where coordinate `a`, the farthest
out, has `u_a = t`: `int exp(g) du` over the others, with `g = log f + log |dy/du|` cut off softly
where another coordinate is farther out. A law is normalisable at infinity where `log M` falls, for
every `a`. `M` is followed outwards by Laplace's method at the maxima of `g` on the shell: the
constant of a shape that repeats from shell to shell drops out of the slope, and integrable
singularities on the faces of an orthant are no maxima in `u`. Re-derived.

This is a numerical check out to distances of `e^20`, not a proof: a way to infinity that no start
finds is not seen, and a density that begins to fall only beyond is refused.
"""

import itertools
from typing import NamedTuple

import numpy as np

from ._axis import refuse
from ._coordinates import Coordinates
from ._evaluate import HostFunction

_FIRST = 3.0
_SHELLS = (_FIRST, 3.05, 3.5, *np.arange(4.0, 21.0))
_BATCH = 2048
_STEP = 0.1
_LENGTHS = np.asarray([np.inf, 3.0, 1.0, 0.3, 0.1, 0.02])


class Escape(NamedTuple):
    """A way to infinity: slope of `log M`, the coordinate followed, and a point far out on it."""

    slope: float
    coordinate: int
    point: np.ndarray


class _Interval(NamedTuple):
    """Points between two breaks: `anchor + sign e^u`, or by a logistic map if both are finite."""

    low: float
    high: float

    @property
    def unbounded(self) -> bool:
        return bool(np.isinf(self.low) or np.isinf(self.high))


def _intervals(lower: float, upper: float, breaks: tuple[float, ...]) -> list[_Interval]:
    inner = set(breaks) | ({0.0} if lower < 0.0 < upper else set())
    ends = [lower, *sorted(inner), upper]
    return [_Interval(a, b) for a, b in itertools.pairwise(ends)]


class _Starts(NamedTuple):
    """Points in `u`, one a row, with the interval of every coordinate and the one held fixed."""

    u: np.ndarray
    low: np.ndarray
    high: np.ndarray
    held: np.ndarray

    def take(self, rows: np.ndarray) -> "_Starts":
        return _Starts(*(column[rows] for column in self))

    def heights(self, host: HostFunction, u: np.ndarray) -> np.ndarray:
        """`g` at `u` of shape `(starts, n, m)`."""
        low, high = self.low[:, None, :], self.high[:, None, :]
        y, added = _mapped(u, low, high)
        values = host(y.reshape(-1, u.shape[-1])).reshape(u.shape[:2])
        values = values + np.sum(added, axis=-1)
        rows = np.arange(len(u))
        ahead = np.where(np.isinf(high - low), u - u[rows, :, self.held][:, :, None], -np.inf)
        cut = 0.5 * np.exp(2.0 * np.clip(ahead, -np.inf, 100.0))
        values = values - np.sum(cut, axis=-1) + 0.5
        return np.where(np.isnan(values), -np.inf, values)


def _mapped(u: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`y` and `log |dy/du|`."""
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(np.clip(u, -300.0, 300.0))
        share = 1.0 / (1.0 + 1.0 / e)
        inside = low + (high - low) * share
        y = np.where(np.isinf(high), low + e, np.where(np.isinf(low), high - e, inside))
        logistic = np.log(high - low) - np.logaddexp(0.0, u) - np.logaddexp(0.0, -u)
    return y, np.where(np.isinf(high - low), u, logistic)


def check_valleys(law: str, host: HostFunction, coordinates: Coordinates, height: float) -> None:
    """Raise [`gaugebias.laws.NotNormalisable`][] where mass is lost to infinity: see the module.

    `height` is the log density near a mode.
    """
    escape = escape_of(host, coordinates, height)
    if escape is None or escape.slope < -2e-3:
        return
    point = coordinates.x(escape.point[None, :])[0]
    with np.printoptions(precision=3):
        where = (
            f"infinity along a valley of the density through {point} (exponent of the marginal of "
            f"coordinate {escape.coordinate})"
        )
    refuse(law, where, escape.slope - 1.0, True)


def escape_of(host: HostFunction, coordinates: Coordinates, height: float) -> Escape | None:
    """The way to infinity on which the mass of shells falls most slowly, of those that count.

    `height` is the log density near a mode: shells with less than `e^-60` of it count as nothing.
    `None` where no maximum on a shell is found, or all mass has fallen off.
    """
    starts = _starts(host, coordinates)
    found = [_followed(host, starts, height, linear) for linear in (True, False)]
    found = [escape for escape in found if escape is not None]
    return max(found, key=lambda escape: escape.slope, default=None)


def _followed(host: HostFunction, starts: _Starts, height: float, linear: bool) -> Escape | None:
    """The slowest fall among the maxima that can be followed from the first shell to the last."""
    count, m = starts.u.shape
    scale = np.repeat(0.3 * np.eye(m - 1)[None], count, axis=0)
    # At first everything that is far out moves out at the same rate.
    speed = np.where(np.isinf(starts.high - starts.low) & (starts.u > 0.0), 1.0, 0.0)
    masses = np.zeros((count, 0))
    for k, t in enumerate(_SHELLS):
        if len(starts.u) == 0:
            return None
        change = t - _SHELLS[max(k - 1, 0)]
        before = starts.u
        starts = _moved_out(starts, t, np.clip(change * speed, -3.0, 3.0))
        scale = _carried(scale, before, starts.u, others=_others(starts), linear=linear)
        starts, scale, mass = _climb(host, starts, scale, 60 if k == 0 else 15, linear)
        if k > 0:
            speed = (starts.u - before) / change
        masses = np.concatenate([masses, mass[:, None]], axis=1)
        alive = mass > height - 60.0
        if k == 0:
            alive &= _first_of_each(starts)
        starts = starts.take(alive)
        scale, masses, speed = scale[alive], masses[alive], speed[alive]
    if len(starts.u) == 0:
        return None
    slopes = np.stack([masses[:, -1] - masses[:, -3], masses[:, -2] - masses[:, -4]]) / 2.0
    steady = np.abs(slopes[0] - slopes[1]) < 0.01
    slope = np.where(steady, slopes[0], -np.inf)
    best = int(np.argmax(slope))
    if not steady[best]:
        return None
    y, _ = _mapped(starts.u[best], starts.low[best], starts.high[best])
    return Escape(float(slope[best]), int(starts.held[best]), y)


def _starts(host: HostFunction, coordinates: Coordinates) -> _Starts:
    """The best points on the first shell, of as many different orthants as can be followed.

    Random ones, and ones along the directions in which the density hardly bends.
    """
    rng = np.random.default_rng(0)
    axes = [
        _intervals(*bounds)
        for bounds in zip(coordinates.lower, coordinates.upper, coordinates.breaks, strict=True)
    ]
    m = len(axes)
    signs = sum(i.unbounded for axis in axes for i in axis)
    if signs == 0:
        return _Starts(np.zeros((0, m)), np.zeros((0, m)), np.zeros((0, m)), np.zeros(0, int))
    chosen = [[axis[k] for k in rng.integers(len(axis), size=2 * _BATCH)] for axis in axes]
    low = np.asarray([[i.low for i in axis] for axis in chosen]).T
    high = np.asarray([[i.high for i in axis] for axis in chosen]).T
    random, _ = _mapped(
        np.where(np.isinf(high - low), rng.uniform(-1.0, _FIRST, low.shape), 0.0), low, high
    )
    far = np.argsort(-np.min(np.abs(random), axis=1))[:8]
    y = np.concatenate([random, _straight(host, random[far], rng)])
    pool = _located(y, axes)
    values = pool.heights(host, pool.u[:, None, :])[:, 0]
    order = np.argsort(-values)
    order = order[np.isfinite(values[order])]
    orthant = np.hstack([pool.low, pool.high, pool.held[:, None]])[order]
    _, first = np.unique(orthant, axis=0, return_index=True)
    count = m * m // 2 + len(_LENGTHS) + 2
    most = max(2 * _BATCH // count, 2 * signs)
    return pool.take(np.concatenate([order[np.sort(first)][:most], order[: most // 4]]))


def _located(y: np.ndarray, axes: list[list[_Interval]]) -> _Starts:
    """Points of the box in `u`; the coordinate that is farthest out is held, on the first shell."""
    rows = np.arange(len(y))
    low, high, u = np.empty_like(y), np.empty_like(y), np.empty_like(y)
    for a, axis in enumerate(axes):
        edges = np.asarray([axis[0].low, *(i.high for i in axis)])
        at = np.clip(np.searchsorted(edges, y[:, a]) - 1, 0, len(axis) - 1)
        low[:, a], high[:, a] = edges[at], edges[at + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        above, below = np.log(y - low), np.log(high - y)
    u = np.where(np.isinf(high), above, np.where(np.isinf(low), below, above - below))
    reach = np.where(np.isinf(high - low), u, -np.inf)
    held = np.argmax(reach, axis=1)
    u[rows, held] = _FIRST
    kept = np.all(np.isfinite(u), axis=1) & np.isfinite(np.max(reach, axis=1))
    return _Starts(u, low, high, held).take(kept)


def _straight(host: HostFunction, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Far points along the directions in which `log f` bends least, by differences at `points`."""
    m = points.shape[1]
    pairs = list(itertools.combinations(range(m), 2))
    eye = np.eye(m)
    stencil = np.concatenate(
        [np.zeros((1, m)), eye, -eye] + [eye[[i]] + eye[[j]] for i, j in pairs]
    )
    found = []
    for point in points:
        h = 0.05 * np.min(np.abs(point)) + 1e-6
        values = host(point + h * stencil)
        center, up, down = values[0], values[1 : m + 1], values[m + 1 : 2 * m + 1]
        hessian = np.diag(up + down - 2.0 * center)
        for k, (i, j) in enumerate(pairs):
            mixed = values[2 * m + 1 + k] - up[i] - up[j] + center
            hessian[i, j] = hessian[j, i] = mixed
        hessian, gradient = hessian / h**2, (up - down) / (2.0 * h)
        if not (np.all(np.isfinite(hessian)) and np.all(np.isfinite(gradient))):
            continue
        rates, vectors = np.linalg.eigh(-hessian)
        stiff = rates > 1e-2 * np.max(np.abs(rates))
        inverse = np.where(stiff, 1.0 / np.where(stiff, rates, 1.0), 0.0)
        top = point + vectors @ (inverse * (vectors.T @ gradient))
        soft = vectors[:, ~stiff] if not np.all(stiff) else vectors[:, :1]
        ways = soft @ rng.standard_normal((soft.shape[1], 128))
        ways *= np.exp(_FIRST) / np.max(np.abs(ways), axis=0)
        off = top - soft @ (soft.T @ top)
        found += [off + ways.T, off - ways.T]
    return np.concatenate(found) if found else points[:0]


def _first_of_each(starts: _Starts) -> np.ndarray:
    """Which rows are not at the same maximum as one before them."""
    table = np.hstack([starts.low, starts.high, starts.held[:, None], np.round(starts.u, 2)])
    _, first = np.unique(table, axis=0, return_index=True)
    return np.isin(np.arange(len(table)), first)


def _moved_out(starts: _Starts, t: float, change: np.ndarray) -> _Starts:
    """The starts after `change`, on the shell `t`."""
    u = starts.u + change
    u[np.arange(len(u)), starts.held] = t
    return starts._replace(u=u)


def _climb(
    host: HostFunction, starts: _Starts, scale: np.ndarray, rounds: int, linear: bool
) -> tuple[_Starts, np.ndarray, np.ndarray]:
    """Newton's method for the maximum of `g` on the shell, by differences in units of its width.

    `scale`, shape `(starts, m - 1, m - 1)`: columns are about one standard deviation long. Returns
    the maxima, their scales and `log M` (NaN where there is no proper maximum).
    """
    count, m = starts.u.shape
    d = m - 1
    others = _others(starts)
    pairs = list(itertools.combinations(range(d), 2))
    stencil = np.concatenate(
        [np.zeros((1, d)), np.eye(d), -np.eye(d)]
        + [np.eye(d)[[i]] + np.eye(d)[[j]] for i, j in pairs]
    )
    u = starts.u
    mass = np.full(count, np.nan)
    for _ in range(rounds):
        shifts = np.einsum("sij,nj->sni", scale, _STEP * stencil)
        values = starts.heights(host, _moved(u, others, shifts, linear))
        center, up, down = values[:, 0], values[:, 1 : d + 1], values[:, d + 1 : 2 * d + 1]
        with np.errstate(invalid="ignore"):
            gradient = (up - down) / (2.0 * _STEP)
            hessian = np.zeros((count, d, d))
            hessian[:, range(d), range(d)] = up + down - 2.0 * center[:, None]
            for k, (i, j) in enumerate(pairs):
                mixed = values[:, 2 * d + 1 + k] - up[:, i] - up[:, j] + center
                hessian[:, i, j] = hessian[:, j, i] = mixed
            hessian /= _STEP**2
        sound = np.all(np.isfinite(hessian), axis=(1, 2)) & np.all(np.isfinite(gradient), axis=1)
        hessian = np.where(sound[:, None, None], hessian, -100.0 * np.eye(d))
        gradient = np.where(sound[:, None], gradient, 0.0)
        rates, vectors = np.linalg.eigh(-hessian)
        along = np.einsum("sij,si->sj", vectors, gradient)
        curved = rates > 0.05
        step = np.where(curved, along / np.where(curved, rates, 1.0), np.sign(along))
        settled = np.all((rates > 0.8) & (rates < 1.25) & (np.abs(step) < 0.3), axis=1) & sound
        _, size = np.linalg.slogdet(scale)
        rise = 0.5 * np.sum(along * step, axis=1)
        spread = 0.5 * np.sum(np.log(np.where(curved, rates, 1.0)), axis=1)
        mass = np.where(
            settled, center + rise + size - spread + 0.5 * d * np.log(2 * np.pi), np.nan
        )
        limited = np.clip(step[:, None, :], -_LENGTHS[:, None], _LENGTHS[:, None])
        tried = np.einsum("sij,sjk,snk->sni", scale, vectors, limited)
        longest = np.max(np.abs(tried), axis=2, keepdims=True)
        tried *= np.minimum(1.0, 2.0 / np.maximum(longest, 1e-300))
        reached = starts.heights(host, _moved(u, others, tried, linear))
        pick = np.argmax(reached, axis=1)
        better = reached[np.arange(count), pick] > center
        taken = np.where(better[:, None], tried[np.arange(count), pick], 0.0)
        left, u = u, _moved(u, others, taken[:, None, :], linear)[:, 0]
        # New widths, at most ten times as long or short as before.
        widths = np.where(curved, np.maximum(rates, 0.01) ** -0.5, 3.0)
        scale = np.einsum("sij,sjk,sk->sik", scale, vectors, np.clip(widths, 0.1, 10.0))
        scale = _carried(scale, left, u, others, linear)
        if np.all(settled):
            break
    return starts._replace(u=u), scale, mass


def _others(starts: _Starts) -> np.ndarray:
    """The coordinates that are free in each row, shape `(starts, m - 1)`."""
    m = starts.u.shape[1]
    return np.stack([np.delete(np.arange(m), a) for a in starts.held])


def _carried(
    scale: np.ndarray, before: np.ndarray, after: np.ndarray, others: np.ndarray, linear: bool
) -> np.ndarray:
    """`scale` at another point: with the same lengths and directions in `y` where `linear`."""
    if not linear:
        return scale
    went = np.take_along_axis(before - after, others, axis=1)
    return np.exp(np.clip(went, -3.0, 3.0))[:, :, None] * scale


def _moved(u: np.ndarray, others: np.ndarray, shifts: np.ndarray, linear: bool) -> np.ndarray:
    """`u` of shape `(starts, m)` with its free coordinates shifted by `(starts, n, m - 1)`.

    Where `linear`, along straight lines of `y`: the same to first order, so that the curvature at
    a maximum is the same, but a straight valley stays straight and can be measured over its width.
    """
    out = np.repeat(u[:, None, :], shifts.shape[1], axis=1)
    rows = np.arange(len(u))[:, None, None]
    columns = np.arange(shifts.shape[1])[None, :, None]
    if linear:
        shifts = np.log1p(np.maximum(shifts, -0.95))
    out[rows, columns, others[:, None, :]] += shifts
    return out
