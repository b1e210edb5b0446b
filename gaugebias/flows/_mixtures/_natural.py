"""Natural gradients of mixtures: the Fisher matrix in the coordinates, and its inverse."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from ..._arguments import as_key
from .._potentials._potential import as_float
from ._fisher import quadrature_fisher, scores
from ._mixture import GaussianMixture


@final
class FisherMetric(eqx.Module):
    """The Fisher matrix of a model as a smooth function of its coordinates.

    - `normals`: shape `(n, d)`, used for every component and with both signs, at every point: the
      matrix is then as smooth as the model, and so are the paths that follow it. None for
      quadrature, on the line.
    """

    normals: Array | None

    def __call__(self, model: Callable[[Array], GaussianMixture], xi: Array) -> Array:
        if self.normals is None:
            return quadrature_fisher(model, xi)[0]
        mixture = jax.lax.stop_gradient(model(xi))
        k, d = mixture.components, mixture.dimension
        roots = jnp.linalg.cholesky(mixture.covariances.reshape(k, d, d))
        z = jnp.concatenate([self.normals, -self.normals])
        # E_p = sum_k w_k E_k: no component is ever short of draws.
        x = mixture.means.reshape(k, 1, d) + jnp.einsum("kij,nj->kni", roots, z)
        s = scores(model, xi, x.reshape((-1,) + mixture.means.shape[1:]))
        mass = jnp.repeat(mixture.weights / len(z), len(z))
        return s.T @ (mass[:, None] * s)


def fisher_metric(
    data_dimension: int, coordinates: int, key: Array | None, draws: int
) -> FisherMetric:
    """The metric for data of `data_dimension` (0: on the line), checked."""
    if isinstance(draws, bool) or not isinstance(draws, int) or draws <= coordinates:
        raise ValueError(
            f"`draws` must be a whole number above {coordinates}, the number of coordinates, but "
            f"is {draws!r}."
        )
    if key is None:
        if data_dimension:
            raise ValueError(
                "`key` is needed for `natural` above one dimension, where the Fisher matrix is "
                "known by Monte Carlo: give `jax.random.key(0)`."
            )
        return FisherMetric(None)
    return FisherMetric(jr.normal(as_key(key), ((draws + 1) // 2, max(data_dimension, 1))))


def natural_direction(matrix: Array, slope: Array) -> Array:
    """`I^-1 g`; NaN where it would be noise.

    At a difference `delta` of two components `I` is of order `delta^2`, and a gradient known to
    `eps` gives a velocity wrong by `eps/delta^2`, more than `delta` itself where `I` is below
    `eps^(2/3)` of its largest eigenvalue.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    good = values[0] > jnp.finfo(values.dtype).eps ** (2.0 / 3.0) * values[-1]
    return jnp.where(good, vectors @ ((vectors.T @ slope) / jnp.where(good, values, 1.0)), jnp.nan)


@final
class ChartField(eqx.Module):
    """The gradient of `loss(fn(xi))` in the coordinates, or with a metric the natural one."""

    metric: Callable | None

    def __call__(self, fn: Callable, loss: Callable) -> Callable:
        slope = jax.grad(lambda xi: loss(fn(xi)))
        if self.metric is None:
            return slope
        metric = self.metric
        return lambda xi: natural_direction(metric(fn, xi), slope(xi))


@eqx.filter_jit
def _still(metric, model, xi):
    return natural_direction(metric(model, xi), jnp.zeros_like(xi))


def check_regular(model: Callable, xi: Array, metric: Callable) -> None:
    """`ValueError` where the Fisher matrix is singular to rounding, where values are concrete."""
    direction = _still(metric, model, xi)
    if not isinstance(direction, Tracer) and not bool(jnp.all(jnp.isfinite(direction))):
        raise ValueError(
            "`start` is a singular point of the model to rounding, where no natural gradient "
            "exists: start with the components (or neurons) apart, or take fewer. `singularity` "
            "names those of a mixture that collide."
        )


def chart_field(model: Callable, start: ArrayLike, metric: Callable | None) -> ChartField:
    """The field of a flow from `start`, which is checked."""
    xi = as_float(start)
    if xi.ndim != 1:
        raise ValueError(f"`start` must be a vector of coordinates, but has shape {xi.shape}.")
    if metric is not None:
        check_regular(model, xi, metric)
    return ChartField(metric)
