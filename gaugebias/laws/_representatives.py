"""Whether representatives are where the laws need them: on the orbits, and on the slice."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._compile import compiled_once
from ..quotient import Domain, Quotient, fix_gauge
from ..quotient._gauges._slice import off_slice
from ..symmetry import orbit_jacobian
from ..symmetry._leaves import precision
from ._conditions import rank_of, remembered
from ._errors import Condition
from ._keys import fingerprint

_round_trips: dict = {}


def representative_condition(q: Quotient, params: PyTree, key: Array) -> Condition:
    """Whether there is a slice, and `lift` gives points of it over several predictors.

    Laws that are stated on the slice evaluate `K` and `V` there: a lift to other points of the
    orbits would make another law of them.
    """
    name = "representatives on the slice"
    errors = None if q.lift is None else _lift_errors(q, params, key)
    if errors is None or not errors.meets:
        try:
            fix_gauge(q, params)
        except ValueError as error:
            return Condition(name, False, float("nan"), f"there may be no slice: {error}")
    if errors is None:
        return Condition(name, True, 0.0, "the slice is met; representatives by Newton's method.")
    off, wrong, tolerance = errors.off, errors.wrong, errors.tolerance
    if not (off <= tolerance and wrong <= tolerance):
        what = (
            f"phi(lift(w)) is {wrong:.2e} away from w"
            if not wrong <= tolerance
            else f"chi(lift(w)) is {off:.2e}, relative to |lift(w)|^2"
        )
        detail = (
            f"`lift` does not give points of the slice: {what}, at predictors around phi(at). Give "
            "balanced parameters, or leave `lift` out."
        )
        return Condition(name, False, max(off, wrong), detail)
    return Condition(name, True, max(off, wrong), "the slice is met; `lift` gives points of it.")


def lift_condition(q: Quotient, domain: Domain, params: PyTree, key: Array) -> Condition:
    """`lift` inverts `phi` at several predictors of the domain, not only at `phi(params)`.

    What laws need that hold wherever on the orbits `lift` leads; without one it holds.
    """
    name = "lift inverts the predictor"
    if q.lift is None:
        return Condition(name, True, 0.0, "representatives by Newton's method.")
    w, back = remembered(
        _round_trips,
        fingerprint((q, params)),
        lambda: tuple(np.asarray(x, np.float64) for x in _round_trip(q, params, key)),
    )
    inside = domain.contains(w)
    gap = np.max(np.abs(back - w), axis=1, initial=0.0)
    gap = gap / np.maximum(1.0, np.max(np.abs(w), axis=1, initial=0.0))
    tolerance = 10.0 * precision(params) ** 0.5
    worst = float(np.max(gap[inside], initial=0.0))
    holds = worst <= tolerance
    return Condition(
        name,
        holds,
        worst,
        "phi(lift(w)) is w."
        if holds
        else f"`lift` does not invert `phi`: phi(lift(w)) is {worst:.2e} away from w, at "
        "predictors around phi(at). Give a right inverse, or leave `lift` out.",
    )


@compiled_once
def _round_trip(q: Quotient, params: PyTree, key: Array):
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    noise = jax.random.normal(key, (8, flat.size), flat.dtype).at[0].set(0.0)

    def one(x):
        w = q.phi(eqx.combine(unravel(x), still))
        lifted = params if q.lift is None else q.lift(w)
        return ravel_pytree(w)[0], ravel_pytree(q.phi(lifted))[0]

    return jax.vmap(one)(flat[None, :] * (1.0 + 0.1 * noise))


class _LiftErrors(NamedTuple):
    """How far `lift` is from the slice and from inverting `phi`, over several predictors.

    `meets`: the lift of `phi(params)` is on the slice, and its orbit is as large as that of
    `params` (a smaller one would only be in its closure).
    """

    off: float
    wrong: float
    tolerance: float
    meets: bool


def _lift_errors(q: Quotient, params: PyTree, key: Array) -> _LiftErrors:
    off, wrong, frames = (np.asarray(x, dtype=np.float64) for x in _lifted(q, params, key))
    eps = precision(params)
    tolerance = 10.0 * eps**0.5
    finite = bool(np.all(np.isfinite(frames)))
    meets = (
        finite
        and off[0] <= tolerance
        and rank_of(frames[0], eps**0.5) == rank_of(frames[1], eps**0.5)
    )
    return _LiftErrors(float(off.max()), float(wrong.max()), tolerance, bool(meets))


@compiled_once
def _lifted(q: Quotient, params: PyTree, key: Array):
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    noise = jax.random.normal(key, (8, flat.size), flat.dtype).at[0].set(0.0)
    points = flat[None, :] * (1.0 + 0.1 * noise)

    def one(x):
        w = q.phi(eqx.combine(unravel(x), still))
        lifted = q.lift(w) if q.lift is not None else params
        back, target = ravel_pytree(q.phi(lifted))[0], ravel_pytree(w)[0]
        scale = jnp.maximum(1.0, jnp.max(jnp.abs(target)))
        frame = orbit_jacobian(q.action, lifted)
        return off_slice(q, lifted), jnp.max(jnp.abs(back - target)) / scale, frame

    off, wrong, frames = jax.vmap(one)(points)
    return off, wrong, jnp.stack([orbit_jacobian(q.action, params), frames[0]])
