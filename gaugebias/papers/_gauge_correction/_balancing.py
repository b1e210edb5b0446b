"""What the two balancing experiments share: teachers, runs at two batch sizes, and their claims.

A unit has two factors whose product is all that the outputs see, so that `(c a, b / c)` is the
same network. Every gradient is orthogonal to that orbit, and gradient flow keeps
`|a|^2 - |b|^2`: the ratio `|a| / |b|` nears 1 where the product of the norms grows, noise or not.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.flatten_util
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..._types import Key
from ...dynamics import Ensemble, SimulationError, train
from ._sgd import plain_sgd

RECORDS = 100
_PROBES = 100  # inputs on which the error against the teacher is measured


@runtime_checkable
class BalancingSettings(Protocol):
    """What the settings of both experiments have."""

    @property
    def seeds(self) -> int: ...
    @property
    def control_seeds(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def control_batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def steps(self) -> int: ...


def check_balancing(settings: BalancingSettings) -> None:
    """`ValueError` for numbers with which nothing could be said."""
    if not 8 <= settings.control_seeds <= settings.seeds:
        raise ValueError("`control_seeds` must be from 8 to `seeds`, to see their spread.")
    if settings.steps < 1 or settings.steps % RECORDS:
        raise ValueError(f"`steps` must be a positive multiple of {RECORDS}.")
    if not 1 <= settings.batch_size < settings.control_batch_size:
        raise ValueError("`batch_size` must be at least 1 and below `control_batch_size`.")
    if not settings.learning_rate > 0:
        raise ValueError("`learning_rate` must be positive.")


@dataclasses.dataclass(frozen=True)
class Runs:
    """Runs at one batch size.

    - `first`, `second`: norms of the two factors of each unit, `(seeds, T + 1, units)`, the start
      first.
    - `error`: mean squared error against the teacher, over the mean square of its outputs,
      `(seeds, T)`.
    """

    first: np.ndarray
    second: np.ndarray
    error: np.ndarray

    @property
    def log_ratio(self) -> np.ndarray:
        """`log(|a| / |b|)`, `(seeds, T + 1, units)`."""
        return np.log(self.first / self.second)

    @property
    def imbalance(self) -> np.ndarray:
        """`|a|^2 - |b|^2`, `(seeds, T + 1, units)`."""
        return self.first**2 - self.second**2


@dataclasses.dataclass(frozen=True)
class BalancingResult:
    """Runs at the published batch size and at the control's, after `steps` `(T + 1,)`.

    The runs of the control have the starts and teachers of the first of the others.
    """

    steps: np.ndarray
    minibatch: Runs
    large: Runs


@dataclasses.dataclass(frozen=True)
class Task:
    """A network and its teacher.

    - `outputs(weights, inputs)`: of a batch, `(b, ...)`; `inputs(key)` draws one.
    - `start(key)`: `(student, teacher)`, pytrees of weights.
    - `norms(weights)`: of the two factors of each unit.
    - `noise`: deviation of the noise on the teacher's outputs. `averaged`: axes of an output over
      which its squared error is averaged, the others are summed.
    """

    outputs: Callable[[Any, jax.Array], jax.Array]
    inputs: Callable[[Key], jax.Array]
    start: Callable[[Key], tuple[Any, Any]]
    norms: Callable[[Any], tuple[jax.Array, jax.Array]]
    noise: float
    averaged: tuple[int, ...] = ()

    def sample(self, key: Key) -> tuple[jax.Array, jax.Array]:
        """One input, and the noise of its label."""
        for_input, for_noise = jr.split(key)
        x = self.inputs(for_input)
        shape = jax.eval_shape(self.outputs, self._teacher_like, x[None]).shape[1:]
        return x, self.noise * jr.normal(for_noise, shape, x.dtype)

    @property
    def _teacher_like(self) -> Any:
        return jax.eval_shape(self.start, jr.key(0))[1]

    def losses(self, params: tuple[Any, Any], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Squared errors against noisy labels, `(b,)`. The teacher is a part that never moves."""
        student, teacher = params[0], jax.lax.stop_gradient(params[1])
        x, noise = batch
        gap = self.outputs(student, x) - self.outputs(teacher, x) - noise
        squares = gap**2
        count = math.prod(squares.shape[1 + axis] for axis in self.averaged)
        return jnp.sum(squares.reshape(squares.shape[0], -1), axis=1) / count

    def seen(self, params: tuple[Any, Any]) -> dict[str, jax.Array]:
        """What is recorded: norms, and the error on inputs that are the same in all runs."""
        x = jax.vmap(self.inputs)(jr.split(jr.key(0), _PROBES))
        target = self.outputs(params[1], x)
        error = jnp.sum((self.outputs(params[0], x) - target) ** 2) / jnp.sum(target**2)
        first, second = self.norms(params[0])
        return {"first": first, "second": second, "error": error}

    @functools.partial(jax.jit, static_argnums=(0, 2))
    def starts(self, key: Key, seeds: int) -> tuple[Any, Any]:
        """Of the seeds, the same for any number of them."""
        return jax.vmap(lambda i: self.start(jr.fold_in(key, i)))(jnp.arange(seeds))


def train_task(
    task: Task,
    settings: BalancingSettings,
    key: Key,
    seeds: int,
    steps: int,
    batch_size: int,
    progress: Callable[[float], None] | None = None,
) -> Ensemble:
    """Plain stochastic gradient descent on fresh samples, recorded up to 100 times."""
    for_start, for_batches = jr.split(key)
    try:
        return train(
            task.losses,
            task.starts(for_start, seeds),
            task.sample,
            optimiser=plain_sgd(settings.learning_rate),
            batch_size=batch_size,
            key=for_batches,
            steps=steps,
            observe=task.seen,
            every=max(1, steps // RECORDS),
            batched=True,
            vectorised=True,
            progress=progress,
        )
    except SimulationError as error:
        bound = stability_bound(task, for_start)
        raise ValueError(
            f"`learning_rate` is {settings.learning_rate:g}, and {error} Gradient descent at the "
            f"first teacher is stable below {bound:.2g}; small batches need less."
        ) from error


def stability_bound(task: Task, key: Key) -> float:
    """Two over the curvature of the mean loss at the first teacher's weights."""
    _, teacher = task.start(jr.fold_in(key, 0))
    flat, unravel = jax.flatten_util.ravel_pytree(teacher)
    x, noise = jax.vmap(task.sample)(jr.split(jr.key(1), _PROBES))

    def mean_loss(weights):
        return jnp.mean(task.losses((unravel(weights), teacher), (x, jnp.zeros_like(noise))))

    top = jnp.linalg.eigvalsh(jax.hessian(mean_loss)(flat))[-1]
    return float(2.0 / top)


def run_task(
    task: Task, settings: BalancingSettings, key: Key, progress: Callable[[str, float], None]
) -> BalancingResult:
    """Both batch sizes."""
    small = settings.seeds * settings.batch_size
    share = small / (small + settings.control_seeds * settings.control_batch_size)
    start = task.norms(task.starts(jr.split(key)[0], settings.seeds)[0])
    found, steps = [], np.arange(0)
    for seeds, batch, at, part in (
        (settings.seeds, settings.batch_size, 0.0, share),
        (settings.control_seeds, settings.control_batch_size, share, 1.0 - share),
    ):

        def tell(fraction: float, batch=batch, at=at, part=part) -> None:
            progress(f"batches of {batch}", at + part * fraction)

        run = train_task(task, settings, key, seeds, settings.steps, batch, tell)
        first, second = (
            np.concatenate([np.asarray(at_start)[:seeds, None], run.values[name]], axis=1)
            for name, at_start in zip(("first", "second"), start, strict=True)
        )
        found.append(Runs(first.astype(np.float64), second.astype(np.float64), run.values["error"]))
        steps = np.concatenate([[0], run.steps])
    return BalancingResult(steps, found[0], found[1])
