"""The conditions of the laws, checked on a sample of parameters."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._compile import compiled_once
from ..quotient import (
    MomentMapGauge,
    Quotient,
    SliceReport,
    check_slice_invariance,
    predictor_jacobian,
)
from ..symmetry import check_invariance, field_jacobians, orbit_jacobian
from ..symmetry._leaves import precision
from ._errors import Condition
from ._keys import fingerprint

_POINTS = 4


class Sample(NamedTuple):
    """What was measured on a sample of parameters: `params` and perturbations of it.

    - `below`: `Dphi`, shape `(points, m, D)`.
    - `frames`: the generators, shape `(points, D, k)`.
    - `theta`: the ravelled points, shape `(points, D)`.
    - `jacobians`: of the generators' fields at the first two points, shape `(2, k, D, D)`.
    - `tolerance`: on relative residuals, by dtype.
    """

    params: PyTree
    below: np.ndarray
    frames: np.ndarray
    theta: np.ndarray
    jacobians: np.ndarray
    tolerance: float


_samples: dict = {}
_reports: dict = {}


def remembered(store: dict, key: tuple, make):
    """`make()`, kept for the last few keys: laws of one quotient share their conditions."""
    if key not in store:
        while len(store) >= 32:
            store.pop(next(iter(store)))
        store[key] = make()
    return store[key]


def start_point(q: Quotient) -> PyTree:
    """A concrete parameter point: `q.at`, else the lift of a point of the domain.

    **Raises:** `ValueError` where there is neither, or where `at` is traced.
    """
    if q.at is not None:
        if any(isinstance(x, Tracer) for x in jax.tree.leaves(q.at)):
            raise ValueError(
                "`q.at` is traced, and conditions are checked on values: make the quotient "
                "outside of `jit`; temperatures, alpha and beta may be traced."
            )
        return q.at
    if q.lift is None or q.domain is None:
        raise ValueError(
            "`q` needs `at=` (a parameter point), or both `lift=` and `domain=`, so that the "
            "conditions of a law can be checked."
        )
    w = interior_point(q.domain.lower, q.domain.upper)
    w = w[::-1] if q.domain.ordered else w
    params = q.lift(jnp.asarray(w[0] if q.domain.dimension == 1 else w))
    check_invariance(q.phi, q.action, params)
    return params


def interior_point(lower: tuple[float, ...], upper: tuple[float, ...]) -> np.ndarray:
    """A generic point of a box, increasing where the bounds are equal."""
    m = len(lower)
    fraction = (np.arange(m) + 1.0) / (m + 1.0)
    out = np.empty(m)
    for i, (a, b) in enumerate(zip(lower, upper, strict=True)):
        if np.isfinite(a) and np.isfinite(b):
            out[i] = a + (b - a) * fraction[i]
        elif np.isfinite(a):
            out[i] = a + 0.5 + fraction[i]
        elif np.isfinite(b):
            out[i] = b - 1.5 + fraction[i]
        else:
            out[i] = 0.25 + fraction[i]
    return out


@compiled_once
def _measure(q: Quotient, params: PyTree, key: Array):
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    size = jnp.sqrt(jnp.mean(flat**2))
    noise = jax.random.normal(key, (_POINTS, flat.size), flat.dtype).at[0].set(0.0)
    points = flat[None, :] + 0.3 * jnp.where(size > 0, size, 1.0) * noise

    def one(x):
        point = eqx.combine(unravel(x), still)
        return predictor_jacobian(q.phi, point), orbit_jacobian(q.action, point)

    def fields(x):
        return field_jacobians(q.action, eqx.combine(unravel(x), still))

    below, frames = jax.vmap(one)(points)
    return below, frames, points, jax.vmap(fields)(points[:2])


def sample_of(q: Quotient, params: PyTree, key: Array) -> Sample:
    """Measure `phi` and the action at `params` and at perturbations of relative size 0.3."""

    def make():
        below, frames, theta, jacobians = _measure(q, params, key)
        tolerance = precision(params) ** 0.5
        host = [np.asarray(x, dtype=np.float64) for x in (below, frames, theta, jacobians)]
        return Sample(params, host[0], host[1], host[2], host[3], tolerance)

    return remembered(_samples, fingerprint((q, params)), make)


def rank_of(matrix: np.ndarray, tolerance: float) -> int:
    s = np.linalg.svd(matrix, compute_uv=False)
    # tolerance**2 is the rounding unit of the dtype the matrix was computed in.
    return int(np.sum(s > 10.0 * max(matrix.shape) * tolerance**2 * s.max(initial=1e-300)))


def predictor_conditions(sample: Sample) -> tuple[Condition, Condition]:
    """`phi` separates orbits, and `phi` has full rank, at every point."""
    _, size, total = sample.below.shape
    ranks = [rank_of(b, sample.tolerance) for b in sample.below]
    orbits = [rank_of(f, sample.tolerance) for f in sample.frames]
    gaps = [total - orbit - rank for rank, orbit in zip(ranks, orbits, strict=True)]
    worst = int(np.argmax(np.abs(gaps)))
    gap, rank, orbit, lowest = gaps[worst], ranks[worst], orbits[worst], min(ranks)
    text = f"rank Dphi = {rank}, {total} parameters less an orbit of dimension {orbit}: "
    text += (
        "the predictor is a coordinate of the quotient."
        if gap == 0
        else "the predictor is not a coordinate of the quotient by this action: name the whole "
        "symmetry, or a predictor that sees every invariant."
    )
    separates = Condition("predictor separates orbits", gap == 0, float(gap), text)
    text = f"rank Dphi = {lowest} of {size} coordinates"
    text += "." if lowest == size else ": Lebesgue measure dw is no measure on the image of phi."
    full = Condition("predictor of full rank", lowest == size, float(size - lowest), text)
    return separates, full


def _relative(part: np.ndarray, whole: np.ndarray) -> float:
    axes = tuple(range(1, part.ndim))
    size, small = np.sqrt(np.sum(whole**2, axis=axes)), np.sqrt(np.sum(part**2, axis=axes))
    return float(np.max(small / np.where(size > 0, size, 1.0), initial=0.0))


def isometric_condition(sample: Sample) -> Condition:
    """Generators have antisymmetric Jacobians: the group acts by isometries."""
    fields = sample.jacobians.reshape(-1, *sample.jacobians.shape[2:])
    worst = _relative(0.5 * (fields + np.swapaxes(fields, 1, 2)), fields)
    holds = worst < sample.tolerance
    return Condition(
        "isometric action",
        holds,
        worst,
        f"relative symmetric part of the generators {worst:.2e}: the group acts by isometries."
        if holds
        else f"the action is not isometric (relative symmetric part of a generator {worst:.2e}), "
        "so that orbit volumes change along an orbit, which need not be compact.",
    )


def volume_condition(sample: Sample) -> Condition:
    """`log V` of an isometric action is constant on orbits, as the volume of the orbit is.

    Where a stabiliser has positive dimension it is so only if the basis of the algebra is
    orthonormal for an Ad-invariant inner product. With `J^+` the pseudo-inverse of the frame its
    gradient is `sum_a A_a^T (J^+)_a`.
    """
    worst = 0.0
    for frame, fields, theta in zip(sample.frames, sample.jacobians, sample.theta, strict=False):
        floor = 10.0 * max(frame.shape) * sample.tolerance**2
        inverse = np.linalg.pinv(frame, rcond=floor)
        gradient = np.einsum("aij,ai->j", fields, inverse)
        size = np.linalg.norm(gradient) + 1.0 / max(float(np.linalg.norm(theta)), 1e-300)
        lengths = np.linalg.norm(frame, axis=0)
        rates = np.abs(gradient @ frame) / (size * np.where(lengths > 0, lengths, 1.0))
        worst = max(worst, float(np.max(rates, initial=0.0)))
    holds = worst < 10.0 * sample.tolerance
    return Condition(
        "orbit volume constant on orbits",
        holds,
        worst,
        "log V is constant on orbits."
        if holds
        else f"log V changes along an orbit (relative rate {worst:.2e}), so it is not the volume "
        "of the orbit: where points have a stabiliser the generators must be orthonormal for an "
        "Ad-invariant inner product, as those of `gaugebias.symmetry.Orthogonal` are; choose such "
        "a basis for `action`.",
    )


def ridge_condition(sample: Sample) -> Condition:
    """`|theta|^2` is constant on orbits (true for rotations, false for translations)."""
    rates = np.einsum("pda,pd->pa", sample.frames, sample.theta)
    scale = np.linalg.norm(sample.frames, axis=(1, 2)) * np.linalg.norm(sample.theta, axis=1)
    worst = float(np.max(np.linalg.norm(rates, axis=1) / np.maximum(scale, 1e-300)))
    holds = worst < sample.tolerance
    return Condition(
        "weight decay is invariant",
        holds,
        worst,
        "|theta|^2 is constant on orbits."
        if holds
        else f"|theta|^2 changes along orbits (relative rate {worst:.2e}), so that weight decay "
        "is no function of the predictor.",
    )


def linear_condition(sample: Sample) -> Condition:
    """The action is linear, with an algebra closed under transpose."""
    name = "linear action closed under transpose"
    off = np.einsum("paij,pj->pai", sample.jacobians, sample.theta[:2])
    off = np.swapaxes(sample.frames[:2], 1, 2) - off
    scale = np.linalg.norm(sample.jacobians, axis=(2, 3)) + np.linalg.norm(
        sample.frames[:2], axis=1
    )
    relative = np.linalg.norm(off, axis=2) / np.where(scale > 0, scale, 1.0)
    linear = float(np.max(relative, initial=0.0))
    if linear > sample.tolerance:
        return Condition(
            name,
            False,
            linear,
            f"the action has no moment map: its fields are not linear in the parameters (relative "
            f"remainder {linear:.2e}).",
        )
    matrices = sample.jacobians[0]
    flattened = len(matrices), matrices.shape[1] ** 2
    span = matrices.reshape(flattened).T
    mirrored = np.swapaxes(matrices, 1, 2).reshape(flattened).T
    left = mirrored - span @ np.linalg.lstsq(span, mirrored, rcond=None)[0]
    closed = _relative(left.T, span.T)
    if closed > sample.tolerance:
        return Condition(
            name,
            False,
            closed,
            "the action has no moment map: its algebra is not closed under transpose (relative "
            f"distance {closed:.2e}).",
        )
    return Condition(name, True, max(linear, closed), "the action has a moment map.")


def moment_map_condition(q: Quotient, sample: Sample) -> Condition:
    """The gauge is a moment map that the action has."""
    if not isinstance(q.gauge, MomentMapGauge):
        return Condition(
            "moment-map slice",
            False,
            float("nan"),
            "the gauge is not the moment map, so that the gradients of chi are not along orbits "
            "and horizontal noise leaves the slice: use `gauge=MomentMapGauge()`.",
        )
    linear = linear_condition(sample)
    return Condition("moment-map slice", linear.holds, linear.value, linear.detail)


def slice_condition(q: Quotient, params: PyTree, key: Array) -> Condition:
    """`tr(P A_a) = 0` over the slice: horizontal Ito noise stays on it."""
    report: SliceReport = remembered(
        _reports,
        fingerprint((q.action, q.gauge, params)),
        lambda: check_slice_invariance(q, params, key=key),
    )
    if report.holds:
        text = f"|tr(P A)| <= {report.drift:.2e} at {report.samples} points of the slice."
    else:
        text = (
            f"tr(P A) of generator {report.generator} is {report.value:.4g} on the slice (largest "
            f"over unit generators {report.drift:.4g}, {report.samples} points): horizontal Ito "
            "noise drives its moment map at T tr(P A), off the slice."
        )
    name = "slice invariant under horizontal Ito noise"
    return Condition(name, report.holds, float(report.drift), text)
