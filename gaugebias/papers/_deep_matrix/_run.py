"""The experiments."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ... import flows
from ..._types import Key
from ._settings import Settings


@dataclasses.dataclass(frozen=True)
class Estimation:
    """One depth from an identical start.

    - `eigenvalues`, shape `(steps + 1, n)`, and `effective_rank`, shape `(steps + 1,)`.
    - `passages`: steps to `1 - accuracy` of each positive eigenvalue, `brackets` their bounds.
    - `windows`: one for each rank.
    """

    depth: int
    alpha: float
    eigenvalues: np.ndarray
    effective_rank: np.ndarray
    passages: np.ndarray
    brackets: flows.StepBracket
    windows: tuple[flows.StoppingWindow, ...]


@dataclasses.dataclass(frozen=True)
class Sensing:
    """One depth: `errors` (relative, Frobenius) and `ranks` (effective) at the end, a seed each.

    `steps` and `trace`: the effective rank along the run, shape `(seeds, saves + 1)`; `residuals`:
    the largest misfit at the end.
    """

    depth: int
    errors: np.ndarray
    ranks: np.ndarray
    steps: np.ndarray
    trace: np.ndarray
    residuals: np.ndarray


@dataclasses.dataclass(frozen=True)
class RandomStart:
    """One depth from Gaussian starts.

    - `passages`: steps to 90% of each positive eigenvalue, shape `(seeds, positive)`.
    - `nearest`: for each rank, the least relative distance of the effective rank from that of the
      best approximation, between the passages of its last eigenvalue and of the next, `(seeds, L)`.
    """

    depth: int
    passages: np.ndarray
    nearest: np.ndarray


@dataclasses.dataclass(frozen=True)
class Trap:
    """Ends on a spectrum with a negative eigenvalue: the smallest eigenvalue of the product.

    `factors`: from an identical start whose tie is broken by 1e-12. Rounding may do the same, and
    does for some sizes and machines; where products of matrices keep the tie, it does not.
    `perturbed`: the largest error of any eigenvalue, for each of `depths`.
    """

    factors: float
    tied: float
    recursion: float
    perturbed: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Result:
    """Everything that was measured; `separations` from small starts and from large ones."""

    settings: Settings
    estimation: tuple[Estimation, ...]
    separations: np.ndarray
    large_separations: np.ndarray
    reduction_error: tuple[float, ...]
    random: tuple[RandomStart, ...]
    sensing: tuple[Sensing, ...]
    trap: Trap


def _silent(text: str, fraction: float) -> None:
    pass


def run(settings: Settings, key: Key, progress: Callable[[str, float], None] = _silent) -> Result:
    """All experiments of the publication. Needs float64 for the numbers given in the claims."""
    s = settings
    turn, random_key, sensing_key, trap_key = jr.split(key, 4)
    progress("estimation by the recursion", 0.0)
    estimation = tuple(_estimation(s, *each) for each in zip(s.depths, s.alphas, strict=True))
    progress("depths compared", 0.1)
    separations = np.array([_separation(s, n, s.product_scale) for n in s.compared_depths])
    large = np.array([_separation(s, n, s.large_scale) for n in s.compared_depths])
    progress("matrices against the recursion", 0.15)
    reduction = tuple(_reduction_error(s, each, turn) for each in estimation)
    random = []
    for depth, alpha in zip(s.random_depths, s.random_alphas, strict=True):
        progress(f"random starts at depth {depth}", 0.25)
        random.append(_random(s, depth, alpha, random_key))
    sensing = []
    for i, (depth, alpha) in enumerate(zip(s.sensing_depths, s.sensing_alphas, strict=True)):
        progress(f"sensing at depth {depth}", 0.5 + 0.4 * i / len(s.sensing_depths))
        sensing.append(_sensing(s, depth, alpha, sensing_key))
    progress("negative eigenvalues", 0.95)
    trap = _trap(s, trap_key)
    return Result(s, estimation, separations, large, reduction, tuple(random), tuple(sensing), trap)


def _positive(spectrum: tuple[float, ...]) -> np.ndarray:
    values = np.asarray(spectrum)
    return values[values > 0]


def _estimation(s: Settings, depth: int, alpha: float) -> Estimation:
    path = flows.spectral_descent(s.spectrum, depth, s.learning_rate, alpha, steps=s.steps)
    positive = _positive(s.spectrum)
    levels = ((1.0 - s.accuracy) * positive) ** (1.0 / depth)
    windows = tuple(
        flows.stopping_window(
            s.spectrum,
            depth,
            s.learning_rate,
            alpha,
            rank=rank,
            accuracy=s.accuracy,
            leakage=s.leakage,
        )
        for rank in range(1, len(positive) + 1)
    )
    return Estimation(
        depth,
        alpha,
        np.asarray(path.eigenvalues),
        np.asarray(path.effective_rank),
        np.asarray(path.first_step(1.0 - s.accuracy))[: len(positive)],
        flows.step_bracket(positive, depth, s.learning_rate, alpha, levels),
        windows,
    )


def _separation(s: Settings, depth: int, scale: float) -> float:
    """Step at which the second eigenvalue has come to 10%, over that of the first at 90%.

    From `alpha^N = scale`. Above 1, the first is nearly recovered before the second appears.
    """
    alpha = scale ** (1.0 / depth)
    path = flows.spectral_descent(
        s.spectrum[:2], depth, s.learning_rate, alpha, steps=s.compared_steps
    )
    rise = np.asarray(path.eigenvalues) >= 0.1 * np.asarray(s.spectrum[:2])
    second = np.argmax(rise[:, 1]) if rise[:, 1].any() else math.nan
    return float(second / np.asarray(path.first_step(0.9))[0])


def _rotation(key: Key, size: int) -> jax.Array:
    return jnp.linalg.qr(jr.normal(key, (size, size)))[0]


def _reduction_error(s: Settings, estimation: Estimation, key: Key) -> float:
    """Largest difference of the matrices' eigenvalues from the recursion's, relative to the top."""
    vectors = _rotation(key, len(s.spectrum))
    target = (vectors * jnp.asarray(s.spectrum)[None, :]) @ vectors.T
    start = flows.identical_start(len(s.spectrum), estimation.depth, estimation.alpha)
    path = flows.gradient_descent(
        flows.DeepProduct(),
        flows.MatrixEstimation(target),
        start,
        s.learning_rate,
        steps=s.matrix_steps,
        saves=20,
    )
    seen = flows.eigen_trajectories(path.x, vectors)
    wanted = estimation.eigenvalues[np.asarray(path.steps)]
    error = np.max(np.abs(np.asarray(seen.values) - wanted))
    return float(max(error, float(jnp.max(seen.rest))) / s.spectrum[0])


def _random(s: Settings, depth: int, alpha: float, key: Key) -> RandomStart:
    positive, size = _positive(s.spectrum), len(s.spectrum)
    loss = flows.MatrixEstimation(jnp.diag(jnp.asarray(s.spectrum)))

    def one(key):
        start = flows.random_start(key, size, depth, alpha)
        path = flows.gradient_descent(
            flows.DeepProduct(),
            loss,
            start,
            s.random_learning_rate,
            steps=s.random_steps,
            saves=1000,
        )
        seen = jnp.diagonal(path.x, axis1=1, axis2=2)[:, : len(positive)]
        return seen, flows.effective_rank(path.x), path.steps

    seen, ranks, steps = jax.vmap(one)(jr.split(key, s.random_seeds))
    there, ranks = np.asarray(seen) >= 0.9 * positive, np.asarray(ranks)
    first = np.where(there.any(axis=1), there.argmax(axis=1), ranks.shape[1] - 1)
    times = np.where(there.any(axis=1), np.asarray(steps)[0][first], math.inf)
    nearest = np.empty(first.shape)
    for seed, rank in np.ndindex(first.shape):
        target = positive[: rank + 1].sum() / positive[0]
        end = first[seed, rank + 1] if rank + 1 < len(positive) else ranks.shape[1] - 1
        part = ranks[seed, first[seed, rank] : max(end, first[seed, rank]) + 1]
        nearest[seed, rank] = np.min(np.abs(part - target)) / target
    return RandomStart(depth, times, nearest)


def _sensing(s: Settings, depth: int, alpha: float, key: Key) -> Sensing:
    values = jnp.asarray(s.sensing_spectrum)
    size = s.sensing_size

    def one(key):
        for_target, for_operators = jr.split(key)
        vectors = _rotation(for_target, size)[:, : values.size]
        target = (vectors * values[None, :]) @ vectors.T
        operators = flows.gaussian_measurements(for_operators, s.sensing_measurements, size)
        loss = flows.MatrixSensing.of(operators, target)
        path = flows.gradient_descent(
            flows.DeepProduct(),
            loss,
            flows.identical_start(size, depth, alpha),
            s.sensing_learning_rate,
            steps=s.sensing_steps,
            saves=400,
        )
        error = jnp.linalg.norm(path.end - target) / jnp.linalg.norm(target)
        misfit = jnp.max(jnp.abs(loss.observe(path.end) - loss.measurements))
        return error, flows.effective_rank(path.x), path.steps, misfit

    errors, ranks, steps, misfit = jax.vmap(one)(jr.split(key, s.sensing_seeds))
    ranks = np.asarray(ranks)
    return Sensing(
        depth, np.asarray(errors), ranks[:, -1], np.asarray(steps)[0], ranks, np.asarray(misfit)
    )


def _trap(s: Settings, key: Key) -> Trap:
    spectrum = np.asarray(s.trap_spectrum)
    vectors = _rotation(key, len(spectrum))
    target = (vectors * jnp.asarray(spectrum)[None, :]) @ vectors.T
    target = 0.5 * (target + target.T)
    loss = flows.MatrixEstimation(target)
    eye = flows.identical_start(len(spectrum), 1, s.trap_alpha)[0]
    rate = s.trap_learning_rate

    def least(fn, start, rate):
        path = flows.gradient_descent(fn, loss, start, rate, steps=s.trap_steps)
        end = path.end
        return float(jnp.linalg.eigvalsh(0.5 * (end + end.T))[0])

    start = flows.identical_start(len(spectrum), 2, s.trap_alpha)
    start += 1e-12 * jr.normal(jr.fold_in(key, 1), start.shape)
    recursion = flows.spectral_descent(spectrum, 2, rate, s.trap_alpha, steps=s.trap_steps, saves=1)
    perturbed = []
    for depth, alpha in zip(s.depths, s.alphas, strict=True):
        rows = np.full((depth, len(spectrum)), alpha)
        rows[0] *= 0.5
        path = flows.spectral_descent(spectrum, depth, rate, rows, steps=s.trap_steps, saves=1)
        perturbed.append(float(np.max(np.abs(np.asarray(path.eigenvalues[-1]) - spectrum))))
    return Trap(
        least(flows.DeepProduct(), start, rate),
        least(flows.TiedProduct(2), eye, rate / 2.0),
        float(jnp.min(recursion.eigenvalues[-1])),
        tuple(perturbed),
    )
