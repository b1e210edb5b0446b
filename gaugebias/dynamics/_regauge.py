"""When a process may be kept on the slice by a group element after each step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from ..quotient import fix_gauge, MomentMapGauge, Quotient
from ..quotient._slice import sample_slice
from ._generator import expected_rate
from ._sde import AbstractSDE


def check_keeps_slice(sde: AbstractSDE, q: Quotient, params: PyTree, *, samples: int = 16) -> None:
    """`ValueError` unless the slice is invariant under the process.

    Measured at slice points around `params`: the noise must not move `chi`, and its expected rate
    must vanish. Re-gauging a process that leaves the slice would make another process of it.
    """
    if not isinstance(q.gauge, MomentMapGauge):
        raise ValueError("`regauge` needs a quotient with `gauge=MomentMapGauge()`.")
    point = fix_gauge(q, params)
    moving, still = eqx.partition(point, eqx.is_inexact_array)
    points = sample_slice(q, point, jr.key(0), samples, 0.3)

    def chi(p):
        return ravel_pytree(q.gauge.chi(q.action, p))[0]

    @jax.jit
    def measure(batch):
        def one(p):
            here = eqx.combine(p, still)
            noise = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(here))
            flat, unravel = ravel_pytree(noise)

            def martingale(z):
                sigma = sde.diffusion(here, unravel(z))
                return jax.jvp(lambda x: chi(eqx.combine(x, still)), (p,), (sigma,))[1]

            rows = jax.vmap(martingale)(jnp.eye(flat.size, dtype=flat.dtype))
            size = jnp.sum(ravel_pytree(p)[0] ** 2)
            energy = jnp.sum(
                jax.vmap(lambda z: ravel_pytree(sde.diffusion(here, unravel(z)))[0])(
                    jnp.eye(flat.size, dtype=flat.dtype)
                )
                ** 2
            )
            rate = expected_rate(sde, chi, here)
            tiny = jnp.finfo(flat.dtype).tiny
            return (
                jnp.max(jnp.abs(rows)) / jnp.sqrt(size * energy + tiny),
                jnp.max(jnp.abs(rate)) / (energy + size + tiny),
            )

        return jax.vmap(one)(batch)

    noise, rate = (float(jnp.max(x)) for x in measure(points))
    tolerance = float(jnp.finfo(ravel_pytree(moving)[0].dtype).eps) ** 0.5
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
