"""Balancing in a shallow ReLU network of the units `v_j relu(w_j . x)`."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr

from ..._types import Key
from ...dynamics import Ensemble
from ...plot import CurveData
from .._claim import Claim
from ._balancing import BalancingResult, Task, check_balancing, run_task, train_task
from ._balancing_claims import Wording, claims_task, controls_task, figures_task


@dataclasses.dataclass(frozen=True)
class ReLUSettings:
    r"""Published: sizes, batch, learning rate, steps, deviations, label noise and `spread`.

    Teacher and student are `sum_j v_j relu(w_j . x)` with weights of deviation `teacher_scale` and
    `student_scale`; then `w_j` is multiplied and `v_j` divided by `exp` of numbers evenly spaced
    from `-spread` to `spread`. Ours: `x` is standard normal, fresh in every batch; the loss is the
    squared error; batches of `control_batch_size` in the control, over `control_seeds`.
    """

    seeds: int = 32
    inputs: int = 3
    hidden: int = 16
    teacher_scale: float = 1.5
    student_scale: float = 0.05
    noise: float = 0.1
    spread: float = 1.2
    batch_size: int = 8
    learning_rate: float = 5e-5
    steps: int = 40_000
    control_seeds: int = 16
    control_batch_size: int = 256

    def __post_init__(self) -> None:
        check_balancing(self)
        if min(self.inputs, self.hidden) < 2:
            raise ValueError("`inputs` and `hidden` must be at least 2.")


@functools.cache
def _task(settings: ReLUSettings) -> Task:
    d, h = settings.inputs, settings.hidden

    def outputs(weights, x):
        return jax.nn.relu(x @ weights["w"].T) @ weights["v"]

    def draw(key):
        return jr.normal(key, (d,), float)

    def start(key):
        keys = jr.split(key, 4)
        stretch = jnp.exp(jnp.linspace(-settings.spread, settings.spread, h))
        student = {
            "w": settings.student_scale * stretch[:, None] * jr.normal(keys[0], (h, d), float),
            "v": settings.student_scale / stretch * jr.normal(keys[1], (h,), float),
        }
        teacher = {
            "w": settings.teacher_scale * jr.normal(keys[2], (h, d), float),
            "v": settings.teacher_scale * jr.normal(keys[3], (h,), float),
        }
        return student, teacher

    def norms(weights):
        return jnp.abs(weights["v"]), jnp.sqrt(jnp.sum(weights["w"] ** 2, axis=-1))

    return Task(outputs, draw, start, norms, settings.noise)


def train_relu(
    settings: ReLUSettings,
    key: Key,
    seeds: int,
    steps: int,
    batch_size: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Ensemble:
    """`seeds` runs of `steps` steps, recorded up to 100 times."""
    batch_size = settings.batch_size if batch_size is None else batch_size
    return train_task(_task(settings), settings, key, seeds, steps, batch_size, progress)


def run_relu(
    settings: ReLUSettings, key: Key, progress: Callable[[str, float], None]
) -> BalancingResult:
    """Small and large batches from the same starts."""
    return run_task(_task(settings), settings, key, progress)


_WORDS = Wording(
    "relu",
    "ReLU",
    "unit",
    "v",
    "w",
    0.93,
    1.02,
    "One published run: from 0.0018-3.6 to 0.939-1.005.",
    "not supported",
)


def claims_relu(settings: ReLUSettings, result: BalancingResult) -> tuple[Claim, ...]:
    """The norms balance; where they end; whether noise does it; what does."""
    return claims_task(_WORDS, settings, result)


def controls_relu(settings: ReLUSettings, result: BalancingResult) -> tuple[Claim, ...]:
    """Large batches at the same learning rate, and whether the network learned."""
    return controls_task(_WORDS, settings, result)


def figures_relu(settings: ReLUSettings, result: BalancingResult) -> tuple[CurveData, ...]:
    """Ratios with what conservation predicts, and the imbalance."""
    return figures_task(_WORDS, settings, result)
