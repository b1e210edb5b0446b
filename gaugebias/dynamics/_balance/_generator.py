"""The generator of a process: expected rates of change, and those of conserved quantities."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from ...quotient import MomentMapGauge, require_moment_map
from ...symmetry import AbstractAction
from .._processes._sde import AbstractSampledSDE, AbstractSDE


def expected_rate(sde: AbstractSDE, fn: Callable, params: PyTree) -> PyTree:
    """`d E[fn(theta)] / dt` at `params`: the process's generator applied to `fn`.

    `Df . drift + 1/2 sum_j D^2 f [sigma_j, sigma_j]` for Ito equations, with the derivative taken
    along `sigma_j` as well for Stratonovich ones.

    **Arguments:**

    - `sde`: the process.
    - `fn`: `params -> pytree of arrays`, twice differentiable.
    - `params`: one point.

    **Returns:** a pytree as `fn` returns, per unit time.
    """
    point, still = eqx.partition(params, eqx.is_inexact_array)
    if isinstance(sde, AbstractSampledSDE):
        return _sampled_rate(sde, fn, point, still)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(params))
    flat, unravel = ravel_pytree(zeros)

    def evaluate(x):
        return fn(eqx.combine(x, still))

    def along(x, direction):
        return jax.jvp(evaluate, (x,), (direction,))[1]

    def second(basis):
        noise = unravel(basis)
        sigma = sde.diffusion(params, noise)
        if sde.calculus == "ito":
            return jax.jvp(lambda x: along(x, sigma), (point,), (sigma,))[1]

        def moved(x):
            return along(x, sde.diffusion(eqx.combine(x, still), noise))

        return jax.jvp(moved, (point,), (sigma,))[1]

    first = along(point, sde.drift(params))
    seconds = jax.vmap(second)(jnp.eye(flat.size, dtype=flat.dtype))
    return jax.tree.map(lambda a, b: a + 0.5 * jnp.sum(b, axis=0), first, seconds)


def _sampled_rate(sde: AbstractSampledSDE, fn: Callable, point: PyTree, still: PyTree) -> PyTree:
    """The Ito generator with the noise summed in bounded memory, not over a basis of it."""
    params = eqx.combine(point, still)

    def along(x, direction):
        return jax.jvp(lambda p: fn(eqx.combine(p, still)), (x,), (direction,))[1]

    def second(sigma):
        return jax.jvp(lambda x: along(x, sigma), (point,), (sigma,))[1]

    first = along(point, sde.drift(params))
    return jax.tree.map(lambda a, b: a + 0.5 * b, first, sde.sum_over_noise(params, second))


def imbalance_rate(sde: AbstractSDE, action: AbstractAction, params: PyTree) -> PyTree:
    """Predicted drift of every conserved quantity, `d E[chi_a] / dt` at `params`.

    `chi_a = 1/2 theta^T A_a theta` is the moment map of a linear action, conserved by gradient
    flow. Under horizontal Ito noise of temperature `T` the rate is `T tr(P A_a)`, without a
    martingale part, less `2 lambda chi_a` for weight decay `(lambda/2)|theta|^2`; under
    Stratonovich horizontal noise only the decay is left. Under minibatch noise it is
    `(eta/2B) tr(Sigma A_a)`: see [`gaugebias.dynamics.noise_equilibrium`][] for where that leads.
    This is the answer where no law applies.

    **Returns:** a coefficient pytree of the action's algebra, per unit time (antisymmetric
    directions are 0).

    **Raises:** `ValueError` for concrete `params` where the action has no moment map (fields that
    are not linear, as of a translation, or an algebra that is not closed under transpose).
    """
    leaves = jax.tree.leaves((eqx.filter(params, eqx.is_array), action))
    if not any(isinstance(x, Tracer) for x in leaves):
        require_moment_map(action, params)
    gauge = MomentMapGauge()
    return expected_rate(sde, lambda p: gauge.chi(action, p), params)
