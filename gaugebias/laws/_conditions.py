"""The conditions of the laws, checked on a sample of parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from ..quotient import (
    check_slice_invariance,
    isometry_residual,
    MomentMapGauge,
    predictor_jacobian,
    Quotient,
    require_moment_map,
)
from ..quotient._linalg import frame_rank
from ..symmetry import check_invariance, orbit_jacobian
from ._errors import Condition

_POINTS = 3


def start_point(q: Quotient) -> PyTree:
    """A concrete parameter point: `q.at`, else the lift of a point of the domain.

    **Raises:** `ValueError` where there is neither, or where `at` is traced.
    """
    if q.at is not None:
        if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(q.at)):
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


def nearby(params: PyTree, key, count: int = _POINTS) -> list[PyTree]:
    """`params` and Gaussian perturbations of 0.3 of their root mean square."""
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    size = jnp.sqrt(jnp.mean(flat**2))
    size = jnp.where(size > 0, size, 1.0)
    noise = 0.3 * size * jax.random.normal(key, (count, flat.size), flat.dtype)
    return [params] + [eqx.combine(unravel(flat + z), still) for z in noise]


def _tolerance(params: PyTree) -> float:
    flat, _ = ravel_pytree(eqx.filter(params, eqx.is_inexact_array))
    return float(jnp.finfo(flat.dtype).eps) ** 0.5


def predictor_conditions(q: Quotient, points: list[PyTree]) -> tuple[Condition, Condition]:
    """`phi` separates orbits, and `phi` has full rank, at every point."""
    gap, missing, size, rank, orbit, total = 0, 0, 0, 0, 0, 0
    for params in points:
        below = predictor_jacobian(q.phi, params)
        size, total = below.shape
        rank = int(frame_rank(below.T))
        orbit = int(frame_rank(orbit_jacobian(q.action, params)))
        gap = max(gap, abs(total - orbit - rank))
        missing = max(missing, size - rank)
    separates = Condition(
        "predictor separates orbits",
        gap == 0,
        float(gap),
        f"rank Dphi = {rank}, parameters {total} less orbit {orbit}: the predictor "
        + (
            "is a coordinate of the quotient."
            if gap == 0
            else "is not a coordinate of the quotient, which the action does not exhaust: name the "
            "whole symmetry, or a predictor that sees every invariant."
        ),
    )
    full = Condition(
        "predictor of full rank",
        missing == 0,
        float(missing),
        f"rank Dphi = {rank} of {size} coordinates"
        + (
            "."
            if missing == 0
            else ": Lebesgue measure dw is no measure on the image of the predictor."
        ),
    )
    return separates, full


def isometric_condition(q: Quotient, points: list[PyTree]) -> Condition:
    """Generators have antisymmetric Jacobians: the group acts by isometries."""
    worst = max(float(isometry_residual(q.action, params)) for params in points)
    holds = worst < _tolerance(points[0])
    return Condition(
        "isometric action",
        holds,
        worst,
        f"largest relative symmetric part of a generator {worst:.2e}: the group acts by isometries."
        if holds
        else f"the action is not isometric (relative symmetric part of a generator {worst:.2e}), so "
        "its orbits are not compact and orbit volumes change along the orbit.",
    )


def ridge_condition(q: Quotient, points: list[PyTree]) -> Condition:
    """`|theta|^2` is constant on orbits (true for rotations, false for translations)."""
    worst = 0.0
    for params in points:
        flat, _ = ravel_pytree(eqx.filter(params, eqx.is_inexact_array))
        frame = orbit_jacobian(q.action, params)
        scale = jnp.linalg.norm(frame) * jnp.linalg.norm(flat) + 1e-300
        worst = max(worst, float(jnp.linalg.norm(frame.T @ flat) / scale))
    holds = worst < _tolerance(points[0])
    return Condition(
        "weight decay is invariant",
        holds,
        worst,
        "|theta|^2 is constant on orbits."
        if holds
        else f"|theta|^2 changes along orbits (relative rate {worst:.2e}), so that weight decay is no "
        "function of the predictor.",
    )


def moment_map_condition(q: Quotient, params: PyTree) -> Condition:
    """The gauge is a moment map that the action has."""
    name = "moment-map slice"
    if not isinstance(q.gauge, MomentMapGauge):
        return Condition(
            name,
            False,
            float("nan"),
            "the gauge is not the moment map, so that the "
            "gradients of chi are not along orbits and horizontal noise leaves the "
            "slice: use `gauge=MomentMapGauge()`.",
        )
    try:
        require_moment_map(q.action, params)
    except ValueError as error:
        return Condition(name, False, float("nan"), str(error))
    return Condition(name, True, 0.0, "chi_a = theta^T A_a theta / 2, with gradients X_a.")


def slice_condition(q: Quotient, params: PyTree, key) -> Condition:
    """`tr(P A_a) = 0` over the slice: horizontal Ito noise stays on it."""
    report = check_slice_invariance(q, params, key=key)
    if report.holds:
        text = (
            f"|tr(P A)| <= {report.drift:.2e} at {report.samples} points of the slice, for every "
            "generator."
        )
    else:
        text = (
            f"tr(P A) of generator {report.generator} is {report.value:.4g} on the slice (largest "
            f"over unit generators {report.drift:.4g}, {report.samples} points): horizontal Ito "
            "noise drives its moment map at T tr(P A), off the slice."
        )
    return Condition(
        "slice invariant under horizontal Ito noise", report.holds, float(report.drift), text
    )
