"""The sides of a grid: where diffusion vanishes, where mass is cut off, where it collapses."""

import itertools
from typing import NamedTuple

import numpy as np

from ...quotient import Domain
from .._errors import Condition, LawRefused, NotNormalisable
from .._quadrature._evaluate import HostFunction

_NEAR, _INNER = 1e-5, 1e-2
_ACROSS = (0.07, 0.31, 0.5, 0.73, 0.94)
_ZERO = 1e-10
_MARGIN = 2e-3
_MINIMA = 8  # of the noise in a plane, that are looked at more closely


class Side(NamedTuple):
    """One side of a box: the power of its grading, `None` where diffusion does not vanish."""

    power: float | None


def _axis(push: HostFunction, domain: Domain, a: int, points: np.ndarray):
    rates = push(points)
    m = domain.dimension
    return rates[:, a], rates[:, m + a * m + a]


def sides_of(push: HostFunction, domain: Domain, law: str) -> list[tuple[Side, Side]]:
    """How each axis ends, from the local powers of the diffusion and of the density.

    **Raises:** [`gaugebias.laws.NotNormalisable`][] where the density is not integrable all along
    a side where diffusion vanishes.
    """
    m = domain.dimension
    lower, upper = np.asarray(domain.lower), np.asarray(domain.upper)
    out = []
    for a in range(m):
        pair = []
        for anchor, sign in ((lower[a], 1.0), (upper[a], -1.0)):
            length = upper[a] - lower[a]
            across = np.asarray(list(itertools.product(*[_ACROSS] * m)))
            across = across[across[:, a] == _ACROSS[0]]
            base = lower + across * (upper - lower)
            rows = []
            for distance in (_NEAR, 2.0 * _NEAR, _INNER):
                points = base.copy()
                points[:, a] = anchor + sign * distance * length
                rows.append(_axis(push, domain, a, points))
            (drift, near), (_, next_), (_, inner) = rows
            with np.errstate(all="ignore"):
                power = np.log2(next_ / near)
                vanishing = (power > 0.1) & (near < 0.5 * inner)
                exponent = 2.0 * sign * drift * _NEAR * length / near - power
            vanishing |= near <= 0.0
            if not np.all(vanishing):
                pair.append(Side(None))
                continue
            exponent = np.where(np.isfinite(exponent), exponent, -2.0)
            if np.all(exponent <= -1.0 + _MARGIN):
                reason = (
                    f"it is not normalisable at w_{a + 1} = {anchor:g}: diffusion vanishes there, "
                    f"and the density behaves like the distance to the power {exponent.max():.4g}. "
                    "The mass collapses to that side."
                )
                failing = Condition("no collapse", False, float(exponent.max()), reason)
                cure = "less noise against the drift (a smaller learning rate, a larger batch)."
                raise NotNormalisable(law, reason, (failing,), (cure,))
            least = float(np.min(exponent[exponent > -1.0 + _MARGIN]))
            pair.append(Side(float(np.clip(2.0 / (1.0 + least), 2.0, 8.0))))
        out.append((pair[0], pair[1]))
    return out


def diffusion_condition(push: HostFunction, domain: Domain) -> Condition:
    """The diffusion is positive definite inside the domain.

    Looked at on a grid, at `w = 0` and the domain's breaks, and at the minima between the points of
    the grid.
    """
    m = domain.dimension
    lower, upper = np.asarray(domain.lower), np.asarray(domain.upper)
    ticks = []
    for a in range(m):
        inner = [b for b in (0.0, *domain.breaks[a]) if lower[a] < b < upper[a]]
        even = lower[a] + (upper[a] - lower[a]) * (np.arange(24 if m == 2 else 200) + 0.5) / (
            24 if m == 2 else 200
        )
        ticks.append(np.unique(np.concatenate([even, inner])))
    points = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, m)
    size = _least_eigenvalue(push, points)
    if not np.all(np.isfinite(size)):
        bad = points[np.argmin(np.isfinite(size))]
        raise ValueError(
            f"`domain` holds points such as {np.array2string(bad)} where the drift or the noise of "
            "the predictor is NaN: restrict it to the range of `phi`, or give a `lift` that works "
            "there."
        )
    worst = int(np.argmin(size))
    value, where = float(size[worst]), points[worst]
    if m == 1:
        value, where = _between(push, points[:, 0], size, value, where)
    else:
        value, where = _within(push, ticks, size, value, where)
    scale = float(np.median(size))
    holds = value > _ZERO * scale and scale > 0.0
    text = (
        "the noise of w is positive definite inside the domain."
        if holds
        else f"the noise of w vanishes inside of `domain`, near w = {np.array2string(where)} (in "
        "some direction): mass cannot pass, or not both ways. Split the domain there, or change "
        "the predictor."
    )
    return Condition("diffusion inside the domain", bool(holds), value / (scale or 1.0), text)


def _least_eigenvalue(push: HostFunction, points: np.ndarray) -> np.ndarray:
    m = points.shape[1]
    rates = push(points)
    covariance = rates[:, m:].reshape(-1, m, m)
    bad = ~np.all(np.isfinite(rates), axis=1)
    least = np.linalg.eigvalsh(np.where(bad[:, None, None], 0.0, covariance))[:, 0]
    return np.where(bad, np.nan, least)


def _between(push, x, size, value, where):
    inner = np.nonzero((size[1:-1] < size[:-2]) & (size[1:-1] <= size[2:]))[0] + 1
    for k in inner:
        low, high = x[k - 1], x[k + 1]
        for _ in range(10):
            ts = np.linspace(low, high, 13)
            rows = _least_eigenvalue(push, ts[:, None])
            j = int(np.argmin(rows))
            low, high = ts[max(j - 1, 0)], ts[min(j + 1, 12)]
        if rows[j] < value:
            value, where = float(rows[j]), np.asarray([ts[j]])
    return value, where


def _within(push, ticks, size, value, where):
    """As `_between` on a plane: the lowest minima of the grid, looked at ever closer."""
    table = np.pad(size.reshape(len(ticks[0]), len(ticks[1])), 1, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(table, (3, 3))
    rows, columns = np.nonzero(windows.min(axis=(2, 3)) >= table[1:-1, 1:-1])
    order = np.argsort(table[rows + 1, columns + 1])[:_MINIMA]
    centre = np.stack([ticks[0][rows[order]], ticks[1][columns[order]]], axis=-1)
    low, high = (np.asarray([f(t) for t in ticks]) for f in (np.min, np.max))
    reach = np.asarray([np.max(np.diff(t)) for t in ticks])
    steps = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 7)] * 2, indexing="ij"), -1).reshape(
        -1, 2
    )
    for _ in range(14):
        near = np.clip(centre[:, None] + reach * steps, low, high)
        found = _least_eigenvalue(push, near.reshape(-1, 2)).reshape(len(near), -1)
        best = np.argmin(np.where(np.isfinite(found), found, np.inf), axis=1)
        each = np.arange(len(near))
        centre, least, reach = near[each, best], found[each, best], reach / 2.5
    k = int(np.argmin(least))
    return (float(least[k]), centre[k]) if least[k] < value else (value, where)


def require_whole(
    masses: np.ndarray, domain: Domain, sides: list[tuple[Side, Side]], cut_off: float, law: str
) -> None:
    """Raise [`gaugebias.laws.LawRefused`][] where a box cuts off mass.

    Beyond a side the masses of the last cells are continued as a geometric series.
    """
    for a, pair in enumerate(sides):
        others = tuple(b for b in range(masses.ndim) if b != a)
        line = masses.sum(axis=others)
        for end, side, cells in (
            (domain.lower[a], pair[0], line),
            (domain.upper[a], pair[1], line[::-1]),
        ):
            if side.power is not None or cells[0] < 1e-2 * cut_off / len(cells):
                continue
            ratio = float(cells[0] / cells[1])
            beyond = cells[0] * ratio / (1.0 - ratio) if ratio < 1.0 else np.inf
            if beyond <= cut_off or cut_off >= 1.0:
                continue
            size = f"about {beyond:.1e}" if np.isfinite(beyond) else "much"
            reason = (
                f"`domain` cuts off mass at w_{a + 1} = {end:g}: {size} lies beyond (its last cell "
                f"has {cells[0]:.1e}, the cell before {cells[1]:.1e})."
            )
            failing = Condition("no mass beyond the box", False, float(min(beyond, 1.0)), reason)
            raise LawRefused(
                law,
                reason,
                (failing,),
                (
                    "widen `domain` there.",
                    "for a wall that reflects, say `cut_off=1.0`; for one that absorbs, "
                    '`boundary="absorbing"`.',
                ),
            )
