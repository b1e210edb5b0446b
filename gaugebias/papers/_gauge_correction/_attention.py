"""Balancing in single-head attention, of the columns of queries and keys."""

import dataclasses
import functools
import math
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
class AttentionSettings:
    r"""Published: sizes, batch, learning rate, steps, deviations, noise, the teacher's `W_Q`.

    Outputs are `softmax(X W_Q W_K^T X^T / sqrt(head)) X`. The teacher's weights have deviation
    `teacher_scale` and each column of its `W_Q` is multiplied by `4 + 4 |normal|`; the student's
    have `student_scale`. Ours, where the published values are not known: the columns of the
    student's `W_Q` are multiplied and those of `W_K` divided by `exp` of numbers evenly spaced from
    `-spread` to `spread`, as in the ReLU network; tokens are standard normal, fresh in every batch;
    the loss is the squared error, summed over a token and averaged over tokens; batches of
    `control_batch_size` in the control, over `control_seeds`. Runs in float32, as plain torch does.
    """

    seeds: int = 32
    embedding: int = 16
    head: int = 8
    length: int = 8
    teacher_scale: float = 0.75
    student_scale: float = 0.1
    noise: float = 0.02
    spread: float = 1.2
    batch_size: int = 16
    learning_rate: float = 1e-3
    steps: int = 50_000
    control_seeds: int = 8
    control_batch_size: int = 64

    def __post_init__(self) -> None:
        check_balancing(self)
        if min(self.embedding, self.head, self.length) < 2:
            raise ValueError("`embedding`, `head` and `length` must be at least 2.")


@functools.cache
def _task(settings: AttentionSettings) -> Task:
    d, h = settings.embedding, settings.head

    def outputs(weights, x):
        logits = (x @ weights["q"]) @ jnp.swapaxes(x @ weights["k"], -1, -2) / math.sqrt(h)
        return jax.nn.softmax(logits, axis=-1) @ x

    def draw(key):
        return jr.normal(key, (settings.length, d), jnp.float32)

    def start(key):
        keys = jr.split(key, 5)
        q, k, teacher_q, teacher_k = (jr.normal(each, (d, h), jnp.float32) for each in keys[:4])
        stretch = jnp.exp(jnp.linspace(-settings.spread, settings.spread, h, dtype=jnp.float32))
        student = {
            "q": settings.student_scale * q * stretch[None],
            "k": settings.student_scale * k / stretch[None],
        }
        large = 4.0 + 4.0 * jnp.abs(jr.normal(keys[4], (1, h), jnp.float32))
        teacher = {
            "q": settings.teacher_scale * teacher_q * large,
            "k": settings.teacher_scale * teacher_k,
        }
        return student, teacher

    def norms(weights):
        q, k = (jnp.sqrt(jnp.sum(weights[name] ** 2, axis=-2)) for name in ("q", "k"))
        return q, k

    return Task(outputs, draw, start, norms, settings.noise, averaged=(0,))


def train_attention(
    settings: AttentionSettings,
    key: Key,
    seeds: int,
    steps: int,
    batch_size: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Ensemble:
    """`seeds` runs of `steps` steps, recorded up to 100 times."""
    batch_size = settings.batch_size if batch_size is None else batch_size
    return train_task(_task(settings), settings, key, seeds, steps, batch_size, progress)


def run_attention(
    settings: AttentionSettings, key: Key, progress: Callable[[str, float], None]
) -> BalancingResult:
    """Small and large batches from the same starts."""
    return run_task(_task(settings), settings, key, progress)


_WORDS = Wording(
    "attention",
    "Attention",
    "column",
    "q",
    "k",
    0.85,
    1.15,
    "One published run: from 0.037-5.3 to 0.935-1.012; our start is wider.",
    "supported",
)


def claims_attention(settings: AttentionSettings, result: BalancingResult) -> tuple[Claim, ...]:
    """The norms balance; where they end; whether noise does it; what does."""
    return claims_task(_WORDS, settings, result)


def controls_attention(settings: AttentionSettings, result: BalancingResult) -> tuple[Claim, ...]:
    """Large batches at the same learning rate, and whether the network learned."""
    return controls_task(_WORDS, settings, result)


def figures_attention(
    settings: AttentionSettings, result: BalancingResult
) -> tuple[CurveData, ...]:
    """Ratios with what conservation predicts, and the imbalance."""
    return figures_task(_WORDS, settings, result)
