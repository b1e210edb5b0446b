"""Fisher information of mixtures, and natural gradient flow."""

from collections.abc import Callable
from typing import Any, final

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from .._trajectories._flow import FlowPath, _run
from ._mixture import GaussianMixture, PopulationDivergence, line_rule


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
    some hundreds), by Monte Carlo from `draws` points with standard errors above, or wherever a
    `key` is given.

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


def _scores(model: Callable, xi: Array, x: Array) -> Array:
    return jax.jacfwd(lambda v: model(v).log_density(x))(xi)


def quadrature_fisher(model: Callable, xi: Array) -> tuple[Array, Array]:
    """The matrix on the line and its change with every second node."""
    mixture = model(xi)
    nodes, weights = line_rule(mixture)
    s = _scores(model, xi, nodes)
    mass = weights * jnp.exp(mixture.log_density(nodes))
    full = s.T @ (mass[:, None] * s)
    half = s[::2].T @ (2.0 * mass[::2, None] * s[::2])
    return full, jnp.abs(full - half)


@eqx.filter_jit
def _by_quadrature(model, xi):
    return quadrature_fisher(model, xi)


@eqx.filter_jit
def _by_draws(model, xi, key, draws):
    s = _scores(model, xi, model(xi).sample(key, draws))
    mean = s.T @ s / draws
    square = (s**2).T @ s**2 / draws
    return mean, jnp.sqrt(jnp.maximum(square - mean**2, 0.0) / (draws - 1))


def natural_direction(matrix: Array, slope: Array) -> Array:
    """`I^-1 g`; NaN where it would be noise.

    At a difference `delta` of two components `I` is of order `delta^2`, and a gradient known to
    `eps` gives a velocity wrong by `eps/delta^2`, more than `delta` itself where `I` is below
    `eps^(2/3)` of its largest eigenvalue.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    good = values[0] > jnp.finfo(values.dtype).eps ** (2.0 / 3.0) * values[-1]
    return jnp.where(good, vectors @ ((vectors.T @ slope) / jnp.where(good, values, 1.0)), jnp.nan)


def check_regular(model: Callable, xi: Array) -> None:
    """`ValueError` where the Fisher matrix is singular to rounding, where values are concrete."""
    direction = natural_direction(_by_quadrature(model, xi)[0], jnp.zeros_like(xi))
    if not isinstance(direction, Tracer) and not bool(jnp.all(jnp.isfinite(direction))):
        raise ValueError(
            "`start` is a singular point of the model to rounding, where no natural gradient "
            "exists: start with the components apart (`singularity` names those that collide), or "
            "take fewer."
        )


def _fisher_field(fn: Any, loss: Callable) -> Callable:
    slope = jax.grad(lambda xi: loss(fn(xi)))
    return lambda xi: natural_direction(quadrature_fisher(fn, xi)[0], slope(xi))


def population_flow(
    model: Callable[[Array], GaussianMixture],
    truth: GaussianMixture,
    start: ArrayLike,
    times: ArrayLike,
    *,
    natural: bool = False,
    tolerance: ArrayLike = 1e-9,
    solver: diffrax.AbstractSolver | None = None,
    max_steps: int = 200_000,
) -> FlowPath:
    r"""Gradient flow of \(\mathrm{KL}(p_* \| p_\xi)\) in the coordinates, on the line.

    \(\dot\xi = -\nabla_\xi \mathrm{KL}\), or with `natural`
    \(\dot\xi = -I(\xi)^{-1} \nabla_\xi \mathrm{KL}\), whose path of distributions is the same in
    every chart. Divergence and Fisher matrix are exact (quadrature), time by diffrax.

    **Arguments:** `model`, as [`gaugebias.flows.MixtureModel`][]; `truth`, \(p_*\); `start`,
    coordinates `(P,)`; `times` and the rest as in [`gaugebias.flows.gradient_flow`][].

    **Returns:** a [`gaugebias.flows.FlowPath`][]: `params` the coordinates, `x` the mixtures,
    `loss` the divergence.

    **Raises:** `ValueError` for mixtures above one dimension; where the integration does not
    arrive; for a natural flow from a singular point, or on reaching one: a condition
    number above `eps^(-2/3)`, 3e10 in float64, beyond which rounding moves it more than the
    gradient does (two components 2e-5 standard deviations apart).
    """
    loss = PopulationDivergence(truth)
    if natural:
        check_regular(model, as_float(start))
    make = _fisher_field if natural else _chart_field
    return _run(make, model, loss, start, times, 0.0, tolerance, solver, max_steps)


def _chart_field(fn: Callable, loss: Callable) -> Callable:
    return jax.grad(lambda xi: loss(fn(xi)))
