"""Which mechanism a network learns by: alignment, disalignment or rescaling of its layers."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ._latent import LatentVariableFlow, Layers, alignment_at, layers_at

Kind = Literal["alignment", "disalignment", "rescaling", "reversal", "none"]


class MechanismPhase(NamedTuple):
    """One stretch of a trajectory, between the rows `start` and `stop`, both included."""

    kind: Kind
    start: int
    stop: int


class Mechanism(NamedTuple):
    r"""How a pair of layers moved.

    - `net`: from start to end. `"alignment"` where \(|\zeta|\) rose by more than the tolerance,
        `"disalignment"` where it fell; else `"reversal"` where \(\zeta\) changed its sign,
        `"rescaling"` where a norm changed, and `"none"`: the pair stayed as it was.
    - `phases`: the stretches of one kind, in order; without `"none"` and `"reversal"`.
    - `alignment_change`: of \(|\zeta|\); `norm_change`: the largest relative change of a norm.
    """

    net: Kind
    phases: tuple[MechanismPhase, ...]
    alignment_change: float
    norm_change: float


def classify_mechanism(
    alignment: ArrayLike,
    norms: ArrayLike,
    *,
    tolerance: float = 0.01,
    norm_tolerance: float = 0.01,
) -> Mechanism:
    r"""The mechanism of a measured trajectory of two layers.

    Alignment and disalignment come with changes of norm; a stretch is rescaling where norms change
    and \(|\zeta|\) does not. A dip or a rise below the tolerance is taken for noise: give one above
    the fluctuations of the run.

    **Arguments:**

    - `alignment`: \(\zeta\), signed or not, shape `(T,)`, `T >= 2`, within `[-1, 1]`.
    - `norms`: of the two layers, or of any number, shape `(T, k)`.
    - `tolerance`: the smallest change of \(|\zeta|\) that counts.
    - `norm_tolerance`: the smallest relative change of a norm that counts.

    Source: 2401.07085 names the mechanisms; the classification is ours.
    """
    zeta, size = np.asarray(alignment, float), np.asarray(norms, float)
    if zeta.ndim != 1 or len(zeta) < 2:
        raise ValueError(
            f"`alignment` must hold at least two times, but its shape is {zeta.shape}."
        )
    if size.ndim != 2 or size.shape[0] != len(zeta) or size.shape[1] == 0:
        raise ValueError(
            f"`norms` must have shape ({len(zeta)}, layers), as `alignment` has {len(zeta)} times, "
            f"but has {size.shape}."
        )
    if not np.all(np.abs(zeta) <= 1.0 + 1e-6):
        raise ValueError("`alignment` must lie in [-1, 1]: it is a cosine, without NaN.")
    if not (np.all(size >= 0) and np.all(np.isfinite(size))):
        raise ValueError("`norms` must be finite and not negative: did the run diverge?")
    for name, value in (("tolerance", tolerance), ("norm_tolerance", norm_tolerance)):
        if not value > 0:
            raise ValueError(f"`{name}` must be positive, but is {value}.")

    def moved(start: int, stop: int) -> float:
        first, last = size[start], size[stop]
        scale = np.where(first > 0, first, np.where(last > 0, last, 1.0))
        return float(np.max(np.abs(last - first) / scale))

    rows, level = _with_crossings(zeta, tolerance)
    phases: list[MechanismPhase] = []
    points = _turning_points(level, tolerance)
    for i, j in zip(points[:-1], points[1:], strict=True):
        change = level[j] - level[i]
        if abs(change) <= tolerance:
            parts: list[tuple[int, int, Kind]] = [(i, j, "none")]
        else:
            away = np.abs(level[i : j + 1] - level[i]) > tolerance
            near = np.abs(level[i : j + 1] - level[j]) > tolerance
            leave = i + max(int(np.argmax(away)) - 1, 0)
            arrive = j - max(int(np.argmax(near[::-1])) - 1, 0)
            # A flat stretch is one of its own only where norms change in it.
            leave = leave if moved(rows[i], rows[leave]) > norm_tolerance else i
            arrive = arrive if moved(rows[arrive], rows[j]) > norm_tolerance else j
            kind: Kind = "alignment" if change > 0 else "disalignment"
            parts = [(i, leave, "none"), (leave, arrive, kind), (arrive, j, "none")]
        for start, stop, found in parts:
            first, last = rows[start], rows[stop]
            if found != "none":
                phases.append(MechanismPhase(found, first, last))
            elif moved(first, last) > norm_tolerance:
                if phases and phases[-1].kind == "rescaling":
                    first = phases.pop().start
                phases.append(MechanismPhase("rescaling", first, last))

    change, grown = float(level[-1] - level[0]), moved(0, len(zeta) - 1)
    if abs(change) > tolerance:
        net = "alignment" if change > 0 else "disalignment"
    elif abs(zeta[-1] - zeta[0]) > tolerance and zeta[-1] * zeta[0] < 0:
        net = "reversal"
    else:
        net = "rescaling" if grown > norm_tolerance else "none"
    return Mechanism(net, tuple(phases), change, grown)


def latent_mechanism(
    flow: LatentVariableFlow, *, tolerance: float = 0.01, norm_tolerance: float = 0.01
) -> Mechanism:
    r"""The mechanism of the exact solution, over all times.

    \(\zeta\) rises in \(\xi\), which is monotone in time, so that \(|\zeta|\) falls to 0 and rises
    again where the output changes its sign, and is monotone where it does not: alignment where the
    target is larger than the output at the start, disalignment where it is smaller. It is constant
    (rescaling) exactly where the layers are parallel. Phases count rows of an even grid of 257
    values of \(\log\xi\), not of time, from 0 to its limit.

    **Arguments:** `flow`, with concrete values; the others as of
    [`classify_mechanism`][gaugebias.flows.classify_mechanism].

    Source: 2401.07085 names the mechanisms; re-derived.
    """
    last = float(flow.log_xi(jnp.inf))
    ends = last if np.isfinite(last) else np.copysign(1400.0, last)
    log_xi = jnp.linspace(0.0, ends, 257)
    layers, zeta = _along(flow, log_xi)
    norms = np.sqrt(np.stack([layers.size_u, layers.size_w], 1))
    return classify_mechanism(
        np.asarray(zeta),
        norms,
        tolerance=tolerance,
        norm_tolerance=norm_tolerance,
    )


@eqx.filter_jit
def _along(flow: LatentVariableFlow, log_xi: Array) -> tuple[Layers, Array]:
    layers = layers_at(flow, log_xi)
    return layers, alignment_at(flow, layers)


def _with_crossings(zeta: np.ndarray, tolerance: float) -> tuple[list[int], np.ndarray]:
    r"""Rows and \(|\zeta|\), with a 0 between two rows of opposite sign.

    Not between parallel and antiparallel, where a layer went through 0 and nothing turned.
    """
    rows, level = [0], [abs(zeta[0])]
    for k in range(1, len(zeta)):
        turned = min(abs(zeta[k]), abs(zeta[k - 1])) < 1.0 - tolerance
        if zeta[k] * zeta[k - 1] < 0 and turned:
            rows.append(k if abs(zeta[k]) < abs(zeta[k - 1]) else k - 1)
            level.append(0.0)
        rows.append(k)
        level.append(abs(zeta[k]))
    return rows, np.asarray(level)


def _turning_points(level: np.ndarray, tolerance: float) -> list[int]:
    """The ends, and between them the extremes from which `level` moves back by `tolerance`."""
    points, direction, low, high = [0], 0, 0, 0
    for k, value in enumerate(level):
        high = k if value > level[high] else high
        low = k if value < level[low] else low
        if direction >= 0 and level[high] - value > tolerance:
            if direction > 0:
                points.append(high)
            direction, low = -1, k
        elif direction <= 0 and value - level[low] > tolerance:
            if direction < 0:
                points.append(low)
            direction, high = 1, k
    return [*points, len(level) - 1]
