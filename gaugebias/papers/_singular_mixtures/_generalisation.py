"""Expected test log-likelihood against the floor, with the Fisher spectrum beside it."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ... import flows
from ..._types import Key
from ._settings import Settings


@dataclasses.dataclass(frozen=True)
class Fits:
    """Maximum likelihood on many data sets of one truth, in one chart.

    - `truth`: the true difference of the means; `floor`: 0 for none.
    - `divergence`: `KL(p_*||fit)`, which is what the mean test log-likelihood of a datum loses
      against the truth, shape `(sets,)`, exact.
    - `bias`: the least of it over the chart.
    - `spectrum`: eigenvalues of the Fisher matrix in `(m, delta)` at each fit, falling, shape
      `(sets, 2)`.
    - `ordered`: with a floor of 0, whether the order of the means was still imposed.
    """

    truth: float
    floor: float
    divergence: np.ndarray
    bias: float
    spectrum: np.ndarray
    ordered: bool = False


def _model(weight: float) -> flows.MixtureModel:
    weights = jnp.array([1.0 - weight, weight])
    like = flows.GaussianMixture(weights, jnp.array([0.0, 1.0]))
    return flows.MixtureModel(like, flows.CentredChart(weights))


def _mixture(weight: float, delta: float) -> flows.GaussianMixture:
    weights = np.array([1.0 - weight, weight])
    return flows.GaussianMixture(weights, np.array([-weight * delta, (1.0 - weight) * delta]))


@eqx.filter_jit
def _measure(model, truth, means):
    """Divergences and spectra of mixtures with these means, shape `(sets, 2)`."""

    def one(mu):
        mixture = flows.GaussianMixture(model.like.weights, mu)
        fisher = flows.fisher_information(model, model.inverse(mixture)).matrix
        loss = flows.PopulationDivergence(truth)(mixture)
        return loss, jnp.linalg.eigvalsh(fisher)[::-1]

    return jax.lax.map(one, means, batch_size=16)


def _closest(weight: float, truth: float, floor: float) -> float:
    """The least divergence at a difference of `floor` or more."""
    if floor <= truth:
        return 0.0
    at = _mixture(weight, floor)
    loss = flows.PopulationDivergence(_mixture(weight, truth))
    shifts = jnp.linspace(-0.5, 0.5, 201)
    moved = jax.vmap(lambda s: loss(flows.GaussianMixture(at.weights, at.means + s)))(shifts)
    return float(jnp.min(moved))


def generalisation(settings: Settings, key: Key) -> tuple[Fits, ...]:
    """All truths and floors; every floor sees the same data.

    At the smallest truth above 0 also the order alone, which every floor imposes too.
    """
    w, out = settings.weight, []
    middle = min(t for t in settings.truths if t > 0)
    model = _model(w)
    for truth, part in zip(settings.truths, jr.split(key, len(settings.truths)), strict=True):
        target = _mixture(w, truth)
        keys = jr.split(part, settings.sets)
        data = np.asarray(jax.vmap(lambda k, t=target: t.sample(k, settings.set_size))(keys))
        kinds = [(floor, False) for floor in settings.floors]
        for floor, ordered in [*kinds, (0.0, True)] if truth == middle else kinds:
            chart = flows.FlooredChart(floor) if floor > 0 else None
            chart = flows.OrderedChart() if ordered else chart
            means = []
            for x in data:
                # From both orders: known unequal weights make two maxima.
                begins = [
                    flows.GaussianMixture(target.weights, x.mean() + np.asarray(each.means))
                    for each in (_mixture(w, s * max(truth, floor, 1.0)) for s in (1.0, -1.0))
                ]
                fit = flows.mixture_em(
                    x,
                    begins[:1] if chart is not None else begins,
                    chart=chart,
                    fixed_weights=True,
                    max_steps=300,
                    tol=1e-8,
                )
                means.append(np.asarray(fit.mixture.means))
            losses, spectra = _measure(model, target, jnp.asarray(np.stack(means)))
            bias = _closest(w, truth, floor)
            spectra = np.asarray(spectra)
            out.append(Fits(truth, floor, np.asarray(losses), bias, spectra, ordered))
    return tuple(out)
