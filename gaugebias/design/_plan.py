"""How long, and in which steps, a design is simulated: planned from draws of its law."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..laws import AbstractLaw, spectral
from ._design import Design, Loss, batch_of

_MOST_STEPS = 400_000
_PILOT = 256


def pilot(law: AbstractLaw, key: Array, spectrum: bool, many: int = _PILOT) -> Array:
    """Draws of the law, to plan the run by; from the law of the spectrum where it is asked for."""
    if not spectrum:
        return law.sample(key, many)
    values, left, right = jax.random.split(key, 3)
    s = spectral(law).sample(values, many)
    n, m = law.shape
    middle = jnp.zeros((many, n, m), s.dtype)
    index = jnp.arange(s.shape[1])
    middle = middle.at[:, index, index].set(s)
    turn = jax.random.orthogonal(left, n, (many,), dtype=s.dtype)
    return turn @ middle @ jax.random.orthogonal(right, m, (many,), dtype=s.dtype)


@eqx.filter_jit
def _curvatures(loss: Loss, params: PyTree) -> Array:
    def one(point):
        flat, unravel = ravel_pytree(point)
        hessian = jax.hessian(lambda x: loss(unravel(x)))(flat)
        return jnp.max(jnp.abs(jnp.linalg.eigvalsh(hessian)))

    return jax.vmap(one)(params)


def plan_run(
    design: Design, potential: Callable, temperature: float, draws: Array, steps, dt
) -> tuple[int, float]:
    """Number of steps and their size, from draws of the law: see `validate`."""
    params = batch_of(design.lift, draws)
    leaves = [np.asarray(x).reshape(len(draws), -1) for x in jax.tree.leaves(params)]
    theta = np.concatenate(leaves, axis=1)
    theta = theta[np.all(np.isfinite(theta), axis=1)]
    spread = float(np.linalg.eigvalsh(np.atleast_2d(np.cov(theta.T)))[-1])
    if dt is None:
        curvature = np.asarray(_curvatures(Loss(potential, design.phi), params))
        fastest = float(np.quantile(curvature[np.isfinite(curvature)], 0.97))
        dt = 1.0 / (40.0 * max(fastest, temperature / spread))
    if steps is None:
        steps = max(16, math.ceil(16.0 * spread / temperature / dt))
        if steps > _MOST_STEPS:
            raise ValueError(
                f"`steps` would be {steps}: the penalty makes w move "
                f"{spread / temperature / dt:.0f} times faster in some places than it relaxes in "
                "others. Raise the temperature or "
                f"lower the weight of the penalty, or give `steps` and `dt` (now {dt:.2g})."
            )
    return int(steps), float(dt)
