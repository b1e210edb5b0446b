"""The scalar picture: minimisers of a loss of `u v` form a hyperbola, and noise moves along it."""

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..._types import Key
from ...dynamics import Ensemble, train
from ...plot import CurveData
from .._claim import Claim, judge
from .._intervals import mean_interval
from ._checks import check_positive
from ._sgd import plain_sgd

RECORDS = 100


@dataclasses.dataclass(frozen=True)
class HyperbolaSettings:
    r"""The publication shows a picture; the numbers are ours.

    Loss `(u v - y)^2 / 2` over `samples` fixed numbers `y = target + noise`, minibatches of
    `batch_size` at `learning_rate` from `start` = `(u, v)`, which is off the hyperbola.
    """

    seeds: int = 32
    target: float = 1.0
    noise: float = 0.5
    samples: int = 512
    start: tuple[float, float] = (2.0, 0.1)
    batch_size: int = 4
    learning_rate: float = 0.05
    steps: int = 20_000

    def __post_init__(self) -> None:
        check_positive(self, "steps", "samples", "batch_size")
        if self.seeds < 8:
            raise ValueError("`seeds` must be at least 8, to see their spread.")
        if self.steps % RECORDS:
            raise ValueError(f"`steps` must be a multiple of {RECORDS}.")
        if not self.noise > 0:
            raise ValueError("`noise` must be positive: without it nothing moves along minimisers.")
        if abs(self.start[0]) == abs(self.start[1]):
            raise ValueError("`start` is balanced already: give |u| and |v| that differ.")
        # Across the hyperbola; 2 |target| is the least of it.
        curvature = max(self.start[0] ** 2 + self.start[1] ** 2, 2.0 * abs(self.target))
        if not 0 < self.learning_rate < 2.0 / curvature:
            raise ValueError(
                f"`learning_rate` is {self.learning_rate:g}: it must be positive and below "
                f"{2.0 / curvature:.3g}, two over the largest curvature u^2 + v^2, where gradient "
                "descent is stable."
            )


@dataclasses.dataclass(frozen=True)
class HyperbolaResult:
    """Paths `(seeds, T, 2)` of `(u, v)` after `steps` `(T,)`.

    - `minibatch`; `isotropic`: Gaussian noise of the same trace in all directions, four times as
      many seeds, as it scatters; `full`: the full batch, of shape `(1, T, 2)`, at the same rate.
    - `rate`: predicted decay a step of `u^2 - v^2` at the minimum, `eta^2 Var(dl/dw) / batch`, for
      small steps.
    """

    steps: np.ndarray
    minibatch: np.ndarray
    isotropic: np.ndarray
    full: np.ndarray
    rate: float


def _loss(params, sample):
    return 0.5 * (params[0] * params[1] - sample) ** 2


def _data(settings: HyperbolaSettings, key: Key):
    return settings.target + settings.noise * jr.normal(key, (settings.samples,), float)


def train_hyperbola(
    settings: HyperbolaSettings,
    key: Key,
    seeds: int,
    steps: int,
    noise: str = "minibatch",
    progress: Callable[[float], None] | None = None,
) -> Ensemble:
    """`seeds` runs of `steps` steps, recorded up to 100 times. `noise`: as in `gaugebias.train`."""
    for_data, for_batches = jr.split(key)
    return train(
        _loss,
        tuple(jnp.asarray(value, float) for value in settings.start),
        _data(settings, for_data),
        optimiser=plain_sgd(settings.learning_rate),
        batch_size=settings.batch_size,
        key=for_batches,
        steps=steps,
        chains=seeds,
        every=max(1, steps // RECORDS),
        noise=noise,
        progress=progress,
    )


def run_hyperbola(
    settings: HyperbolaSettings, key: Key, progress: Callable[[str, float], None]
) -> HyperbolaResult:
    """Minibatch, isotropic and no noise from the same start."""
    paths, steps = {}, np.arange(0)
    for i, (noise, seeds) in enumerate(
        (("minibatch", settings.seeds), ("isotropic", 4 * settings.seeds), ("full", 1))
    ):
        run = train_hyperbola(
            settings,
            key,
            seeds,
            settings.steps,
            noise,
            lambda part, i=i, noise=noise: progress(f"{noise} noise", (i + part) / 3),
        )
        paths[noise], steps = np.stack(run.values, axis=-1), run.steps
    variance = float(np.var(_data(settings, jr.split(key)[0])))
    rate = settings.learning_rate**2 * variance / settings.batch_size
    return HyperbolaResult(steps, paths["minibatch"], paths["isotropic"], paths["full"], rate)


def _imbalance(path: np.ndarray) -> np.ndarray:
    return path[..., 0] ** 2 - path[..., 1] ** 2


def _first(settings: HyperbolaSettings) -> float:
    u, v = settings.start
    return u**2 - v**2


def _rates(settings: HyperbolaSettings, result: HyperbolaResult) -> np.ndarray:
    """Predicted decay a step of `log |u^2 - v^2|` at each record, `(T,)`.

    A step multiplies `u^2 - v^2` by `1 - eta^2 c^2`, `c` the slope of the batch. At the minimum
    its mean square is the variance of the mean of a batch and that of `u v`, which scatters as
    `eta K / (2 - eta K)` of it, `K = u^2 + v^2`.
    """
    curvature = np.mean(np.sum(result.minibatch**2, axis=-1), axis=0)
    return result.rate / (1.0 - 0.5 * settings.learning_rate * curvature)


def _decay(settings: HyperbolaSettings, result: HyperbolaResult) -> np.ndarray:
    """Measured over predicted logarithm of the decay after a quarter of the run, `(seeds,)`."""
    late = slice(len(result.steps) // 4, None)
    logs = np.log(np.abs(_imbalance(result.minibatch[:, late])))
    predicted = np.trapezoid(_rates(settings, result)[late], result.steps[late])
    return (logs[:, 0] - logs[:, -1]) / float(predicted)


def claims_hyperbola(settings: HyperbolaSettings, result: HyperbolaResult) -> tuple[Claim, ...]:
    """Noise selects the balanced minimiser, at the predicted rate."""
    left = np.abs(_imbalance(result.minibatch)[:, -1] / _first(settings))
    middle, error = mean_interval(left)
    ratio, spread = mean_interval(_decay(settings, result))
    return (
        Claim(
            "hyperbola-balances",
            "With minibatch noise (u, v) moves along the hyperbola of minimisers to its balanced "
            "point: |u^2 - v^2| falls below a tenth of its start (mean over seeds).",
            "published",
            f"{middle:.4f} +- {error:.4f} of the start is left",
            judge(middle, -math.inf, 0.1, error=error),
        ),
        Claim(
            "hyperbola-rate",
            "It decays at the rate of the law of balance, eta^2 Var(dl/dw) / batch a step (over "
            "1 - eta (u^2 + v^2) / 2, for the scatter of u v), to 2%.",
            "derived",
            f"measured / predicted {ratio:.4f} +- {spread:.4f}",
            judge(ratio, 0.98, 1.02, error=spread),
        ),
    )


def controls_hyperbola(settings: HyperbolaSettings, result: HyperbolaResult) -> tuple[Claim, ...]:
    """No noise, and noise that is not horizontal."""
    full = np.abs(_imbalance(result.full)[0, -1] / _first(settings))
    late = np.abs(_imbalance(result.full)[0] / _imbalance(result.full)[0, len(result.steps) // 4])
    isotropic, error = mean_interval(np.abs(_imbalance(result.isotropic)[:, -1] / _first(settings)))
    return (
        Claim(
            "hyperbola-full-batch",
            "The full batch at the same learning rate stays where it met the hyperbola: "
            "u^2 - v^2 changes by less than 0.1% after a quarter of the run.",
            "control",
            f"changed by {abs(late[-1] - 1):.1e}; {full:.3f} of the start is left",
            judge(abs(float(late[-1]) - 1.0), 0.0, 1e-3),
        ),
        Claim(
            "hyperbola-isotropic",
            "Noise of the same trace in all directions does not balance: more than a quarter "
            "of |u^2 - v^2| is left (mean over seeds). The direction of the noise counts.",
            "control",
            f"{isotropic:.2f} +- {error:.2f} of the start is left",
            judge(isotropic, 0.25, math.inf, error=error),
        ),
    )


def figures_hyperbola(
    settings: HyperbolaSettings, result: HyperbolaResult
) -> tuple[CurveData, ...]:
    """Paths in the plane, and the imbalance over time."""
    u = np.linspace(0.45, 2.2, 100)
    names = {"minibatch": result.minibatch, "full batch": result.full}
    first = np.asarray(settings.start)
    paths = {}
    for name, path in names.items():
        whole = np.concatenate([first[None], path[0]])
        paths[name] = (whole[:, 0], whole[:, 1])
    minimisers = "minimisers u v = w"
    plane = CurveData(
        "Scalar: along the minimisers (one seed)",
        "u",
        "v",
        {**paths, minimisers: (u, settings.target / u)},
        dashed=(minimisers,),
    )
    curves = {
        name: (result.steps, np.mean(np.abs(_imbalance(path) / _first(settings)), axis=0))
        for name, path in (*names.items(), ("isotropic", result.isotropic))
    }
    rates = _rates(settings, result)
    passed = 0.5 * (rates[1:] + rates[:-1]) * np.diff(result.steps)
    decay = curves["minibatch"][1][0] * np.exp(-np.concatenate([[0.0], np.cumsum(passed)]))
    time = CurveData(
        "Scalar: imbalance (mean of seeds)",
        "step",
        "|u^2 - v^2| / start",
        {**curves, "law of balance": (result.steps, decay)},
        dashed=("law of balance",),
        yscale="log",
    )
    return plane, time
