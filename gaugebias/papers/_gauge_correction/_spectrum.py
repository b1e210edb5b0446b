"""The sparse spectrum: few cosines from few noisy points, plain and as a product of two factors."""

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
from ._optima import lasso, weighted_basis_pursuit

RECORDS = 100
MODELS = ("vanilla", "explicit l1", "Hadamard")


@dataclasses.dataclass(frozen=True)
class SpectrumSettings:
    """Published, but for the ensemble and what follows `penalty`.

    - `seeds`: data sets, each with a start. `cosines`: frequencies `0 ... cosines - 1`;
      `nonzero` of them, not the constant, have sizes in `sizes` and random signs.
    - `points`, `noise`: uniform on [0, 1], with Gaussian noise of this standard deviation.
    - `learning_rate`, `steps`: of descent on the mean square, full batch.
    - `spread`: standard deviation of each factor at the start; `plain_spread`: of the plain model.
    - `penalty`: weight of `|w|_1` in the regularised model.
    - `scales`: standard deviations of the start in the control.
    - `batch_size`: of the control with minibatches; `temperatures`: of those with noise across the
      orbits. Both take `noise_steps` steps at the same learning rate.
    """

    seeds: int = 32
    cosines: int = 64
    nonzero: int = 3
    sizes: tuple[float, float] = (1.0, 2.0)
    points: int = 32
    noise: float = 0.1
    learning_rate: float = 1e-3
    steps: int = 50_000
    spread: float = 0.01
    plain_spread: float = 1e-4
    penalty: float = 0.1
    scales: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0)
    batch_size: int = 8
    temperatures: tuple[float, ...] = (3e-4, 1e-3)
    noise_steps: int = 50_000

    def __post_init__(self) -> None:
        check_positive(
            self,
            "steps",
            "noise_steps",
            "learning_rate",
            "spread",
            "plain_spread",
            "penalty",
            "scales",
            "temperatures",
            "noise",
        )
        if self.seeds < 8:
            raise ValueError("`seeds` must be at least 8, to see their spread.")
        if not 0 < self.nonzero < self.cosines:
            raise ValueError("`nonzero` must be between 1 and `cosines` - 1.")
        if not 1 <= self.batch_size <= self.points:
            raise ValueError("`batch_size` must be between 1 and `points`.")
        if self.points >= self.cosines:
            raise ValueError("`points` must be fewer than `cosines`, or nothing is left to choose.")
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


class Spectra(eqx.Module):
    """The data of every seed: the problems, and the `truth`, shape `(seeds, cosines)`."""

    problems: LinearProblems
    truth: Array

    def test_error(self, x: Array) -> Array:
        """Mean square error over all of [0, 1], exactly: cosines are orthogonal, `(..., seeds)`."""
        weights = jnp.where(jnp.arange(x.shape[-1]) == 0, 1.0, 0.5)
        return (x - jnp.broadcast_to(self.truth, x.shape)) ** 2 @ weights

    def __call__(self, problems: LinearProblems, x: Array) -> Array:
        """Training loss and test error, `(2, seeds)`."""
        return jnp.stack([problems.loss(x), self.test_error(x)])


@dataclasses.dataclass(frozen=True)
class SpectrumResult:
    """What was measured; errors are on the test set.

    - `losses`, `errors`: by model, shape `(RECORDS + 1, seeds)`, at `steps`.
    - `truth`, and `ends` by model: the coefficients of the first seed, `(cosines,)`.
    - `scale_errors` at the last step and `limit_errors` and `limit_norms` (`|w|_1`) of the exact
      limit of the flow, shape `(scales, seeds)`; `limit`: errors of that from the published start,
      `(seeds,)`.
    - `pursuit_errors`, `pursuit_norms`: the least `|w|_1` that fits; `lasso_errors`: the exact
      minimiser of the penalised loss; `shortest_errors`: the least `|w|_2` that fits, `(seeds,)`.
      `pursuit_gap`, `lasso_gap`: the largest duality gaps (and misfit).
    - `minibatch` `(seeds,)` and `horizontal` `(temperatures, seeds)`: errors of the noisy runs.
    - `mirror`: the published run against the mirror potential of its start.
    """

    steps: np.ndarray
    losses: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    truth: np.ndarray
    ends: dict[str, np.ndarray]
    scale_errors: np.ndarray
    limit_errors: np.ndarray
    limit_norms: np.ndarray
    limit: np.ndarray
    pursuit_errors: np.ndarray
    pursuit_norms: np.ndarray
    pursuit_gap: float
    lasso_errors: np.ndarray
    lasso_gap: float
    shortest_errors: np.ndarray
    minibatch: np.ndarray
    horizontal: np.ndarray
    mirror: MirrorReport


def _spectra(settings: SpectrumSettings, key: Key, seeds: int) -> Spectra:
    """Data sets, a key each."""

    def one(key):
        for_points, for_support, for_sizes, for_signs, for_noise = jr.split(key, 5)
        t = jr.uniform(for_points, (settings.points,), float)
        support = 1 + jr.permutation(for_support, settings.cosines - 1)[: settings.nonzero]
        low, high = settings.sizes
        sizes = jr.uniform(for_sizes, (settings.nonzero,), float, low, high)
        signs = jr.rademacher(for_signs, (settings.nonzero,), float)
        truth = jnp.zeros(settings.cosines).at[support].set(sizes * signs)
        features = jnp.cos(2.0 * jnp.pi * jnp.outer(t, jnp.arange(settings.cosines)))
        targets = features @ truth + settings.noise * jr.normal(for_noise, t.shape, float)
        return LinearProblems(features, targets), truth

    return Spectra(*jax.vmap(one)(jr.split(key, seeds)))


def _starts(settings: SpectrumSettings, key: Key, seeds: int):
    """Standard normal factors `(u, v)`, to be scaled, and the start of the plain models."""
    u, v, plain = jr.normal(key, (3, seeds, settings.cosines), float)
    return (u, v), settings.plain_spread * plain


def _trained(settings: SpectrumSettings, spectra: Spectra, key: Key, steps: int, saves: int):
    """The three published models: parameters and records `(saves + 1, 2, seeds)`, by name."""
    (u, v), plain = _starts(settings, key, spectra.truth.shape[0])
    factors = (settings.spread * u, settings.spread * v)
    rate = jnp.asarray(settings.learning_rate, float)
    long = steps > saves
    every = jnp.asarray(steps // saves)
    runs = {
        "vanilla": (PlainModel(jnp.zeros(())), plain),
        "explicit l1": (PlainModel(jnp.asarray(settings.penalty, float)), plain),
        "Hadamard": (ProductModel(), factors),
    }
    ends, records = {}, {}
    for name, (model, start) in runs.items():
        end, records[name] = descend(
            model, spectra.problems, start, rate, every, saves, spectra, in_turn=long
        )
        ends[name] = model.predictor(end)
    return ends, records


def train_spectrum(
    settings: SpectrumSettings, key: Key, seeds: int, steps: int
) -> dict[str, Array]:
    """The three models trained, with training loss and test error after *every* step.

    **Returns:** by model, shape `(steps + 1, 2, seeds)`.
    """
    for_data, for_starts, _ = jr.split(key, 3)
    spectra = _spectra(settings, for_data, seeds)
    return _trained(settings, spectra, for_starts, steps, steps)[1]


def run_spectrum(
    settings: SpectrumSettings, key: Key, progress: Callable[[str, float], None]
) -> SpectrumResult:
    """The published runs and their controls. Needs float64 for the certificates."""
    s = settings
    for_data, for_starts, for_noise = jr.split(key, 3)
    spectra = _spectra(s, for_data, s.seeds)
    problems = spectra.problems
    (u, v), _ = _starts(s, for_starts, s.seeds)
    progress("the published runs", 0.0)
    ends, records = _trained(s, spectra, for_starts, s.steps, RECORDS)
    steps = np.arange(RECORDS + 1) * (s.steps // RECORDS)
    if not all(bool(jnp.all(jnp.isfinite(each))) for each in records.values()):
        raise ValueError("`learning_rate` is too large: the loss is no longer finite. Lower it.")

    progress("initialisation scales", 0.1)
    rate, every = jnp.asarray(s.learning_rate, float), jnp.asarray(s.steps)
    scale_errors, limits = [], []
    for scale in s.scales:
        start = (scale * u, scale * v)
        _, seen = descend(ProductModel(), problems, start, rate, every, 1, spectra)
        scale_errors.append(seen[-1, 1])
        limits.append(mirror_limits(problems, start))
    published = (s.spread * u, s.spread * v)
    scale_errors = np.asarray(jnp.stack(scale_errors))
    if not np.isfinite(scale_errors).all():
        raise ValueError("`scales` are too large for this `learning_rate`: a run diverged.")

    progress("explicit regularisers", 0.35)
    pairs = [(np.asarray(A), np.asarray(b)) for A, b in zip(*problems, strict=True)]
    pursuits = [weighted_basis_pursuit(A, b, np.ones(s.cosines)) for A, b in pairs]
    lassos = [lasso(A, b, s.penalty) for A, b in pairs]
    shortest = [np.linalg.lstsq(A, b, rcond=None)[0] for A, b in pairs]

    def error(x) -> np.ndarray:
        return np.asarray(spectra.test_error(jnp.asarray(np.asarray(x))))

    progress("minibatches", 0.45)
    noisy = minibatch_descent(
        problems, published, s.learning_rate, s.batch_size, s.noise_steps, for_noise
    )
    horizontal = []
    for i, temperature in enumerate(s.temperatures):
        progress(f"noise across the orbits, T = {temperature:g}", 0.55 + 0.45 * i / 2)
        x = horizontal_descent(
            problems, published, s.learning_rate, temperature, s.noise_steps, for_noise
        )
        horizontal.append(error(x))

    return SpectrumResult(
        steps=steps,
        losses={name: np.asarray(each[:, 0]) for name, each in records.items()},
        errors={name: np.asarray(each[:, 1]) for name, each in records.items()},
        truth=np.asarray(spectra.truth[0]),
        ends={name: np.asarray(each[0]) for name, each in ends.items()},
        scale_errors=scale_errors,
        limit_errors=error(limits),
        limit_norms=np.sum(np.abs(limits), axis=-1),
        limit=error(mirror_limits(problems, published)),
        pursuit_errors=error([each.x for each in pursuits]),
        pursuit_norms=np.array([each.value for each in pursuits]),
        pursuit_gap=max(max(each.gap, each.misfit) for each in pursuits),
        lasso_errors=error([each.x for each in lassos]),
        lasso_gap=max(each.gap for each in lassos),
        shortest_errors=error(shortest),
        minibatch=error(noisy),
        horizontal=np.asarray(horizontal),
        mirror=mirror_report(problems, published, ends["Hadamard"]),
    )
