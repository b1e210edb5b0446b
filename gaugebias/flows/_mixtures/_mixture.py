"""Gaussian mixtures: densities and draws."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jax.scipy.special import logsumexp
from jaxtyping import Array, ArrayLike

from ..._arguments import as_key
from .._potentials._potential import as_float
from ._simplex_chart import on_simplex

_NODES, _REACH = 1025, 11.0  # of the trapezoidal rule: points, and standard deviations on each side
_RESOLVED = 1.3  # of its steps: the least standard deviation let through
_LOG_2PI = 1.8378770664093453


@final
class GaussianMixture(eqx.Module):
    r"""\(p(x) = \sum_k w_k N(x; \mu_k, \Sigma_k)\), a density against Lebesgue measure.

    **Arguments:**

    - `weights`: shape `(K,)`, non-negative with sum 1.
    - `means`: shape `(K,)` on the line, `(K, d)` above.
    - `covariance`: shared or of each component: a variance, `()` or `(K,)`, on the line; a matrix,
      `(d, d)` or `(K, d, d)`, above. Default: 1, or the identity.

    **Raises:** `ValueError` for shapes that do not fit, weights off the simplex, covariances that
    are not positive definite, values that are not finite.

    !!! example

        ```python
        mixture = gb.flows.GaussianMixture(jnp.array([0.3, 0.7]), jnp.array([0.0, 0.5]))
        mixture.log_density(jnp.array([0.2, 1.0]))
        ```
    """

    weights: Array
    means: Array
    covariance: Array

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariance: ArrayLike | None = None):
        self.weights, self.means = as_float(weights), as_float(means)
        if covariance is None:
            d = None if self.means.ndim < 2 else self.means.shape[1]
            covariance = (
                jnp.ones((), self.means.dtype) if d is None else jnp.eye(d, dtype=self.means.dtype)
            )
        self.covariance = as_float(covariance)

    def __check_init__(self):
        mu, cov = self.means, self.covariance
        if mu.ndim not in (1, 2) or mu.shape[0] < 1:
            raise ValueError(f"`means` must have shape (K,) or (K, d), but has {mu.shape}.")
        if self.weights.shape != mu.shape[:1]:
            raise ValueError(
                f"`weights` must have shape {mu.shape[:1]}, one for each of `means`, but has "
                f"{self.weights.shape}."
            )
        tail = mu.shape[1:] * 2
        if cov.shape not in (tail, mu.shape[:1] + tail):
            raise ValueError(
                f"`covariance` must have shape {tail} (shared) or {mu.shape[:1] + tail}, but has "
                f"{cov.shape}."
            )
        on_simplex(self.weights, "weights")
        if isinstance(mu, Tracer) or isinstance(cov, Tracer):
            return
        if not np.isfinite(np.asarray(mu)).all():
            raise ValueError("`means` must be finite.")
        values = np.asarray(cov)
        if mu.ndim > 1:
            skew = np.abs(values - np.swapaxes(values, -1, -2)).max()
            if skew > np.sqrt(np.finfo(values.dtype).eps) * np.abs(values).max():
                raise ValueError(
                    "`covariance` must be symmetric, but differs from its transpose by "
                    f"{skew:.3g}: only one half of it would be used."
                )
        least = _least_variance(values, mu.ndim == 1)
        if not least > 0:
            raise ValueError(
                f"`covariance` must be positive definite, but its least eigenvalue is "
                f"{least:.3g}: a component on a point or a plane has no density."
            )

    @property
    def components(self) -> int:
        """`K`."""
        return self.means.shape[0]

    @property
    def dimension(self) -> int:
        """`d`."""
        return 1 if self.means.ndim == 1 else self.means.shape[1]

    @property
    def covariances(self) -> Array:
        """Those of all components, `(K,)` on the line, `(K, d, d)` above."""
        shape = self.means.shape + self.means.shape[1:]
        return jnp.broadcast_to(self.covariance, shape)

    def component_log_densities(self, x: ArrayLike) -> Array:
        """`log N(x; mu_k, Sigma_k)`, shape `(N, K)`, of points `(N,)` or `(N, d)`."""
        x = as_float(x)
        if x.ndim != self.means.ndim or x.shape[1:] != self.means.shape[1:]:
            line = self.means.ndim == 1
            want = "(N,)" if line else f"(N, {self.dimension})"
            raise ValueError(f"`x` must have shape {want}, but has {x.shape}.")
        gap = x[:, None] - self.means[None]
        if self.means.ndim == 1:
            var = self.covariances[None, :]
            return -0.5 * (gap**2 / var + jnp.log(var) + _LOG_2PI)
        root = jnp.linalg.cholesky(self.covariances)

        def one(lower, y):
            z = jax.scipy.linalg.solve_triangular(lower, y.T, lower=True)
            log_det = jnp.sum(jnp.log(jnp.diagonal(lower)))
            return -0.5 * (jnp.sum(z**2, axis=0) + y.shape[1] * _LOG_2PI) - log_det

        return jax.vmap(one, in_axes=(0, 1), out_axes=1)(root, gap)

    def log_density(self, x: ArrayLike) -> Array:
        """`log p`, shape `(N,)`, of points `(N,)` or `(N, d)`."""
        terms = self.component_log_densities(x)
        return logsumexp(terms, axis=1, b=self.weights[None, :])

    def log_likelihood(self, x: ArrayLike) -> Array:
        """The sum of `log p` over the data, a scalar; `ValueError` for data that are not finite."""
        return jnp.sum(self.log_density(check_data(x)))

    def sample(self, key: Array, draws: int) -> Array:
        """`draws` independent points, shape `(draws,)` or `(draws, d)`."""
        first, second = jr.split(as_key(key))
        which = jr.choice(first, self.components, (draws,), p=self.weights)
        z = jr.normal(second, (draws,) + self.means.shape[1:], self.means.dtype)
        if self.means.ndim == 1:
            return self.means[which] + jnp.sqrt(self.covariances)[which] * z
        root = jnp.linalg.cholesky(self.covariances)[which]
        return self.means[which] + jnp.einsum("nij,nj->ni", root, z)


def check_data(x: ArrayLike) -> Array:
    """Data as floating numbers; `ValueError` where a value is not finite."""
    x = as_float(x)
    if not isinstance(x, Tracer):
        bad = int(np.sum(~np.isfinite(np.asarray(x))))  # not jax: something else may be traced
        if bad:
            raise ValueError(f"`data` has {bad} values that are not finite: drop or impute them.")
    return x


def _least_variance(covariance: np.ndarray, line: bool) -> float:
    """The least eigenvalue of the covariances, NaN where an entry is not finite."""
    if not np.isfinite(covariance).all():
        return float("nan")
    return float((covariance if line else np.linalg.eigvalsh(covariance)).min())


def line_rule(mixture: GaussianMixture) -> tuple[Array, Array]:
    """Nodes and weights of a trapezoidal rule for integrals against a mixture on the line.

    Exponentially accurate for analytic integrands that decay, as `p` times polynomials or scores.
    Its 1025 points cover 11 standard deviations beyond the outer means. To rounding
    where scales differ by at most ten, to 1e-6 for a component whose standard deviation is an
    eight hundredth of that range; `ValueError` for narrower ones, where values are concrete.
    """
    if mixture.means.ndim != 1:
        raise ValueError("`mixture` must be on the line: quadrature is for d = 1 only.")
    sd = jnp.sqrt(mixture.covariances)
    low = jnp.min(mixture.means - _REACH * sd)
    high = jnp.max(mixture.means + _REACH * sd)
    low, high = jax.lax.stop_gradient((low, high))
    nodes = low + (high - low) * jnp.linspace(0.0, 1.0, _NODES, dtype=low.dtype)
    step = (high - low) / (_NODES - 1)
    narrow = jnp.min(sd)
    # log p has its singular points about sd off the line: the error is exp(-2 pi sd/step) of it.
    if not isinstance(step, Tracer) and not isinstance(narrow, Tracer):
        if float(narrow) < _RESOLVED * float(step):
            raise ValueError(
                f"`mixture` has a component of standard deviation {float(narrow):.3g}, too narrow "
                f"for quadrature over its range of {float(high - low):.3g}: give a `key` for Monte "
                "Carlo, or compare on another scale."
            )
    return nodes, jnp.full(_NODES, 1.0, low.dtype) * step
