"""Fisher information of mixtures."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from ._mixture import GaussianMixture, line_rule


@final
class FisherInformation(eqx.Module):
    """A Fisher matrix, of one observation.

    - `matrix`: shape `(P, P)`, in the coordinates of the model.
    - `error`: of each entry: the change on leaving out every second node (quadrature), or the
      standard error (Monte Carlo).
    - `draws`: 0 for quadrature.
    """

    matrix: Array
    error: Array
    draws: int = eqx.field(static=True)


def fisher_information(
    model: Callable[[Array], GaussianMixture],
    coordinates: ArrayLike,
    *,
    key: Array | None = None,
    draws: int = 100_000,
) -> FisherInformation:
    r"""\(I = E_p[s s^T]\), \(s = \partial_\xi \log p(x; \xi)\), at the coordinates.

    By quadrature on the line (1025 nodes, to rounding where components do not differ in scale by
    more than some ten; the error says where they do), by Monte Carlo from `draws` points with
    standard errors above, or wherever a `key` is given.

    **Arguments:** `model`, a function of a vector of coordinates to a mixture, as
    [`gaugebias.flows.MixtureModel`][]; `coordinates`, shape `(P,)`; `key`, needed for `d > 1`.

    For two components of unit variance and known weight `w` in the centred chart it is
    \(\mathrm{diag}(1, 2 w^2 (1-w)^2 \delta^2)\) to leading order in the difference \(\delta\):
    a singular model at \(\delta = 0\).

    Source: re-derived (Hermite expansion); about 2206.08598.
    """
    xi = as_float(coordinates)
    if xi.ndim != 1:
        raise ValueError(f"`coordinates` must be a vector, but has shape {xi.shape}.")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 2:
        raise ValueError(f"`draws` must be a whole number of at least 2, but is {draws!r}.")
    if key is None:
        mixture = eqx.filter_eval_shape(model, xi)
        if len(mixture.means.shape) > 1:
            raise ValueError("`key` is needed above one dimension: give `jax.random.key(0)`.")
        return FisherInformation(*_by_quadrature(model, xi), 0)
    return FisherInformation(*_by_draws(model, xi, key, draws), draws)


def scores(model: Callable, xi: Array, x: Array) -> Array:
    """Derivatives of `log p(x)` in the coordinates, shape `(N, P)`."""
    return jax.jacfwd(lambda v: model(v).log_density(x))(xi)


def quadrature_fisher(model: Callable, xi: Array) -> tuple[Array, Array]:
    """The matrix on the line and its change with every second node."""
    mixture = model(xi)
    nodes, weights = line_rule(mixture)
    s = scores(model, xi, nodes)
    mass = weights * jnp.exp(mixture.log_density(nodes))
    full = s.T @ (mass[:, None] * s)
    half = s[::2].T @ (2.0 * mass[::2, None] * s[::2])
    return full, jnp.abs(full - half)


@eqx.filter_jit
def _by_quadrature(model, xi):
    return quadrature_fisher(model, xi)


@eqx.filter_jit
def _by_draws(model, xi, key, draws):
    s = scores(model, xi, model(xi).sample(key, draws))
    mean = s.T @ s / draws
    square = (s**2).T @ s**2 / draws
    return mean, jnp.sqrt(jnp.maximum(square - mean**2, 0.0) / (draws - 1))
