"""Gaussian mixtures as functions of a vector of coordinates."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from ._chart import AbstractChart
from ._mixture import GaussianMixture
from ._simplex_chart import SimplexChart

_KINDS = ("fixed", "shared", "free")


@final
class MixtureModel(eqx.Module):
    r"""A mixture whose means, weights and covariances are charted by one vector of coordinates.

    A function of the coordinates, as flows and descents take it: first those of the means, then
    the weights, then the covariances (logarithms of the diagonal and the lower entries of the
    Cholesky factors).

    **Arguments:**

    - `like`: a mixture with the shapes, and with the values of what is fixed.
    - `means`: the chart of the means.
    - `weights`: a [`gaugebias.flows.SimplexChart`][], or None to keep those of `like`.
    - `covariance`: "fixed" (as in `like`), "shared", or "free" (one a component).

    !!! example

        ```python
        like = gb.flows.GaussianMixture(jnp.array([0.3, 0.7]), jnp.array([0.0, 0.5]))
        model = gb.flows.MixtureModel(like, gb.flows.CentredChart(like.weights))
        fisher = gb.flows.fisher_information(model, model.inverse(like))
        ```
    """

    like: GaussianMixture
    means: AbstractChart
    weights: SimplexChart | None = None
    covariance: str = eqx.field(static=True, default="fixed")

    def __check_init__(self):
        if self.covariance not in _KINDS:
            raise ValueError(f'`covariance` must be "fixed", "shared" or "free", not '
                             f"{self.covariance!r}.")  # fmt: skip
        matrix = 2 * (self.like.means.ndim - 1)
        if self.covariance == "shared" and self.like.covariance.ndim > matrix:
            raise ValueError(
                '`like` has one covariance a component: share it, or `covariance="free"`.'
            )
        self.means.rows(self.like.components)
        if self.weights is not None:
            if self.like.components < 2:
                raise ValueError("`weights` of one component are not free: leave them out.")
            self.weights.rows(self.like.components)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of coordinates of the means, weights and covariances."""
        k, d = self.like.components, self.like.dimension
        matrices = {"fixed": 0, "shared": 1, "free": k}[self.covariance]
        free = 0 if self.weights is None else self.weights.rows(k)
        return self.means.rows(k) * d, free, matrices * (d * (d + 1) // 2)

    @property
    def size(self) -> int:
        """The number of coordinates, `P`."""
        return sum(self.sizes)

    def __call__(self, coordinates: ArrayLike) -> GaussianMixture:
        """The mixture at the coordinates, of shape `(P,)`."""
        xi = as_float(coordinates)
        if xi.shape != (self.size,):
            raise ValueError(f"`coordinates` must have shape {(self.size,)}, but has {xi.shape}.")
        a, b, _ = self.sizes
        first, second, third = xi[:a], xi[a : a + b], xi[a + b :]
        means = self.means(first.reshape((-1,) + self.like.means.shape[1:]))
        weights = self.like.weights if self.weights is None else self.weights(second)
        return GaussianMixture(weights, means, self._matrices(third))

    def inverse(self, mixture: GaussianMixture) -> Array:
        """The coordinates of a mixture, shape `(P,)`; what is fixed is not compared.

        **Raises:** `ValueError` for one outside the image of a chart.
        """
        parts = [self.means.inverse(mixture.means).ravel()]
        if self.weights is not None:
            parts.append(self.weights.inverse(mixture.weights))
        if self.covariance != "fixed":
            free = self.covariance == "free"
            cov = mixture.covariances if free else mixture.covariance
            parts.append(self._logs(cov).ravel())
        return jnp.concatenate(parts)

    def _matrices(self, entries: Array) -> Array:
        if self.covariance == "fixed":
            return self.like.covariance
        d = self.like.dimension
        head = (self.like.components,) if self.covariance == "free" else ()
        if self.like.means.ndim == 1:
            return jnp.exp(2.0 * entries.reshape(head))
        rows, columns = np.tril_indices(d)
        lower = jnp.zeros((*head, d, d), entries.dtype)
        lower = lower.at[..., rows, columns].set(entries.reshape((*head, -1)))
        i = np.arange(d)
        lower = lower.at[..., i, i].set(jnp.exp(lower[..., i, i]))
        return lower @ jnp.swapaxes(lower, -1, -2)

    def _logs(self, covariance: Array) -> Array:
        if self.like.means.ndim == 1:
            return 0.5 * jnp.log(covariance)
        lower = jnp.linalg.cholesky(covariance)
        i = np.arange(self.like.dimension)
        lower = lower.at[..., i, i].set(jnp.log(lower[..., i, i]))
        rows, columns = np.tril_indices(self.like.dimension)
        return lower[..., rows, columns]
