"""When a process may be kept on the slice by a group element after each step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..._compile import compiled_once
from ...quotient import MomentMapGauge, Quotient, fix_gauge
from ...quotient._gauges._slice import sample_slice
from ...symmetry._leaves import precision
from .._balance._generator import expected_rate
from .._processes._sde import AbstractSDE


@compiled_once
def _measure(sde: AbstractSDE, q: Quotient, params: PyTree, samples: int) -> tuple[Array, Array]:
    """The largest relative motion of `chi` by the noise, and its largest relative rate.

    The rate is relative to what noise and drift could do together, and where the noise has a part
    in it that the drift does not cancel, to what the noise could do: at a low temperature it is
    small beside the drift.
    """
    start = fix_gauge(q, params)
    still = eqx.filter(start, eqx.is_inexact_array, inverse=True)

    def chi(p):
        return ravel_pytree(q.gauge.chi(q.action, p))[0]

    def one(p):
        here = eqx.combine(p, still)
        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(here))
        flat, unravel = ravel_pytree(zero)

        def martingale(z):
            sigma = sde.diffusion(here, unravel(z))
            moved = jax.jvp(lambda x: chi(eqx.combine(x, still)), (p,), (sigma,))[1]
            return moved, jnp.sum(ravel_pytree(sigma)[0] ** 2)

        moved, energies = jax.vmap(martingale)(jnp.eye(flat.size, dtype=flat.dtype))
        size, energy = jnp.sum(ravel_pytree(p)[0] ** 2), jnp.sum(energies)
        rate, down = expected_rate(sde, chi, here), sde.drift(here)
        by_drift = jax.jvp(lambda x: chi(eqx.combine(x, still)), (p,), (down,))[1]
        most = energy + jnp.sqrt(size * jnp.sum(ravel_pytree(down)[0] ** 2))
        by_noise = jnp.abs(rate - by_drift)
        by_noise = jnp.where(2 * jnp.abs(rate) > by_noise, by_noise, 0.0)
        tiny = jnp.finfo(flat.dtype).tiny
        return (
            jnp.max(jnp.abs(moved)) / jnp.sqrt(size * energy + tiny),
            jnp.maximum(
                jnp.max(jnp.abs(rate)) / (most + tiny), jnp.max(by_noise) / (energy + tiny)
            ),
        )

    noise, rate = jax.vmap(one)(sample_slice(q, start, jr.key(0), samples, 0.3))
    return jnp.max(noise), jnp.max(rate)


def check_keeps_slice(sde: AbstractSDE, q: Quotient, params: PyTree, *, samples: int = 16) -> None:
    """`ValueError` unless the slice is invariant under the process.

    Measured at slice points around `params`: the noise must not move `chi`, and its expected rate
    must vanish. Re-gauging a process that leaves the slice would make another process of it.
    """
    if not isinstance(q.gauge, MomentMapGauge):
        raise ValueError("`regauge` needs a quotient with `gauge=MomentMapGauge()`.")
    noise, rate = (float(x) for x in _measure(sde, q, params, samples))
    tolerance = precision(params) ** 0.5
    if not (noise < tolerance and rate < tolerance):
        what = (
            f"its noise moves the moment map (relative size {noise:.2e})"
            if not noise < tolerance
            else f"the moment map drifts (relative rate {rate:.2e})"
        )
        raise ValueError(
            f"`regauge` is only for processes that keep the slice, and this one does not: {what}. "
            "Leave `regauge` out; see `imbalance_rate` for where the imbalance goes."
        )
