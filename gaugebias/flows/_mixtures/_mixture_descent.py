"""Gradient and natural gradient descent of the likelihood of a mixture, in any chart."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from ._mixture import GaussianMixture, check_data
from ._natural import check_regular, fisher_metric, natural_direction


@final
class MixtureDescent(eqx.Module):
    """What [`gaugebias.flows.mixture_descent`][] did, from step 0 on.

    - `coordinates`: shape `(steps + 1, P)`.
    - `log_likelihood`: of the data, a sum, shape `(steps + 1,)`.
    - `diverged`: the first step at which something is not finite, or -1. A natural step from a
      point that is singular to rounding counts.
    """

    coordinates: Array
    log_likelihood: Array
    diverged: Array


@eqx.filter_jit
def _descend(model, data, start, rate, steps, metric):
    value = jax.value_and_grad(lambda xi: -jnp.mean(model(xi).log_density(data)))

    def step(xi, _):
        loss, slope = value(xi)
        if metric is not None:
            slope = natural_direction(metric(model, xi), slope)
        return xi - rate * slope, (xi, loss)

    _, (path, losses) = jax.lax.scan(step, start, length=steps + 1)
    bad = ~jnp.isfinite(losses) | ~jnp.all(jnp.isfinite(path), axis=1)
    diverged = jnp.where(jnp.any(bad), jnp.argmax(bad), -1)
    return MixtureDescent(path, -data.shape[0] * losses, diverged)


def mixture_descent(
    model: Callable[[Array], GaussianMixture],
    data: ArrayLike,
    start: ArrayLike,
    *,
    learning_rate: ArrayLike,
    steps: int,
    natural: bool = False,
    key: Array | None = None,
    draws: int = 4096,
) -> MixtureDescent:
    r"""\(\xi \leftarrow \xi - \gamma \nabla \ell(\xi)\), the mean negative log-likelihood.

    With `natural` the step is \(\gamma I(\xi)^{-1} \nabla \ell\), with the Fisher matrix of the
    model: the same path in every chart up to \(O(\gamma)\). The matrix is exact on the line
    (quadrature), and above it, or with a `key`, an average over `draws` points of each component.

    **Arguments:** `model`, of coordinates, as [`gaugebias.flows.MixtureModel`][]; `data`, finite,
    `(N,)` or `(N, d)`; `start`, coordinates `(P,)`; `learning_rate`, \(\gamma > 0\); `key`, needed
    for `natural` with `d > 1`.

    **Returns:** a [`gaugebias.flows.MixtureDescent`][]; a descent that left the finite numbers
    says so in `diverged`.

    **Raises:** `ValueError` for data that are not finite, arguments out of range, `natural` without
    a key above one dimension, or from a singular point.

    Source: re-derived; protocol ours, about 2206.08598.
    """
    points, xi, rate = check_data(data), as_float(start), as_float(learning_rate)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"`steps` must be a whole number of at least 1, but is {steps!r}.")
    if rate.ndim or (not isinstance(rate, Tracer) and not (float(rate) > 0)):
        raise ValueError(f"`learning_rate` must be a positive number, but is {learning_rate!r}.")
    if xi.ndim != 1:
        raise ValueError(f"`start` must be a vector of coordinates, but has shape {xi.shape}.")
    metric = None
    if natural:
        metric = fisher_metric(0 if points.ndim == 1 else points.shape[1], xi.size, key, draws)
        check_regular(model, xi, metric)
    return _descend(model, points, xi, rate, steps, metric)
