"""Drift and diffusion of the predictor, from a process on parameters."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..._compile import compiled_once
from ...dynamics import AbstractSampledSDE, AbstractSDE, QuotientSDE, expected_rate
from ...dynamics._runs._regauge import _measure as slice_motion
from ...quotient import MomentMapGauge, Quotient, fix_gauge
from ...symmetry import algebra_dimension
from ...symmetry._action import unravel_coefficients
from .._errors import Condition

_POINTS, _ELEMENTS = 4, 4


def predictor_rates(sde: AbstractSDE, phi: Callable, params: PyTree) -> tuple[Array, Array]:
    """Ito drift `(m,)` and covariance rate `(m, m)` of `phi` along a process, at one point.

    The drift is the process's generator applied to `phi`, the covariance `Dphi b b^T Dphi^T`.
    """
    point, still = eqx.partition(params, eqx.is_inexact_array)

    def ravelled(p):
        return ravel_pytree(phi(eqx.combine(p, still)))[0]

    drift = expected_rate(sde, lambda p: ravel_pytree(phi(p))[0], params)

    def outer(sigma):
        moved = jax.jvp(ravelled, (point,), (sigma,))[1]
        return moved[:, None] * moved[None, :]

    if isinstance(sde, AbstractSampledSDE):
        return drift, sde.sum_over_noise(params, outer)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(params))
    flat, unravel = ravel_pytree(zeros)
    columns = jax.vmap(lambda z: outer(sde.diffusion(params, unravel(z))))(jnp.eye(flat.size))
    return drift, jnp.sum(columns, axis=0)


class Push(eqx.Module):
    """`w` (raveled) to `[drift, covariance]`, shape `(m + m^2,)`, at the representative of `w`.

    For a `QuotientSDE`, whose state is `w`, there is nothing to push.
    """

    sde: AbstractSDE
    quotient: Quotient
    shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, w: Array) -> Array:
        w = w.reshape(self.shape)
        if isinstance(self.sde, QuotientSDE):
            drift, covariance = predictor_rates(self.sde, lambda x: x, w)
        else:
            params = self.quotient.representative(w)
            drift, covariance = predictor_rates(self.sde, self.quotient.phi, params)
        return jnp.concatenate([drift, covariance.ravel()])


@compiled_once
def _along_orbits(sde: AbstractSDE, q: Quotient, params: PyTree, key: Array) -> Array:
    """How much drift and covariance change along orbits, against their size: a number."""
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    algebra, k = q.action.algebra(params), algebra_dimension(q.action, params)
    first, second = jax.random.split(key)
    noise = jax.random.normal(first, (_POINTS, flat.size), flat.dtype).at[0].set(0.0)
    elements = 0.4 * jax.random.normal(second, (_ELEMENTS, k), flat.dtype)

    def rates(p):
        drift, covariance = predictor_rates(sde, q.phi, p)
        return jnp.concatenate([drift, covariance.ravel()])

    def one(z):
        here = eqx.combine(unravel(flat * (1.0 + 0.2 * z)), still)
        there = jax.vmap(lambda c: rates(q.action.flow(here, unravel_coefficients(algebra, c))))(
            elements
        )
        mid = rates(here)
        change = jnp.max(jnp.abs(there - mid[None, :]), axis=0)
        size = jnp.max(jnp.abs(there), axis=0) + jnp.abs(mid)
        return change, size

    change, size = jax.vmap(one)(noise)
    return jnp.max(jnp.max(change, axis=0) / jnp.maximum(jnp.max(size, axis=0), 1e-300))


def markov_condition(sde: AbstractSDE, q: Quotient, params: PyTree, key: Array) -> Condition:
    """The predictor is a process by itself: its rates depend on `w` only, or the slice is kept."""
    name = "predictor is a process by itself"
    if isinstance(sde, QuotientSDE):
        return Condition(name, True, 0.0, "the equation is one of w.")
    eps = float(jnp.finfo(ravel_pytree(eqx.filter(params, eqx.is_inexact_array))[0].dtype).eps)
    change = float(_along_orbits(sde, q, params, key))
    if change < 10.0 * eps**0.5:
        text = f"its drift and covariance are constant on orbits (relative change {change:.1e})."
        return Condition(name, True, change, text)
    if not isinstance(q.gauge, MomentMapGauge):
        text = (
            f"drift and covariance of the predictor change along orbits (relative {change:.1e}), "
            "and the gauge is not a moment map, whose slice the process could keep."
        )
        return Condition(name, False, change, text)
    try:
        fix_gauge(q, params)
        noise, rate = (float(x) for x in slice_motion(sde, q, params, 16))
    except ValueError as error:
        return Condition(name, False, change, f"there may be no slice: {error}")
    holds = bool(np.isfinite(noise) and np.isfinite(rate) and max(noise, rate) < eps**0.5)
    if holds:
        text = (
            "the process keeps the slice (moment map moved by noise "
            f"{noise:.1e}, drifting {rate:.1e}), on which w decides its rates."
        )
        return Condition(name, True, max(noise, rate), text)
    what = (
        f"noise moves the moment map (relative size {noise:.2e})"
        if not noise < eps**0.5
        else f"the moment map drifts (relative rate {rate:.2e})"
    )
    text = (
        f"drift and covariance of the predictor change along orbits (relative {change:.1e}) and "
        f"the process leaves the slice ({what}): w is no process by itself, and has no "
        "Fokker-Planck equation of its own."
    )
    return Condition(name, False, change, text)
