"""Whether a law can be normalised, before anything is computed with it."""

import itertools

import numpy as np

from .._law import AbstractLaw, InCoordinates, anonymous
from ._axis import refuse
from ._cells import Piece, pieces_of
from ._coordinates import coordinates_of
from ._evaluate import HostFunction
from ._valleys import check_valleys

# Above this many coordinates only the corner and the least singular value are tested, and no
# valley is looked for.
_MOST = 16


def check_integrable(law: AbstractLaw) -> None:
    """Raise [`gaugebias.laws.NotNormalisable`][] where a law has infinite mass.

    One coordinate: by its quadrature table, at every break, end and infinity. More: by the local
    exponents along each coordinate, where all coordinates of a corner approach a break together,
    far out, and for matrices where the least singular value vanishes; and by the mass of shells
    along the valleys and curves that lead to infinity (see `_valleys.py`).
    """
    if law.dimension == 1:
        law.table()
        return
    coordinates = coordinates_of(law.domain)
    m = law.dimension
    host = HostFunction(InCoordinates(anonymous(law), coordinates), (m,))
    pieces = [
        pieces_of(*bounds)
        for bounds in zip(coordinates.lower, coordinates.upper, coordinates.breaks, strict=True)
    ]
    start, height = _start(host, pieces)
    if start is None:
        raise ValueError(
            f"the {law.name} law has no point of finite density: check `potential` and `domain`."
        )
    near = max(law.resolution, 1e-10)
    if m <= _MOST:
        for a, options in enumerate(pieces):
            for piece in options:
                _check(law.name, host, start, height, [(a, piece)], near, f"coordinate {a}")
    corners = itertools.product(*pieces) if m <= 3 else [tuple(p[0] for p in pieces)]
    for corner in corners:
        moves = list(enumerate(corner))
        _check(law.name, host, start, height, moves, near, "a corner, all coordinates together,")
    if len(law.shape) == 2 and min(law.shape) > 1 and coordinates.kind == "box":
        _check_least_singular_value(law, host, start, near)
    if m <= _MOST:
        check_valleys(law.name, host, coordinates, height)


def _start(host: HostFunction, pieces: list[list[Piece]]) -> tuple[np.ndarray | None, float]:
    """The highest of a few hundred random points of moderate size."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(512):
        chosen = [p[rng.integers(len(p))] for p in pieces]
        t = [min(p.stop, 1.0) - 3.0 * rng.random() for p in chosen]
        rows.append([p.anchor + p.sign * np.exp(s) for p, s in zip(chosen, t, strict=True)])
    points = np.asarray(rows)
    values = host(points)
    values = np.where(np.isnan(values), -np.inf, values)
    best = int(np.argmax(values))
    if not np.isfinite(values[best]):
        return None, -np.inf
    return points[best], float(values[best])


def _check(law, host, start, height, moves, near, label) -> None:
    """Local exponents where the coordinates in `moves` approach their anchors, or infinity."""
    count = len(moves)
    anchors = max(abs(p.anchor) for _, p in moves)
    low = np.log(max(near, 1e-9 * anchors))
    ts = np.asarray([low, low + 1.0])
    unbounded = all(np.isinf(p.stop) for _, p in moves)
    far = np.arange(2.0, 40.0, 1.0) if unbounded else np.zeros(0)
    points = np.repeat(start[None, :], 2 + len(far), axis=0)
    for a, piece in moves:
        # Along a generic ray: equal entries of a matrix would make it singular.
        ray = (1.0 + 0.37 * a) * np.exp(np.concatenate([ts, far]))
        points[:, a] = piece.anchor + piece.sign * ray
    values = host(points)
    slope = float(values[1] - values[0])
    if np.isfinite(slope) and slope <= -count + 2e-3:
        where = ", ".join(f"x_{a + 1} = {p.anchor:g}" for a, p in moves)
        share = "" if count == 1 else f" (exponent divided by {count})"
        refuse(
            law,
            f"{label} at {where}{share}" if count > 1 else where,
            slope / count,
            False,
            "`Domain.box(lower=0.1, upper=...)`",
        )
    if len(far):
        tail = values[2:]
        if np.all(np.isfinite(tail)) and tail[-1] + count * far[-1] > height - 60.0:
            slope = float(tail[-1] - tail[-2])
            if slope >= -count - 2e-3:
                refuse(law, f"{label} -> infinity", slope / count, True)


def _check_least_singular_value(law: AbstractLaw, host, start, near) -> None:
    u, s, vt = np.linalg.svd(start.reshape(law.shape), full_matrices=False)
    ts = np.log(near) + np.asarray([0.0, 1.0])
    rows = []
    for t in ts:
        squeezed = np.concatenate([s[:-1], [np.exp(t)]])
        rows.append(((u * squeezed[None, :]) @ vt).ravel())
    values = host(np.asarray(rows))
    slope = float(values[1] - values[0])
    codimension = abs(law.shape[0] - law.shape[1]) + 1
    if np.isfinite(slope) and slope <= -codimension + 2e-3:
        where = "the stratum where the least singular value vanishes"
        if codimension > 1:
            where += f" (exponent divided by its codimension {codimension})"
        refuse(
            law.name,
            where,
            slope / codimension,
            False,
            "a `Domain` of singular values away from 0, for `spectral`",
        )
