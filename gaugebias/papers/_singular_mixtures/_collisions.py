"""The reduced laws, next to exact flows."""

import dataclasses

import diffrax
import jax.numpy as jnp
import numpy as np

from ... import flows
from ._settings import Settings

CHARTS = ("centred", "relative", "absolute")


@dataclasses.dataclass(frozen=True)
class Curve:
    """One flow: the difference along the way, of the law, and the times to half of the target.

    - `what`: "mixture" or "network"; `chart`; `natural`; `start`.
    - `times`, `difference`, `law`: shape `(T,)`. `half`, `law_half`: NaN where the target is 0.
    """

    what: str
    chart: str
    natural: bool
    start: float
    times: np.ndarray
    difference: np.ndarray
    law: np.ndarray
    half: float
    law_half: float


def _curve(what, chart, natural, law, times, difference) -> Curve:
    goal = float(law.target)
    slowing = 1.0 if natural else float(law.slowing(chart))
    flow = law.natural_flow if natural else law.gradient_flow
    half = law_half = float("nan")
    if goal > 0:
        half = float(np.interp(0.5 * goal, difference, times))
        law_half = float(law.natural_time() if natural else law.plateau_time()) * slowing
    predicted = np.asarray(flow(jnp.asarray(times) / slowing))
    start = float(law.start)
    return Curve(what, chart, natural, start, times, difference, predicted, half, law_half)


def _chart(name: str, weights: jnp.ndarray) -> flows.AbstractChart:
    return {
        "centred": flows.CentredChart(weights),
        "relative": flows.RelativeChart(),
        "absolute": flows.AbsoluteChart(),
    }[name]


def _mixture(settings: Settings, law, chart: str, natural: bool, until: float) -> Curve:
    w = settings.weight
    weights = jnp.array([1.0 - w, w])

    def at(delta):
        return flows.GaussianMixture(weights, jnp.stack([-w * delta, (1.0 - w) * delta]))

    model = flows.MixtureModel(at(1.0), _chart(chart, weights))
    times = jnp.linspace(0.0, until, 201)
    path = flows.population_flow(
        model, at(law.target), model.inverse(at(law.start)), times, natural=natural, tolerance=1e-8
    )
    difference = path.x.means[:, 1] - path.x.means[:, 0]
    return _curve("mixture", chart, natural, law, np.asarray(times), np.asarray(difference))


def mixture_curves(settings: Settings) -> tuple[Curve, ...]:
    """Population flows of two components: every start, the other charts, one component too many."""
    out = []
    for start in settings.starts:
        law = flows.Collision(settings.weight, start, settings.target)
        until = 1.3 * float(law.plateau_time())
        out.append(_mixture(settings, law, "centred", False, until))
        natural = 3.0 * float(law.natural_time())
        out.append(_mixture(settings, law, "centred", True, natural))
    law = flows.Collision(settings.weight, settings.starts[0], settings.target)
    for chart in CHARTS[1:]:
        until = 1.5 * float(law.plateau_time() * law.slowing(chart))
        out.append(_mixture(settings, law, chart, False, until))
    spare = flows.Collision(settings.weight, settings.target, 0.0)
    out.append(_mixture(settings, spare, "centred", False, 4000.0))
    return tuple(out)


def network_curves(settings: Settings) -> tuple[Curve, ...]:
    """The same for two neurons of equal output weights."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(60)
    half = jnp.array([0.5, 0.5])

    def at(delta):
        shift = 0.5 * jnp.stack([-delta, delta])
        return flows.ShallowNetwork(settings.neuron + shift, jnp.ones(2))

    out = []
    for start in settings.neuron_starts:
        law = flows.neuron_collision(
            nodes,
            (1.0, 1.0),
            settings.neuron,
            start=start,
            target=settings.neuron_target,
            masses=masses,
        )
        loss = flows.NetworkLoss(nodes, at(law.target)(nodes), masses)
        model = flows.NetworkModel(at(law.target), flows.CentredChart(half))
        for natural in (False, True):
            until = 3.0 * law.natural_time() if natural else 1.3 * law.plateau_time()
            times = jnp.linspace(0.0, until, 201)
            path = flows.network_flow(
                model,
                loss,
                model.inverse(at(law.start)),
                times,
                natural=natural,
                tolerance=1e-7,
                solver=diffrax.Dopri8() if natural else diffrax.Kvaerno5(),
            )
            difference = path.x.neurons[:, 1] - path.x.neurons[:, 0]
            times, difference = np.asarray(times), np.asarray(difference)
            out.append(_curve("network", "centred", natural, law, times, difference))
    return tuple(out)
