"""Matrix completion by two full factors: what it estimates, and whether noise has a part in it."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..._types import Key
from ...dynamics import Ensemble, SimulationError, train
from ._checks import check_positive
from ._nuclear import NuclearMinimiser, minimise_nuclear_norm
from ._sgd import plain_sgd

RECORDS = 100


@dataclasses.dataclass(frozen=True)
class CompletionSettings:
    r"""Published: sizes, spectrum, share of entries, learning rate, steps and starts.

    `W = U V^T` with square factors of deviations `scale_u` and `scale_v` fits a matrix of random
    singular vectors whose singular values are `spectrum`, on the share `observed` of its entries.
    The loss is the sum of squared errors over `size^2`; each step sees a random part of the
    entries, each with probability `kept`. The control has each entry's weight `kept` in every step,
    over `control_seeds`. Runs in float32, as plain torch does.
    """

    seeds: int = 32
    size: int = 20
    spectrum: tuple[float, ...] = (15.0, 5.0)
    observed: float = 0.2
    kept: float = 0.5
    scale_u: float = 0.11
    scale_v: float = 0.1
    learning_rate: float = 1e-3
    steps: int = 500_000
    control_seeds: int = 16

    def __post_init__(self) -> None:
        check_positive(self, "steps", "scale_u", "scale_v")
        if not 8 <= self.control_seeds <= self.seeds:
            raise ValueError("`control_seeds` must be from 8 to `seeds`, to see their spread.")
        if self.steps % RECORDS:
            raise ValueError(f"`steps` must be a multiple of {RECORDS}.")
        if not 2 <= len(self.spectrum) <= self.size or min(self.spectrum) <= 0:
            raise ValueError("`spectrum` must hold from two to `size` positive values.")
        if self.size > 32:
            raise ValueError("`size` must be at most 32: a row's random part is one 32-bit number.")
        if not (0 < self.observed <= 1 and 0 < self.kept <= 1):
            raise ValueError("`observed` and `kept` are shares: give numbers above 0, at most 1.")
        if self.entries < 1:
            raise ValueError("`observed` leaves no entry: the mask would be empty.")
        if self.kept not in (0.5, 1.0):
            raise ValueError("`kept` must be 0.5 or 1: parts are drawn by single random bits.")
        # At the truth the curvature is at most 2 (s_max(U)^2 + s_max(V)^2) / size^2.
        bound = self.size**2 / (2.0 * max(self.spectrum))
        if not 0 < self.learning_rate < bound:
            raise ValueError(
                f"`learning_rate` is {self.learning_rate:g}: it must be positive and below "
                f"{bound:.3g}, two over the curvature at the truth, where gradient descent is "
                "stable."
            )

    @property
    def entries(self) -> int:
        """Number of entries observed."""
        return round(self.observed * self.size**2)


@dataclasses.dataclass(frozen=True)
class CompletionRuns:
    """Of the estimates after `steps`.

    - `values`: singular values, `(seeds, T, size)`. `error`: `|W - truth| / |truth|`, `fit`: the
      loss with all observed entries, both `(seeds, T)`.
    - `drift`: size of the change a step that the noise itself makes on average, over `|W|`,
      `(seeds, T)`: see `noise_drift`.
    - `imbalance`: `|U^T U - V^T V|`, `(seeds, T)`.
    """

    values: np.ndarray
    error: np.ndarray
    fit: np.ndarray
    drift: np.ndarray
    imbalance: np.ndarray


@dataclasses.dataclass(frozen=True)
class CompletionResult:
    """Minibatch and full-batch runs from the same starts, and the nuclear-norm minimisers.

    - `unseen`: number of rows and columns without any observed entry, `(seeds,)`.
    - `nuclear`, `nuclear_error`: for the masks of the control.
    """

    steps: np.ndarray
    minibatch: CompletionRuns
    full: CompletionRuns
    unseen: np.ndarray
    nuclear: NuclearMinimiser
    nuclear_error: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Task:
    """The functions of a run."""

    settings: CompletionSettings

    def start(self, key: Key) -> dict[str, jax.Array]:
        """Factors, and the truth and mask, which never move."""
        settings, n = self.settings, self.settings.size
        keys = jr.split(key, 5)
        left, right = (jnp.linalg.qr(jr.normal(each, (n, n), float))[0] for each in keys[:2])
        s = jnp.asarray(settings.spectrum, float)
        truth = (left[:, : s.size] * s[None]) @ right[:, : s.size].T
        chosen = jr.permutation(keys[2], n * n) < settings.entries
        return {
            "u": settings.scale_u * jr.normal(keys[3], (n, n), jnp.float32),
            "v": settings.scale_v * jr.normal(keys[4], (n, n), jnp.float32),
            "truth": truth.astype(jnp.float32),
            "mask": chosen.reshape(n, n).astype(jnp.float32),
        }

    @functools.partial(jax.jit, static_argnums=(0, 2))
    def starts(self, key: Key, seeds: int) -> dict[str, jax.Array]:
        """Of the seeds, the same for any number of them."""
        return jax.vmap(lambda i: self.start(jr.fold_in(key, i)))(jnp.arange(seeds))

    def part(self, key: Key) -> jax.Array:
        """A random part of all entries, `(size, size)`: bits of one number a row."""
        n = self.settings.size
        if self.settings.kept == 1.0:
            return jnp.ones((n, n), jnp.float32)
        rows = jr.bits(key, (n, 1), jnp.uint32)
        return ((rows >> jnp.arange(n, dtype=jnp.uint32)[None]) & 1).astype(jnp.float32)

    def mean_part(self, key: Key) -> jax.Array:
        """The mean of the parts: no noise."""
        n = self.settings.size
        return jnp.full((n, n), self.settings.kept, jnp.float32)

    def loss(self, params: dict[str, jax.Array], part: jax.Array) -> jax.Array:
        truth, mask = (jax.lax.stop_gradient(params[name]) for name in ("truth", "mask"))
        gap = params["u"] @ params["v"].T - truth
        return jnp.sum(mask * part * gap**2) / self.settings.size**2

    def seen(self, params: dict[str, jax.Array]) -> dict[str, jax.Array]:
        u, v, truth, mask = (params[name] for name in ("u", "v", "truth", "mask"))
        w = u @ v.T
        size = jnp.sqrt(jnp.sum(w**2))
        drift = noise_drift(self.settings, w, mask * (w - truth))
        return {
            "values": jnp.linalg.svd(w, compute_uv=False),
            "error": jnp.sqrt(jnp.sum((w - truth) ** 2) / jnp.sum(truth**2)),
            "fit": jnp.sum(mask * (w - truth) ** 2) / self.settings.size**2,
            "drift": jnp.sqrt(jnp.sum(drift**2)) / size,
            "imbalance": jnp.sqrt(jnp.sum((u.T @ u - v.T @ v) ** 2)),
        }


@functools.cache
def _task(settings: CompletionSettings) -> _Task:
    """One for all runs of the same settings, which then share what is compiled."""
    return _Task(settings)


def noise_drift(settings: CompletionSettings, w: jax.Array, gap: jax.Array) -> jax.Array:
    r"""Mean change of `W = U V^T` in a step by the noise of the parts alone, `(size, size)`.

    A step with gradient `G` in `W` changes `W` by `-eta (G V V^T + U U^T G) + eta^2 G W^T G`. With
    `G = mean + X`, `X` independent between entries, `E[X W^T X] = Var(X) W`, entry by entry: the
    term of Ito's formula, which is all that horizontal noise adds to the drift of `W` where the
    factors are. Here `X = 2 gap (part - kept) / size^2`. Re-derived.
    """
    variance = settings.kept * (1.0 - settings.kept)
    return (settings.learning_rate * 2.0 * gap / settings.size**2) ** 2 * variance * w


def train_completion(
    settings: CompletionSettings,
    key: Key,
    seeds: int,
    steps: int,
    noise: str = "minibatch",
    progress: Callable[[float], None] | None = None,
) -> Ensemble:
    """`seeds` runs of `steps` steps, recorded up to 100 times. `noise`: or `"full"` for none."""
    if noise not in ("minibatch", "full"):
        raise ValueError(f"`noise` must be 'minibatch' or 'full', but is {noise!r}.")
    task = _task(settings)
    for_start, for_parts = jr.split(key)
    try:
        return train(
            task.loss,
            task.starts(for_start, seeds),
            task.part if noise == "minibatch" else task.mean_part,
            optimiser=plain_sgd(settings.learning_rate),
            batch_size=1,
            key=for_parts,
            steps=steps,
            observe=task.seen,
            every=max(1, steps // RECORDS),
            batched=True,
            progress=progress,
        )
    except SimulationError as error:
        raise ValueError(f"`learning_rate` is too large for some starts: {error}") from error


def run_completion(
    settings: CompletionSettings, key: Key, progress: Callable[[str, float], None]
) -> CompletionResult:
    """Runs with and without noise, and the nuclear-norm minimisers of the same masks."""
    share = settings.seeds / (settings.seeds + settings.control_seeds)
    found, steps = [], np.arange(0)
    for noise, seeds, at, part in (
        ("minibatch", settings.seeds, 0.0, 0.98 * share),
        ("full", settings.control_seeds, 0.98 * share, 0.98 * (1.0 - share)),
    ):

        def tell(fraction: float, noise=noise, at=at, part=part) -> None:
            progress(f"{noise} batches", at + part * fraction)

        run = train_completion(settings, key, seeds, settings.steps, noise, tell)
        found.append(CompletionRuns(**{k: v.astype(np.float64) for k, v in run.values.items()}))
        steps = run.steps
    progress("nuclear norm", 0.98)
    starts = _task(settings).starts(jr.split(key)[0], settings.seeds)
    truth, mask = np.asarray(starts["truth"], np.float64), np.asarray(starts["mask"]) > 0
    unseen = np.sum(~mask.any(axis=1), axis=1) + np.sum(~mask.any(axis=2), axis=1)
    n = settings.control_seeds
    nuclear = minimise_nuclear_norm(truth[:n], mask[:n])
    gap = np.linalg.norm(nuclear.matrices - truth[:n], axis=(1, 2))
    error = gap / np.linalg.norm(truth[:n], axis=(1, 2))
    return CompletionResult(steps, found[0], found[1], unseen, nuclear, error)
