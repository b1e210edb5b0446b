"""Gradient flow and natural gradient flow of mixtures in any chart."""

from collections.abc import Callable

import diffrax
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from .._trajectories._flow import FlowPath, _run
from ._divergence import NegativeLogLikelihood, PopulationDivergence
from ._mixture import GaussianMixture
from ._natural import FisherMetric, chart_field, fisher_metric


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

    **Raises:** `ValueError` for mixtures above one dimension (use
    [`gaugebias.flows.mixture_flow`][] with draws of `truth`); where the integration does not
    arrive; for a natural flow from a singular point, or on reaching one: a condition
    number above `eps^(-2/3)`, 3e10 in float64, beyond which rounding moves it more than the
    gradient does (two components 2e-5 standard deviations apart).
    """
    loss = PopulationDivergence(truth)
    metric = FisherMetric(None) if natural else None
    return _flow(model, loss, start, times, metric, tolerance, solver, max_steps)


def mixture_flow(
    model: Callable[[Array], GaussianMixture],
    data: ArrayLike,
    start: ArrayLike,
    times: ArrayLike,
    *,
    natural: bool = False,
    key: Array | None = None,
    draws: int = 4096,
    tolerance: ArrayLike = 1e-9,
    solver: diffrax.AbstractSolver | None = None,
    max_steps: int = 200_000,
) -> FlowPath:
    r"""Gradient flow of the mean negative log-likelihood of data, in any chart and dimension.

    The limit of [`gaugebias.flows.mixture_descent`][] for small learning rates, with times
    `learning_rate * step`. The Fisher matrix of a `natural` flow is exact on the line (quadrature),
    and above it, or with a `key`, an average over `draws` points of each component that are fixed
    in its own units: a smooth metric, which differs between charts by nothing but its pull-back.

    **Arguments:** `model`, as [`gaugebias.flows.MixtureModel`][]; `data`, finite, `(N,)` or
    `(N, d)`; `start`, coordinates `(P,)`; `key`, needed for `natural` with `d > 1`; the rest as in
    [`gaugebias.flows.gradient_flow`][].

    **Returns:** a [`gaugebias.flows.FlowPath`][]: `params` the coordinates, `x` the mixtures.

    **Raises:** `ValueError` as [`gaugebias.flows.population_flow`][].
    """
    loss, xi = NegativeLogLikelihood(data), as_float(start)
    metric = None
    if natural:
        d = 0 if loss.data.ndim == 1 else loss.data.shape[1]
        metric = fisher_metric(d, xi.size, key, draws)
    return _flow(model, loss, xi, times, metric, tolerance, solver, max_steps)


def _flow(model, loss, start, times, metric, tolerance, solver, max_steps) -> FlowPath:
    field = chart_field(model, start, metric)
    return _run(field, model, loss, start, times, 0.0, tolerance, solver, max_steps)
