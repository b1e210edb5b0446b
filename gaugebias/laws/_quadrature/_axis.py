"""Where one coordinate of a density has its mass: ends, modes, and cells that resolve it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._errors import Condition, NotNormalisable
from ._cells import Cells, Piece, gauss_legendre, join, make_cells

# Exponents this close to -1 cannot be told from it by their slope.
_MARGIN = 2e-3
_STEP = 0.1


class Setting(NamedTuple):
    """How a density may be evaluated.

    - `law`: its name, for errors.
    - `resolution`: distance to a stratum below which it is continued as a power law.
    - `reach`: `log` of the largest distance probed.
    - `order`, `tolerance`: of the cells.
    - `depth`: parts of the density below `exp(-depth)` of its peak are left out.
    - `width`: of the first cells, in `t`.
    """

    law: str
    resolution: float
    reach: float
    order: int
    tolerance: float
    depth: float = 60.0
    width: float = 3.0


class Axis(NamedTuple):
    """Cells of one coordinate, the pieces they belong to, and log densities in `u`.

    `log_values` has shape `(cells, order, lines)`: `log f + log |dx/du|` at the nodes.
    """

    cells: Cells
    pieces: list[Piece]
    log_values: np.ndarray


def checked(law: str, x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """NaN far out is overflow and counts as zero density; elsewhere it is an error."""
    far = np.max(np.abs(x), axis=-1) > 1e3
    bad = np.isnan(values)
    bad = bad.reshape(bad.shape[0], -1).any(axis=1)
    if np.any(bad & ~far):
        point = x[np.argmax(bad & ~far)]
        raise ValueError(
            f"`domain` of the {law} law holds points such as {np.array2string(point)} where the "
            "log density is NaN: restrict it to the range of `phi`, or give a `lift` that works "
            "there."
        )
    values = np.where(np.isnan(values), -np.inf, values)
    if np.any(np.isposinf(values)):
        flat = np.isposinf(values).reshape(values.shape[0], -1).any(axis=1)
        point = x[np.argmax(flat)]
        raise ValueError(
            f"`domain` of the {law} law needs a break at {np.array2string(point)}: the density is "
            "infinite there."
        )
    return values


def refuse(law: str, where: str, exponent: float, at_infinity: bool, domain_hint: str = "") -> None:
    """Raise [`gaugebias.laws.NotNormalisable`][] for a power law that cannot be integrated."""
    if at_infinity:
        reason = (
            f"it is not normalisable at {where}: the density behaves like |x|^{exponent:.4g} "
            "there, and needs an exponent below -1 to be integrable."
        )
        cures = (
            "a potential that grows, or weight decay (`ridge` > 0), confines it.",
            "restrict `domain` to a bounded box and say so with the result.",
        )
    else:
        reason = (
            f"it is not normalisable at {where}: the density behaves like |x - b|^{exponent:.4g} "
            "there, and needs an exponent above -1 to be integrable."
        )
        cures = (
            "restrict `domain` to stay away from there, for example "
            f"{domain_hint or '`Domain.line(lower=0.1)`'}, and compare samples conditioned on it.",
            "the laws with a larger power of the orbit volume (horizontal, s = 0; push-forward, "
            "s = 1) are integrable more often.",
        )
    failing = Condition("integrable", False, float(exponent), reason)
    raise NotNormalisable(law, reason, (failing,), cures)


def _probe(piece: Piece, setting: Setting) -> np.ndarray:
    start = np.log(max(setting.resolution, 1e-10 * abs(piece.anchor)))
    top = min(piece.stop, setting.reach)
    start = min(start, top - 12.0)
    return np.linspace(start, top, int(np.ceil((top - start) / _STEP)) + 1)


def _along(piece: Piece, t: np.ndarray) -> np.ndarray:
    return piece.anchor + piece.sign * np.exp(t)


def _slope(values: np.ndarray, ts: np.ndarray, i: int, j: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return (values[j] - values[i]) / (ts[j] - ts[i])


def _describe(label: str, piece: Piece, far: bool) -> str:
    if far:
        return f"{label} -> {'+' if piece.sign > 0 else '-'}infinity"
    side = "above" if piece.sign > 0 else "below"
    return f"{label} = {piece.anchor:g} (from {side})"


def ends_of(
    piece: Piece, ts: np.ndarray, values: np.ndarray, peak: np.ndarray, label: str, setting: Setting
) -> Piece:
    """Measure the power laws at both ends of a piece; refuse what cannot be integrated.

    `values` are log densities, shape `(T, L)`; `peak` the largest `log f + t` of each line.
    """
    law = setting.law
    low = _slope(values, ts, 0, min(10, len(ts) - 1))
    low = np.where(np.isfinite(low), low, 5.0)
    worst = int(np.argmin(low))
    if low[worst] <= -1.0 + _MARGIN:
        refuse(law, _describe(label, piece, False), float(low[worst]), False)
    main = int(np.argmax(peak))
    piece = piece._replace(start=float(ts[0]), exponent=float(min(low[main], 5.0)))
    if np.isinf(piece.stop):
        last = values[-1] + ts[-1]
        high = _slope(values, ts, -11, -1)
        heavy = np.isfinite(high) & (last > peak - setting.depth)
        if np.any(heavy):
            worst = int(np.argmax(np.where(heavy, high, -np.inf)))
            if high[worst] >= -1.0 - _MARGIN:
                refuse(law, _describe(label, piece, True), float(high[worst]), True)
            tail = float(high[main]) if heavy[main] else float(high[worst])
            piece = piece._replace(top=float(ts[-1]), tail=tail)
    return piece


def _modes(
    pieces: list[Piece], probes: list[np.ndarray], values: list[np.ndarray], evaluate: Callable
) -> list[tuple[int, int, float, float]]:
    """Local maxima `(piece, line, t, height)` of `log f + t`, refined between the probes."""
    found = []
    for i, (ts, v) in enumerate(zip(probes, values, strict=True)):
        g = v + ts[:, None]
        rises = (g[1:-1] >= g[:-2]) & (g[1:-1] >= g[2:]) & np.isfinite(g[1:-1])
        for line in range(g.shape[1]):
            at = np.nonzero(rises[:, line])[0] + 1
            best = at[np.argsort(-g[at, line])[:12]]
            found += [(i, line, ts[k - 1], ts[k + 1]) for k in best]
    if not found:
        return []
    where = [f[0] for f in found]
    line = np.asarray([f[1] for f in found])
    anchor = np.asarray([pieces[i].anchor for i in where])[:, None]
    sign = np.asarray([float(pieces[i].sign) for i in where])[:, None]
    low = np.asarray([f[2] for f in found])
    high = np.asarray([f[3] for f in found])
    rows = np.arange(len(found))
    height = np.full(len(found), -np.inf)
    t = 0.5 * (low + high)
    for _ in range(9):
        ts = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, 13)[None, :]
        logs = evaluate((anchor + sign * np.exp(ts)).ravel())
        g = logs.reshape(*ts.shape, -1)[rows, :, line] + ts
        k = np.clip(np.argmax(g, axis=1), 1, 11)
        t, height = ts[rows, k], np.maximum(height, np.max(g, axis=1))
        low, high = ts[rows, k - 1], ts[rows, k + 1]
    return list(zip(where, line.tolist(), t.tolist(), height.tolist(), strict=True))


def continued(piece: Piece, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where to evaluate a density for `t`, and what to add to its log there."""
    inside = np.clip(t, piece.start, piece.top)
    added = np.where(t < piece.start, piece.exponent * (t - inside), 0.0)
    if np.isfinite(piece.top):
        added = added + np.where(t > piece.top, piece.tail * (t - inside), 0.0)
    return inside, added


def continue_cells(cells: Cells, pieces: list[Piece], t: np.ndarray):
    """`continued` for the nodes `t`, shape `(cells, n)`, of cells of several pieces."""
    inside, added = np.empty_like(t), np.empty_like(t)
    for i, piece in enumerate(pieces):
        rows = cells.piece == i
        inside[rows], added[rows] = continued(piece, t[rows])
    return inside, added


def build_axis(
    pieces: list[Piece],
    evaluate: Callable[[np.ndarray], np.ndarray],
    label: str,
    setting: Setting,
    first: int | None = None,
) -> Axis:
    """Cells that resolve a density along one coordinate, on every line given.

    **Arguments:**

    - `pieces`: from `pieces_of`.
    - `evaluate`: `x` of shape `(N,)` to log densities with respect to `x`, shape `(N, L)`.
    - `label`: name of the coordinate, for errors.
    - `setting`: see `Setting`.
    - `first`: how many lines, the first ones, have their modes at edges of cells; default all.
        Further ones, as along a ridge, have cells that are halved until they see the mode.

    **Raises:** [`gaugebias.laws.NotNormalisable`][] where an end cannot be integrated.
    """
    probes = [_probe(piece, setting) for piece in pieces]
    points = np.concatenate([_along(p, ts) for p, ts in zip(pieces, probes, strict=True)])
    logs = evaluate(points)
    values = np.split(logs, np.cumsum([len(ts) for ts in probes])[:-1])
    peak = np.full(logs.shape[1], -np.inf)
    modes = _modes(pieces, probes, values, evaluate)
    for ts, v in zip(probes, values, strict=True):
        peak = np.maximum(peak, np.max(v + ts[:, None], axis=0))
    for _, line, _, height in modes:
        peak[line] = max(peak[line], height)
    if not np.all(np.isfinite(peak)):
        raise ValueError(
            f"the {setting.law} law has no point of finite density along {label}: check `potential`"
            " and `domain`."
        )
    pieces = [
        ends_of(p, ts, v, peak, label, setting)
        for p, ts, v in zip(pieces, probes, values, strict=True)
    ]
    kept = [m for m in modes if m[3] > peak[m[1]] - setting.depth]
    edges = []
    marks = kept if first is None else [m for m in kept if m[1] < first]
    for i, (piece, ts, v) in enumerate(zip(pieces, probes, values, strict=True)):
        edges.append(_edges(piece, ts, v, peak, [m for m in marks if m[0] == i], setting))
    used = [i for i, e in enumerate(edges) if len(e) > 1]
    cells = make_cells([pieces[i] for i in used], [edges[i] for i in used], setting.order)
    cells = cells._replace(piece=np.asarray(used)[cells.piece])
    return _refine(cells, pieces, evaluate, peak, kept, setting)


def _edges(piece, ts, values, peak, modes, setting: Setting) -> np.ndarray:
    """First edges of the cells of a piece: ends, modes, and steps of bounded width."""
    g = np.max(values + ts[:, None] - peak[None, :], axis=1)
    alive = np.nonzero(g > -setting.depth)[0]
    marks = [m[2] for m in modes]
    if len(alive) == 0 and not marks:
        return np.zeros((0,))
    low = min([ts[max(k - 1, 0)] for k in alive[:1]] + [m - _STEP for m in marks])
    high = max([ts[min(k + 1, len(ts) - 1)] for k in alive[-1:]] + [m + _STEP for m in marks])
    low, high = max(low, ts[0]), min(high, ts[-1])
    inner = np.unique(np.concatenate([[low, high], [m for m in marks if low < m < high]]))
    parts = [
        np.linspace(a, b, int(np.ceil((b - a) / setting.width)) + 1)[:-1]
        for a, b in zip(inner[:-1], inner[1:], strict=True)
    ]
    edges = np.concatenate([*parts, [high]])
    if low == ts[0]:
        # The mass still to come below the first probe, exactly a power law.
        length = max(0.7 * setting.depth + g[0], 0.0) / (1.0 + piece.exponent)
        if length > 0.0:
            edges = np.concatenate([np.linspace(low - length, low, 4)[:-1], edges])
    if np.isfinite(piece.top) and high == ts[-1]:
        length = max(0.7 * setting.depth + g[-1], 0.0) / -(1.0 + piece.tail)
        edges = np.concatenate([edges, np.linspace(high, high + length, 4)[1:]])
    return edges


def _refine(cells, pieces, evaluate, peak, modes, setting: Setting) -> Axis:
    u, w, to_legendre = gauss_legendre(setting.order)

    def measure(new: Cells):
        t = new.t(u)
        inside, added = continue_cells(new, pieces, t)
        logs = evaluate(new.x(inside).ravel()).reshape(*t.shape, -1)
        return logs + (added + t + new.log_width()[:, None])[:, :, None]

    done, done_values = cells.take(np.zeros(0, int)), np.zeros((0, setting.order, len(peak)))
    new, values = cells, measure(cells)
    for _ in range(60):
        g = np.exp(np.minimum(np.concatenate([done_values, values]) - peak, 50.0))
        total = np.maximum(np.einsum("j,cjl->l", w, g), 1e-300)
        fresh = g[len(done.begin) :]
        coefficients = np.einsum("kj,cjl->ckl", to_legendre, fresh)
        tail = 2.0 * np.sum(np.abs(coefficients[:, -2:]), axis=1)
        # A line through a lower mode counts by its height below the highest.
        share = np.exp(np.minimum(np.max(peak) - peak, 30.0))
        coarse = np.any(tail > setting.tolerance * total * share, axis=1)
        lo, hi = np.minimum(new.begin, new.end), np.maximum(new.begin, new.end)
        for i, line, t, height in modes:
            touches = (new.piece == i) & (lo <= t + 1e-12) & (hi >= t - 1e-12)
            coarse |= touches & (
                np.max(values[:, :, line] - new.log_width()[:, None], axis=1) < height - 1.0
            )
        coarse &= (hi - lo) > 1e-7
        done = join(done, new.take(~coarse))
        done_values = np.concatenate([done_values, values[~coarse]])
        if not np.any(coarse) or len(done.begin) > 3000:
            if np.any(coarse):
                done, done_values = (
                    join(done, new.take(coarse)),
                    np.concatenate([done_values, values[coarse]]),
                )
            break
        new = new.take(coarse).halves()
        values = measure(new)
    else:
        done, done_values = join(done, new), np.concatenate([done_values, values])
    ordered, permutation = done.sorted()
    return Axis(ordered, pieces, done_values[permutation])
