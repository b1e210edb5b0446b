"""Gradient flow and natural gradient flow of a network in any chart."""

from typing import final

import diffrax
import equinox as eqx
from jaxtyping import Array, ArrayLike

from .._trajectories._flow import FlowPath, _run
from ._natural import chart_field
from ._network import NetworkLoss, NetworkModel


@final
class _GaussNewton(eqx.Module):
    inputs: Array
    masses: Array

    def __call__(self, model: NetworkModel, xi: Array) -> Array:
        return model.information(xi, self.inputs, self.masses)


def network_flow(
    model: NetworkModel,
    loss: NetworkLoss,
    start: ArrayLike,
    times: ArrayLike,
    *,
    natural: bool = False,
    tolerance: ArrayLike = 1e-9,
    solver: diffrax.AbstractSolver | None = None,
    max_steps: int = 200_000,
) -> FlowPath:
    r"""Gradient flow of a network's squared loss in its coordinates, or the natural one.

    With `natural` \(\dot\xi = -I(\xi)^{-1}\nabla_\xi L\), `I` the Gauss-Newton matrix of the inputs
    of the loss, which is the Fisher matrix: the same path of networks in every chart.

    **Arguments:** `start`, coordinates `(P,)`; the rest as in [`gaugebias.flows.gradient_flow`][].
    Near a collision the mean neuron is fast and the difference slow: give a stiff `solver`,
    `diffrax.Kvaerno5()`.

    **Returns:** a [`gaugebias.flows.FlowPath`][]: `params` the coordinates, `x` the networks.

    **Raises:** `ValueError` where the integration does not arrive; for a natural flow from a
    singular point, or on reaching one.

    Source: re-derived; protocol ours, about 2206.08598.
    """
    metric = _GaussNewton(loss.inputs, loss.masses) if natural else None
    field = chart_field(model, start, metric)
    return _run(field, model, loss, start, times, 0.0, tolerance, solver, max_steps)
