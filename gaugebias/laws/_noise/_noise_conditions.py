"""Where the noise of a one-dimensional minibatch law vanishes, and what then happens."""

import math
from collections.abc import Callable

import numpy as np

from ...quotient import Domain
from .._errors import Condition, NotNormalisable
from .._quadrature._cells import Piece, pieces_of
from .._quadrature._evaluate import HostFunction

_STEP = 0.1
_ZERO = 1e-10  # of the variance nearby: a minimum below this is a zero
_NO_GRAM = 1e-6  # the same for K, whose zeros are of lower order
_ANCHOR = 150  # points of a grid in which a power law is followed away from an anchor
_MARGIN = 2e-3  # as of the quadrature: exponents this close to -1 count as -1


def reach(resolution: float) -> float:
    """Log of the largest distance to a break that is looked at, whatever the units of `w`."""
    return 100.0 if resolution < 1e-20 else 14.0


def _points(piece: Piece, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    stop = min(piece.stop, reach(resolution))
    start = min(np.log(max(resolution, 1e-10 * abs(piece.anchor))), stop - 12.0)
    t = np.linspace(start, stop, int((stop - start) / _STEP) + 1)
    return t, piece.anchor + piece.sign * np.exp(t)


def noise_conditions(
    profile: HostFunction, domain: Domain, resolution: float
) -> tuple[Condition, Condition]:
    """The noise vanishes nowhere inside the domain: neither by `K`, nor by the samples' variance.

    `profile`: `w` to `(log K, slope, variance)`.
    """
    lower, upper = domain.lower[0], domain.upper[0]
    pieces = pieces_of(lower, upper, domain.breaks[0])
    grids = [_points(piece, resolution) for piece in pieces]
    tables = np.split(
        profile(np.concatenate([x for _, x in grids])[:, None]),
        np.cumsum([len(x) for _, x in grids])[:-1],
    )
    inner = [lower < piece.anchor < upper for piece in pieces]
    stratum = _stratum(profile, pieces, grids, tables, inner)
    name = "one stratum"
    first = (
        Condition(name, True, 0.0, "K > 0 inside the domain.")
        if stratum is None
        else Condition(
            name,
            False,
            stratum,
            f"K vanishes inside of `domain`, at w = {stratum:g}: gradients and their noise vanish "
            "there, no path crosses it, and the start decides how much mass each side has. Give "
            f"one side, `domain=Domain.line(lower={stratum:g})`.",
        )
    )
    return first, _variance_condition(profile, pieces, grids, tables, inner)


def _stratum(profile: HostFunction, pieces, grids, tables, inner) -> float | None:
    for piece, (t, _), table, inside in zip(pieces, grids, tables, inner, strict=True):
        if inside:
            with np.errstate(invalid="ignore"):
                slope = (table[10, 0] - table[0, 0]) / (t[10] - t[0])
            if slope > 0.05 or not np.isfinite(table[0, 0]):
                return float(piece.anchor)
        found = _least(profile, piece, t, _gram(table), _gram)
        if found is not None and found[0] < _NO_GRAM:
            return found[1]
    return None


def _gram(table: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(table[:, 0], -700.0, 700.0))


def _variance(table: np.ndarray) -> np.ndarray:
    return table[:, 2]


def _variance_condition(profile: HostFunction, pieces, grids, tables, inner) -> Condition:
    name = "noise inside the domain"
    slopes = np.concatenate([table[:, 1] for table in tables])
    variances = np.concatenate([table[:, 2] for table in tables])
    if not np.any(variances > 1e-24 * slopes**2):  # nor where it is lost beside them, NaN
        detail = "all samples have the same derivative dl/dw: there is no noise, and no law."
        return Condition(name, False, 0.0, detail)
    least, where, slope = np.inf, 0.0, 1.0
    for piece, (t, _), table, inside in zip(pieces, grids, tables, inner, strict=True):
        found = _at_anchor(piece, t, table) if inside else None
        if found is None:
            found = _least(profile, piece, t, table[:, 2], _variance)
        if found is not None and found[0] < least:
            least, where, slope = found
    if least > _ZERO:
        return Condition(name, True, float(least), "Var dl/dw > 0 inside the domain.")
    if abs(slope) < 1e-6:
        text = (
            f"all samples are fitted at w = {where:.6g}, where gradients and noise vanish: the "
            "mass collapses to that point"
        )
    else:
        text = (
            f"the samples' derivatives dl/dw agree at w = {where:.6g}, so that noise vanishes "
            "there: paths cross that point in the direction of descent only"
        )
    detail = f"{text}, and there is no density on both sides of it."
    return Condition(name, False, float(where), detail)


def _at_anchor(piece: Piece, t: np.ndarray, table: np.ndarray):
    """As `_least`, for a variance that vanishes like a power at the anchor; else `None`."""
    finite = np.nonzero(np.isfinite(table[:, 2]) & (table[:, 2] > 0.0))[0]
    if len(finite) < 11:
        return None
    first, tenth = finite[0], finite[10]
    power = np.log(table[tenth, 2] / table[first, 2]) / (t[tenth] - t[first])
    if power < 0.5:
        return None
    off = min(first + _ANCHOR, len(t) - 1)
    with np.errstate(all="ignore"):
        slope = float(table[first, 1] / table[off, 1])
    return 0.0, float(piece.anchor), 0.0 if slope < 2.0 * np.exp(t[first] - t[off]) else slope


def _least(
    profile: HostFunction,
    piece: Piece,
    t: np.ndarray,
    values: np.ndarray,
    of: Callable[[np.ndarray], np.ndarray],
):
    """The deepest inner minimum of `values` (`of` a table) against its surroundings, where, and
    the slope there against that nearby; `None` where there is no minimum."""
    inner = np.nonzero((values[1:-1] < values[:-2]) & (values[1:-1] <= values[2:]))[0] + 1
    best = None
    for k in inner:
        low, high = t[k - 1], t[k + 1]
        around = 0.5 * (values[k - 1] + values[k + 1])
        for _ in range(14):
            ts = np.linspace(low, high, 13)
            rows = profile((piece.anchor + piece.sign * np.exp(ts))[:, None])
            found = of(rows)
            j = int(np.argmin(found))
            low, high = ts[max(j - 1, 0)], ts[min(j + 1, 12)]
        with np.errstate(all="ignore"):
            ratio = float(found[j] / around)
        if best is None or ratio < best[0]:
            nearby = profile(np.asarray([[piece.anchor + piece.sign * np.exp(t[k - 1])]]))
            slope = float(rows[j, 1] / nearby[0, 1])
            best = ratio, float(piece.anchor + piece.sign * np.exp(ts[j])), slope
    return best


def require_no_collapse(
    law: str, profile: HostFunction, domain: Domain, resolution: float, tau: float
) -> None:
    """Raise [`gaugebias.laws.NotNormalisable`][] where the mass collapses to an end of the domain.

    The density at distance `d` from a finite end is `d^e`; `e` is affine in `1/tau`, so that the
    `tau` at which it becomes normalisable is known.
    """
    for anchor, sign in ((domain.lower[0], 1), (domain.upper[0], -1)):
        if not math.isfinite(anchor):
            continue
        piece = Piece(anchor, sign, 0.0)
        t, x = _points(piece, resolution)
        t, x = t[[0, 5, 10]], x[[0, 5, 10]]
        log_gram, slope, variance = profile(x[:, None]).T
        with np.errstate(all="ignore"):
            width = t[-1] - t[0]
            grown = 1.5 * (log_gram[-1] - log_gram[0]) + np.log(variance[-1] / variance[0])
            free = -grown / width
            pull = -2.0 * sign * np.mean(slope / variance * np.exp(t - log_gram))
        exponent = free + pull / tau
        if not exponent <= -1.0 + _MARGIN:
            continue
        why = (
            "The noise is multiplicative there and stronger than the drift"
            if pull > 0.0
            else "The noise vanishes there, and descent does not lead away"
        )
        reason = (
            f"it is not normalisable at w = {anchor:g}: the density behaves like |w - "
            f"{anchor:g}|^{exponent:.4g} there, and needs an exponent above -1. {why}: the mass "
            "collapses to that point."
        )
        critical = pull / (-1.0 - free)
        if pull > 0.0 and critical < tau:
            cure = (
                f"there is a density where eta/B (with its factor of sampling) is below "
                f"{critical:.6g}; it is {tau:.6g}: lower the learning rate, or enlarge the batch."
            )
        else:
            cure = "no learning rate and no batch size gives a density on this side of it."
        failing = Condition("no collapse", False, float(exponent), reason)
        raise NotNormalisable(law, reason, (failing,), (cure,))
