"""Trainers on the iris measurements, compared in the space of distributions."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ... import flows
from ..._types import Key
from ._settings import Settings

_FLOOR = 0.1  # along petal length, in its standard deviations
_NATURAL_RATE = 0.1


@dataclasses.dataclass(frozen=True)
class Iris:
    """One trainer, from the start that all share.

    - `trainer`: "em", "descent" or "natural"; `chart`: "absolute" or "floored".
    - `steps`: where the path was looked at, shape `(T,)`.
    - `divergence`, `distance`: KL and Fisher distance of the end of EM to it, shape `(T,)`.
    - `moved`: its Fisher distance from the start.
    - `between`: the Fisher distance to the path of the same trainer in the absolute chart.
    - `gap`: the log-likelihood of a datum below that of the end of EM.
    """

    trainer: str
    chart: str
    steps: np.ndarray
    divergence: np.ndarray
    distance: np.ndarray
    moved: np.ndarray
    between: np.ndarray
    gap: np.ndarray


def _data() -> tuple[np.ndarray, np.ndarray]:
    """Measurements, centred and scaled, and the species, which only the start is told."""
    from sklearn.datasets import load_iris

    x, species = (np.asarray(each) for each in load_iris(return_X_y=True))
    return (x - x.mean(axis=0)) / x.std(axis=0), species


def _start(x: np.ndarray, species: np.ndarray) -> flows.GaussianMixture:
    """The mean of each species, and three times their shared covariance."""
    means = np.stack([x[species == k].mean(axis=0) for k in range(3)])
    return flows.GaussianMixture(
        np.ones(3) / 3, means, 3.0 * np.cov((x - means[species]).T, bias=True)
    )


@eqx.filter_jit
def _apart(first, second, key):
    found = flows.mixture_divergence(first, second, key=key, draws=4000)
    return found.kl, found.fisher_distance


def iris(settings: Settings, key: Key) -> tuple[Iris, ...]:
    """EM, gradient descent and natural gradient descent: means, weights, a shared covariance."""
    x, species = _data()
    n, begin, last = len(x), _start(x, species), settings.iris_steps
    steps = np.unique(np.geomspace(1, last, 12).astype(int))
    steps = np.concatenate([[0], steps])
    direction = jnp.array([0.0, 0.0, 1.0, 0.0])
    charts = {
        "absolute": flows.AbsoluteChart(),
        "floored": flows.FlooredChart(_FLOOR, direction),
    }
    options = {"covariance": "shared", "tol": 0.0}
    end = flows.mixture_em(x, begin, covariance="shared", max_steps=3_000, tol=1e-13)
    for_fisher, for_rate, for_distance = jr.split(key, 3)
    paths, gaps = {}, {}
    for name, chart in charts.items():
        fit, path, trace = begin, [begin], []
        for k in range(1, last + 1):
            one = flows.mixture_em(x, fit, chart=chart, max_steps=1, **options)
            fit = one.mixtures[0]
            trace.append(one.traces[0][0])
            if k in steps:
                path.append(fit)
        trace.append(one.traces[0][-1])
        paths["em", name], gaps["em", name] = path, np.array(trace)[steps] / n
        model = flows.MixtureModel(begin, chart, flows.SimplexChart(), "shared")
        xi = model.inverse(begin)
        fisher = flows.fisher_information(
            model, model.inverse(end.mixture), key=for_rate, draws=10_000
        )
        rates = {
            "descent": 0.5 / float(jnp.linalg.eigvalsh(fisher.matrix)[-1]),
            "natural": _NATURAL_RATE,
        }
        for trainer, rate in rates.items():
            natural = trainer == "natural"
            run = flows.mixture_descent(
                model,
                x,
                xi,
                learning_rate=rate,
                steps=last,
                natural=natural,
                key=for_fisher if natural else None,
                draws=settings.iris_draws,
            )
            # A descent that left the finite numbers stays where it was before.
            end_of = int(run.diverged) - 1 if int(run.diverged) >= 0 else last
            kept = np.minimum(steps, max(end_of, 0))
            paths[trainer, name] = [model(each) for each in run.coordinates[kept]]
            gaps[trainer, name] = np.asarray(run.log_likelihood)[kept] / n
    out, best = [], end.traces[0][-1] / n
    for (trainer, name), path in paths.items():
        keys = jr.split(for_distance, len(path))
        found = [_apart(_plain(end.mixture), _plain(m), k) for m, k in zip(path, keys, strict=True)]
        control = paths[trainer, "absolute"]
        between = [
            _apart(_plain(a), _plain(b), k)[1] for a, b, k in zip(control, path, keys, strict=True)
        ]
        moved = [_apart(_plain(begin), _plain(b), k)[1] for b, k in zip(path, keys, strict=True)]
        kl, distance = (np.array([float(each[i]) for each in found]) for i in range(2))
        gap = best - gaps[trainer, name]
        apart, way = (np.array([float(v) for v in each]) for each in (between, moved))
        out.append(Iris(trainer, name, steps, kl, distance, way, apart, gap))
    return tuple(out)


def _plain(mixture: flows.GaussianMixture) -> flows.GaussianMixture:
    """With leaves of one kind, so that the comparison is compiled once."""
    return jax.tree.map(jnp.asarray, mixture)
