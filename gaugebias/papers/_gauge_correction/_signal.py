"""The piecewise-constant signal: few random measurements, plain and as a sum of products."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from ..._types import Key
from ._checks import check_positive
from ._linear_descent import LinearProblems, PlainModel, ProductModel, descend
from ._mirror import MirrorReport, mirror_limits, mirror_report
from ._noisy_descent import horizontal_descent, minibatch_descent
from ._optima import weighted_basis_pursuit

RECORDS = 60
SEGMENTS = ((1.0, 50), (-1.5, 70), (0.5, 40), (2.0, 40))
MODELS = ("vanilla", "cumulative")


@dataclasses.dataclass(frozen=True)
class SignalSettings:
    """Published, but for the ensemble and what follows `plain_spread`.

    - `seeds`: measurements, each with a start. `segments`: values of the signal and how long.
    - `measurements`: rows of independent normal entries of variance `1 / measurements`; `noise`:
      standard deviation of what is added to them.
    - `learning_rate`, `plain_rate`: of descent on the mean square, full batch, for `steps` steps:
      of the sum of products and of the plain signal; `spread`, `plain_spread`: standard deviations
      of their starts.
    - `scales`: standard deviations of the start in the control.
    - `batch_size`, `temperatures`, `noise_steps`: as in the sparse spectrum.
    """

    seeds: int = 32
    segments: tuple[tuple[float, int], ...] = SEGMENTS
    measurements: int = 60
    noise: float = 0.1
    learning_rate: float = 1e-3
    plain_rate: float = 1e-2
    steps: int = 1_500_000
    spread: float = 0.3
    plain_spread: float = 1e-4
    scales: tuple[float, ...] = (1e-3, 1e-2, 0.1, 0.3, 1.0)
    batch_size: int = 10
    temperatures: tuple[float, ...] = (3e-4, 1e-3)
    noise_steps: int = 25_000

    def __post_init__(self) -> None:
        check_positive(
            self,
            "steps",
            "noise_steps",
            "learning_rate",
            "plain_rate",
            "spread",
            "plain_spread",
            "scales",
            "temperatures",
            "noise",
        )
        if self.seeds < 8:
            raise ValueError("`seeds` must be at least 8, to see their spread.")
        if len(self.segments) < 2 or any(length < 1 for _, length in self.segments):
            raise ValueError("`segments` must be at least two pairs (value, length), length >= 1.")
        if not 1 <= self.batch_size <= self.measurements:
            raise ValueError("`batch_size` must be between 1 and `measurements`.")
        if self.measurements >= self.size:
            raise ValueError(
                f"`measurements` must be fewer than the {self.size} points of the signal, or "
                "nothing is left to choose."
            )
        if self.steps % RECORDS or self.noise_steps % (self.steps // RECORDS):
            raise ValueError(
                f"`steps` must be a multiple of {RECORDS}, and `noise_steps` of `steps` / "
                f"{RECORDS}: the noisy runs are held against the record there."
            )
        if self.noise_steps > self.steps:
            raise ValueError("`noise_steps` must be at most `steps`.")
        if len(self.scales) < 2 or any(
            a >= b for a, b in zip(self.scales, self.scales[1:], strict=False)
        ):
            raise ValueError("`scales` must increase, from a small one to a large one.")

    @property
    def size(self) -> int:
        """Number of points of the signal."""
        return sum(length for _, length in self.segments)

    @property
    def signal(self) -> np.ndarray:
        """The true signal, `(size,)`."""
        values, lengths = zip(*self.segments, strict=True)
        return np.repeat(np.asarray(values, float), lengths)


def variation(signal) -> np.ndarray:
    """Total variation, over the last axis."""
    return np.asarray(np.sum(np.abs(np.diff(np.asarray(signal), axis=-1)), axis=-1))


class Watch(eqx.Module):
    """Training loss, total variation and mean square error of increments, `(3, seeds)`."""

    truth: Array

    def __call__(self, problems: LinearProblems, x: Array) -> Array:
        misfit = jnp.cumsum(x, axis=-1) - jnp.broadcast_to(self.truth, x.shape)
        error = jnp.mean(misfit**2, axis=-1)
        return jnp.stack([problems.loss(x), jnp.sum(jnp.abs(x[..., 1:]), axis=-1), error])


@dataclasses.dataclass(frozen=True)
class Variations:
    """Total variations and mean square errors of reconstructions, of one shape."""

    variation: np.ndarray
    error: np.ndarray

    @staticmethod
    def of(signals, truth: np.ndarray) -> "Variations":
        """Those of signals, `(..., size)`."""
        signals = np.asarray(signals)
        return Variations(variation(signals), np.mean((signals - truth) ** 2, axis=-1))


@dataclasses.dataclass(frozen=True)
class SignalResult:
    """What was measured.

    - `losses`, `path`: of the sum of products at `steps`, shape `(RECORDS + 1, seeds)`.
    - `vanilla`: the plain signal after as many steps, `(seeds,)`; `shortest`: the least `|w|_2`
      that fits.
    - `signals`: by name, of the first seed, `(size,)`.
    - `limit`: where the flow from the published start ends, `(seeds,)`; `scale_limits`: from other
      starts, `(scales, seeds)`, and `limit_norms`, the sum of `|increments|` with the first.
    - `least`: the fit of least total variation, `(seeds,)`; `least_norms`: the least sum of
      `|increments|` with the first; `gap`: their largest duality gap or misfit.
    - `minibatch` `(seeds,)`, `horizontal` `(temperatures, seeds)`: the noisy runs.
    - `mirror`: the published run against the mirror potential of its start.
    """

    steps: np.ndarray
    losses: np.ndarray
    path: Variations
    vanilla: Variations
    shortest: Variations
    signals: dict[str, np.ndarray]
    limit: Variations
    scale_limits: Variations
    limit_norms: np.ndarray
    least: Variations
    least_norms: np.ndarray
    gap: float
    minibatch: Variations
    horizontal: Variations
    mirror: MirrorReport


def _measured(settings: SignalSettings, key: Key, seeds: int) -> LinearProblems:
    """Measurements of the signal itself, `(seeds, measurements, size)`."""
    for_rows, for_noise = jr.split(key)
    shape = (seeds, settings.measurements, settings.size)
    rows = jr.normal(for_rows, shape, float) / jnp.sqrt(settings.measurements)
    noise = settings.noise * jr.normal(for_noise, shape[:2], float)
    return LinearProblems(rows, rows @ jnp.asarray(settings.signal) + noise)


def in_increments(problems: LinearProblems) -> LinearProblems:
    """The same measurements as functions of the increments: `A C`, `C` the cumulative sum."""
    sums = jnp.cumsum(problems.features[..., ::-1], axis=-1)[..., ::-1]
    return LinearProblems(sums, problems.targets)


def _starts(settings: SignalSettings, key: Key, seeds: int):
    """Standard normal factors `(u, v)`, to be scaled, and the start of the plain signal."""
    u, v, plain = jr.normal(key, (3, seeds, settings.size), float)
    return (u, v), settings.plain_spread * plain


def plain_descent(problems: LinearProblems, start: Array, rate: float, steps: int) -> Array:
    """Where `steps` steps of descent on the plain signal lead: in closed form, `(seeds, n)`.

    Along a right singular vector of the features with singular value `s` the misfit shrinks by
    `1 - 2 rate s^2 / m` a step.
    """

    def one(A, b, x):
        u, s, rows = jnp.linalg.svd(A, full_matrices=False)
        kept = (1.0 - 2.0 * rate * s**2 / b.shape[0]) ** steps
        return x + rows.T @ ((1.0 - kept) * ((u.T @ b) / s - rows @ x))

    return jax.vmap(one)(*problems, start)


def train_signal(settings: SignalSettings, key: Key, seeds: int, steps: int) -> dict[str, Array]:
    """Both models trained step by step, with nothing recorded on the way.

    **Returns:** by model, the signals at the end, `(seeds, size)`.
    """
    for_data, for_starts, _ = jr.split(key, 3)
    problems = _measured(settings, for_data, seeds)
    (u, v), plain = _starts(settings, for_starts, seeds)
    watch, every = Watch(jnp.asarray(settings.signal)), jnp.asarray(steps)
    runs = {
        "vanilla": (PlainModel(jnp.zeros(())), problems, plain, settings.plain_rate),
        "cumulative": (
            ProductModel(),
            in_increments(problems),
            (settings.spread * u, settings.spread * v),
            settings.learning_rate,
        ),
    }
    ends = {}
    for name, (model, data, start, rate) in runs.items():
        end, _ = descend(model, data, start, jnp.asarray(rate, float), every, 1, watch)
        x = model.predictor(end)
        ends[name] = jnp.cumsum(x, axis=-1) if name == "cumulative" else x
    return ends


def run_signal(
    settings: SignalSettings, key: Key, progress: Callable[[str, float], None]
) -> SignalResult:
    """The published runs and their controls. Needs float64 for the certificates."""
    s, truth = settings, settings.signal
    for_data, for_starts, for_noise = jr.split(key, 3)
    measured = _measured(s, for_data, s.seeds)
    problems = in_increments(measured)
    (u, v), plain = _starts(s, for_starts, s.seeds)
    start = (s.spread * u, s.spread * v)

    params, records = start, []
    every, rate = jnp.asarray(s.steps // RECORDS), jnp.asarray(s.learning_rate, float)
    watch = Watch(jnp.asarray(truth))
    for i in range(RECORDS):
        progress("the published run", 0.75 * i / RECORDS)
        params, seen = descend(ProductModel(), problems, params, rate, every, 1, watch)
        records += list(np.asarray(seen if i == 0 else seen[1:]))
        if not np.isfinite(records[-1]).all():
            raise ValueError("`learning_rate` is too large: the loss is not finite. Lower it.")
    losses, paths, errors = np.stack(records, axis=1)
    end = ProductModel().predictor(params)
    vanilla = plain_descent(measured, plain, s.plain_rate, s.steps)
    if not bool(jnp.all(jnp.isfinite(vanilla))):
        raise ValueError("`plain_rate` is too large: the loss is not finite. Lower it.")

    progress("initialisation scales and explicit regularisers", 0.75)
    limits = np.stack([mirror_limits(problems, (scale * u, scale * v)) for scale in s.scales])
    pairs = [(np.asarray(A), np.asarray(b)) for A, b in zip(*problems, strict=True)]
    free_level = np.ones(s.size)
    free_level[0] = 0.0
    least = [weighted_basis_pursuit(A, b, free_level) for A, b in pairs]
    sparse = [weighted_basis_pursuit(A, b, np.ones(s.size)) for A, b in pairs]
    shortest = [
        np.linalg.lstsq(np.asarray(A), np.asarray(b), rcond=None)[0]
        for A, b in zip(*measured, strict=True)
    ]

    progress("minibatches", 0.8)
    noisy = minibatch_descent(
        problems, start, s.learning_rate, s.batch_size, s.noise_steps, for_noise
    )
    horizontal = []
    for i, temperature in enumerate(s.temperatures):
        progress(f"noise across the orbits, T = {temperature:g}", 0.85 + 0.08 * i)
        horizontal.append(
            horizontal_descent(
                problems, start, s.learning_rate, temperature, s.noise_steps, for_noise
            )
        )

    def summed(increments) -> Variations:
        return Variations.of(np.cumsum(np.asarray(increments), axis=-1), truth)

    return SignalResult(
        steps=np.arange(RECORDS + 1) * (s.steps // RECORDS),
        losses=losses,
        path=Variations(paths, errors),
        vanilla=Variations.of(vanilla, truth),
        shortest=Variations.of(shortest, truth),
        signals={
            "truth": truth,
            "vanilla": np.asarray(vanilla[0]),
            "cumulative": np.cumsum(np.asarray(end[0])),
            "least variation": np.cumsum(least[0].x),
        },
        limit=summed(mirror_limits(problems, start)),
        scale_limits=summed(limits),
        limit_norms=np.sum(np.abs(limits), axis=-1),
        least=summed([each.x for each in least]),
        least_norms=np.array([each.value for each in sparse]),
        gap=max(max(each.gap, each.misfit) for each in least + sparse),
        minibatch=summed(noisy),
        horizontal=summed(horizontal),
        mirror=mirror_report(problems, start, end),
    )
