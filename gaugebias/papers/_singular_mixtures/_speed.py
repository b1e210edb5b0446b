"""Trainers from starts near the singular set, chart by chart."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ... import flows
from ..._types import Key
from ._settings import Settings

CLOSE = 1e-4  # of the log-likelihood of a datum: done when as near as this to the best end seen


def _truth() -> flows.GaussianMixture:
    return flows.GaussianMixture(np.array([0.6, 0.4]), np.array([0.0, 1.5]))


@dataclasses.dataclass(frozen=True)
class Race:
    """Steps of one trainer from one kind of start, over the same data and starts as the others.

    - `trainer`: "em", "descent" or "network".
    - `chart`: "absolute", "relative" or "floored". `start`: "near" the singular set, at the "floor"
      (as near to it), or "crossed" (in the wrong order and apart).
    - `steps`: until done, shape `(pairs,)`; `limit` + 1 for those that were not.
    - `trace`: the gap to the end of one of them, step by step.
    """

    trainer: str
    chart: str
    start: str
    steps: np.ndarray
    limit: int
    trace: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Starts:
    """Middles of the means, differences to start with near the singular set, weights."""

    middle: np.ndarray
    near: np.ndarray
    weight: np.ndarray
    crossed: np.ndarray


def _draw(settings: Settings, key: Key, middles: np.ndarray) -> _Starts:
    rng = np.random.default_rng(np.asarray(jr.key_data(key)).ravel())
    n = len(middles)
    sign = rng.choice([-1.0, 1.0], n)
    return _Starts(
        middles + 0.5 * rng.standard_normal(n),
        sign * rng.uniform(0.05 * settings.near, settings.near, n),
        rng.uniform(0.2, 0.8, n),
        -rng.uniform(1.0, 3.0, n),
    )


def _mixture(middle, difference, weight) -> flows.GaussianMixture:
    means = np.array([middle - 0.5 * difference, middle + 0.5 * difference])
    return flows.GaussianMixture(np.array([1.0 - weight, weight]), means)


def _done(gaps: np.ndarray, limit: int) -> int:
    """The first step whose gap is within `CLOSE`, one more than `limit` for none."""
    inside = gaps <= CLOSE
    return int(np.argmax(inside)) if inside.any() else limit + 1


def em_races(settings: Settings, key: Key) -> tuple[Race, ...]:
    """EM with free weights: means apart or together, floored or not."""
    first, second = jr.split(key)
    n, limit, truth = settings.samples, 2_000, _truth()
    draws = jax.vmap(lambda k: truth.sample(k, n))(jr.split(first, settings.pairs))
    data = np.asarray(draws)
    starts = _draw(settings, second, data.mean(axis=1))
    floored = flows.FlooredChart(settings.floor)
    kinds = {
        ("absolute", "near"): (None, starts.near),
        ("floored", "near"): (floored, starts.near),
        ("absolute", "floor"): (None, settings.floor + np.abs(starts.near)),
        ("floored", "floor"): (floored, settings.floor + np.abs(starts.near)),
        ("absolute", "crossed"): (None, starts.crossed),
        ("floored", "crossed"): (floored, starts.crossed),
    }
    steps = {kind: np.empty(settings.pairs, int) for kind in kinds}
    traces = {}
    for i, x in enumerate(data):
        found = {}
        for kind, (chart, differences) in kinds.items():
            begin = _mixture(starts.middle[i], differences[i], starts.weight[i])
            fit = flows.mixture_em(x, begin, chart=chart, max_steps=limit, tol=1e-8)
            found[kind] = fit.traces[0] / n
        best = max(trace[-1] for trace in found.values())
        for kind, trace in found.items():
            steps[kind][i] = _done(best - trace, limit)
            traces.setdefault(kind, best - trace)
    return tuple(
        Race("em", chart, start, steps[chart, start], limit, traces[chart, start])
        for chart, start in kinds
    )


def _rate(matrix) -> float:
    """The step that moves the stiffest direction of the Fisher matrix all the way."""
    return 1.0 / float(np.linalg.eigvalsh(np.asarray(matrix))[-1])


def _kinds(floor: float, near: np.ndarray):
    """`(chart's name, start's name) -> (chart, differences)`, for gradient descent."""
    gap = np.abs(near)
    absolute, relative = flows.AbsoluteChart(), flows.RelativeChart()
    return {
        ("absolute", "near"): (absolute, gap),
        ("relative", "near"): (relative, gap),
        ("floored", "floor"): (flows.FlooredChart(floor), floor + gap),
        ("relative", "floor"): (relative, floor + gap),
        ("absolute", "floor"): (absolute, floor + gap),
    }


@eqx.filter_jit
def _descend(model, data, starts, rate, steps):
    def one(x, xi):
        run = flows.mixture_descent(model, x, xi, learning_rate=rate, steps=steps)
        return run.log_likelihood / x.shape[0]

    return jax.lax.map(lambda pair: one(*pair), (data, starts), batch_size=8)


def descent_races(settings: Settings, key: Key) -> tuple[Race, ...]:
    """Gradient descent of the likelihood with free weights, each chart at its own rate."""
    first, second = jr.split(key)
    n, limit, truth = settings.descent_samples, settings.descent_steps, _truth()
    data = jax.vmap(lambda k: truth.sample(k, n))(jr.split(first, settings.pairs))
    starts = _draw(settings, second, np.asarray(jnp.mean(data, axis=1)))
    found = {}
    for kind, (chart, differences) in _kinds(settings.floor, starts.near).items():
        model = flows.MixtureModel(truth, chart, flows.SimplexChart())
        rate = _rate(flows.fisher_information(model, model.inverse(truth)).matrix)
        begin = [
            model.inverse(_mixture(*each))
            for each in zip(starts.middle, differences, starts.weight, strict=True)
        ]
        found[kind] = np.asarray(_descend(model, data, jnp.stack(begin), rate, limit))
    best = [flows.mixture_em(x, truth, max_steps=2_000, tol=1e-9).traces[0][-1] / n for x in data]
    out = []
    for (chart, start), path in found.items():
        gaps = np.asarray(best)[:, None] - path
        steps = np.array([_done(each, limit) for each in gaps])
        out.append(Race("descent", chart, start, steps, limit, gaps[0]))
    return tuple(out)


@eqx.filter_jit
def _descend_network(model, inputs, targets, starts, rate, steps):
    def one(x, y, xi):
        loss = flows.NetworkLoss(x, y)
        return flows.gradient_descent(model, loss, xi, rate, steps=steps, saves=steps).loss

    return jax.vmap(one)(inputs, targets, starts)


def network_races(settings: Settings, key: Key) -> tuple[Race, ...]:
    """Gradient descent of two neurons towards a teacher, output weights bounded off 0."""
    first, second = jr.split(key)
    limit = settings.network_steps
    teacher = flows.ShallowNetwork(np.array(settings.network_teacher), np.ones(2))
    x = jr.normal(first, (settings.pairs, settings.network_samples))
    y = jax.vmap(teacher)(x)
    middle = np.full(settings.pairs, float(np.mean(settings.network_teacher)))
    starts = _draw(settings, second, middle)
    outputs = np.stack([2.0 * starts.weight, 2.0 - 2.0 * starts.weight], axis=1)
    nodes, masses = np.polynomial.hermite_e.hermegauss(60)
    out = []
    for (name, start), (chart, differences) in _kinds(settings.network_floor, starts.near).items():
        bounded = flows.BoundedChart(0.1, jnp.ones(2))
        model = flows.NetworkModel(teacher, chart, bounded)
        rate = _rate(model.information(model.inverse(teacher), nodes, masses))
        begin = []
        for centre, gap, a in zip(starts.middle, differences, outputs, strict=True):
            neurons = np.array([centre - 0.5 * gap, centre + 0.5 * gap])
            begin.append(model.inverse(flows.ShallowNetwork(neurons, a)))
        losses = np.asarray(_descend_network(model, x, y, jnp.stack(begin), rate, limit))
        inside = losses <= settings.network_goal
        steps = np.where(inside.any(axis=1), np.argmax(inside, axis=1), limit + 1)
        out.append(Race("network", name, start, steps, limit, losses[0]))
    return tuple(out)
