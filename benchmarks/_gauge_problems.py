"""Five experiments of 2601.06597 as problems that any framework can run: data, starts and losses.

Written from the published settings (learning rates, batch sizes, scales, steps); where those leave
something open (the distribution of inputs, the frequencies, the measurements), the choice is that
of `gaugebias reproduce gauge-correction`. Everything is float32. A step is one update of all models
of an experiment; the losses below take a batch, leaves without a seed axis.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

Arrays = tuple[np.ndarray, ...]

INPUTS, HIDDEN, RELU_BATCH, RELU_NOISE = 3, 16, 8, 0.1
EMBEDDING, HEAD, LENGTH, ATTENTION_BATCH, ATTENTION_NOISE = 16, 8, 8, 16, 0.02
SIDE, OBSERVED, KEPT = 20, 80, 0.5
COSINES, POINTS, PENALTY = 64, 32, 0.1
SIGNAL, MEASUREMENTS = 200, 60
LINEAR_NOISE = 0.1


@dataclass(frozen=True)
class Model:
    """What is trained: `start(seed)` are its parameters, `loss(params, batch)` is in jax."""

    name: str
    learning_rate: float
    start: Callable[[int], Arrays]
    loss: Callable[[Any, Any], jax.Array]

    def starts(self, seeds: int) -> Arrays:
        """The parameters of seeds 0, 1, ..., seeds first."""
        return tuple(np.stack(x) for x in zip(*map(self.start, range(seeds)), strict=True))


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    - `truth`: arrays that the data come from.
    - `steps`: of the publication; runs are timed over fewer.
    - `draw`: a fresh batch from a key; or `None`, and each step takes all of `data(seed)`.
    - `watched`: whether the loss and the error against the truth are recorded after each step.
    """

    name: str
    title: str
    steps: int
    truth: Arrays
    models: tuple[Model, ...]
    draw: Callable[[Any], Any] | None = None
    data: Callable[[int], Arrays] | None = None
    watched: bool = False

    def all_data(self, seeds: int) -> Arrays:
        """The data of seeds 0, 1, ..., seeds first."""
        assert self.data is not None
        return tuple(np.stack(x) for x in zip(*map(self.data, range(seeds)), strict=True))


def _rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _single(*arrays) -> Arrays:
    return tuple(np.asarray(x, np.float32) for x in arrays)


def relu_balance() -> Experiment:
    """A 3-16-1 ReLU student of a teacher, its layers unbalanced neuron by neuron."""
    rng, stretch = _rng(0), np.exp(np.linspace(-1.2, 1.2, HIDDEN))
    truth = _single(1.5 * rng.normal(size=(HIDDEN, INPUTS)), 1.5 * rng.normal(size=HIDDEN))

    def start(seed):
        rng = _rng(1, seed)
        first = 0.05 * rng.normal(size=(HIDDEN, INPUTS)) * stretch[:, None]
        return _single(first, 0.05 * rng.normal(size=HIDDEN) / stretch)

    def outputs(params, x):
        return jax.nn.relu(x @ params[0].T) @ params[1]

    def draw(key):
        inputs, noise = jr.split(key)
        x = jr.normal(inputs, (RELU_BATCH, INPUTS), jnp.float32)
        return x, outputs(truth, x) + RELU_NOISE * jr.normal(noise, (RELU_BATCH,), jnp.float32)

    def loss(params, batch):
        return jnp.mean((outputs(params, batch[0]) - batch[1]) ** 2)

    model = Model("student", 5e-5, start, loss)
    return Experiment("relu", "shallow ReLU balancing", 40_000, truth, (model,), draw)


def attention_balance() -> Experiment:
    """One attention head without value and output matrices, its teacher's queries large."""
    rng, stretch = _rng(2), np.exp(np.linspace(-1.2, 1.2, HEAD))
    queries, keys = 0.75 * rng.normal(size=(2, EMBEDDING, HEAD))
    truth = _single(queries * (4 + 4 * np.abs(rng.normal(size=HEAD))), keys)

    def start(seed):
        one, other = 0.1 * _rng(3, seed).normal(size=(2, EMBEDDING, HEAD))
        return _single(one * stretch, other / stretch)

    def outputs(params, x):
        logits = (x @ params[0]) @ jnp.swapaxes(x @ params[1], -1, -2) / np.float32(HEAD**0.5)
        return jax.nn.softmax(logits, axis=-1) @ x

    def draw(key):
        inputs, noise = jr.split(key)
        x = jr.normal(inputs, (ATTENTION_BATCH, LENGTH, EMBEDDING), jnp.float32)
        return x, outputs(truth, x) + ATTENTION_NOISE * jr.normal(noise, x.shape, jnp.float32)

    def loss(params, batch):
        squares = (outputs(params, batch[0]) - batch[1]) ** 2
        return jnp.mean(jnp.sum(squares, axis=-1))

    model = Model("student", 1e-3, start, loss)
    title = "single-head attention balancing"
    return Experiment("attention", title, 50_000, truth, (model,), draw)


def matrix_completion() -> Experiment:
    """A 20 x 20 matrix of rank two from a fifth of its entries, about half of those a step."""
    rng = _rng(4)
    left, right = (np.linalg.qr(rng.normal(size=(SIDE, 2)))[0] for _ in range(2))
    mask = np.zeros(SIDE * SIDE)
    mask[rng.choice(SIDE * SIDE, OBSERVED, replace=False)] = 1.0
    truth = _single((left * (15.0, 5.0)) @ right.T, mask.reshape(SIDE, SIDE))

    def start(seed):
        one, other = _rng(5, seed).normal(size=(2, SIDE, SIDE))
        return _single(0.11 * one, 0.1 * other)

    def draw(key):
        return truth[1] * jr.bernoulli(key, KEPT, (SIDE, SIDE))

    def loss(params, part):
        return jnp.mean(part * (params[0] @ params[1].T - truth[0]) ** 2)

    model = Model("factors", 1e-3, start, loss)
    return Experiment("completion", "matrix completion", 500_000, truth, (model,), draw)


def _misfit(x, batch):
    return jnp.mean((batch[0] @ x - batch[1]) ** 2)


def coefficient_error(truth, x):
    """Mean square error over all of [0, 1] of a sum of cosines: they are orthogonal.

    Of numpy, jax and torch arrays; coefficients on the last axis, the constant first.
    """
    squares = (x - truth) ** 2
    return 0.5 * squares.sum(-1) + 0.5 * squares[..., 0]


def sparse_spectrum() -> Experiment:
    """Three cosines out of 64 from 32 noisy points: plain, with `|w|_1`, and as products `p q`."""
    rng = _rng(6)
    weights = np.zeros(COSINES)
    support = rng.choice(np.arange(1, COSINES), 3, replace=False)
    weights[support] = rng.choice([-1, 1], 3) * rng.uniform(1, 2, 3)

    def data(seed):
        rng = _rng(12, seed)
        design = np.cos(2 * np.pi * np.outer(rng.uniform(size=POINTS), np.arange(COSINES)))
        return _single(design, design @ weights + LINEAR_NOISE * rng.normal(size=POINTS))

    def plain(seed):
        return _single(1e-4 * _rng(7, seed).normal(size=COSINES))

    def factors(seed):
        return _single(*(0.01 * _rng(8, seed).normal(size=(2, COSINES))))

    def product(params, batch):
        return _misfit(params[0] * params[1], batch)

    def penalised(params, batch):
        return _misfit(params[0], batch) + PENALTY * jnp.sum(jnp.abs(params[0]))

    models = (
        Model("plain", 1e-3, plain, lambda params, batch: _misfit(params[0], batch)),
        Model("penalised", 1e-3, plain, penalised),
        Model(
            "product", 1e-3, factors, lambda params, batch: _misfit(params[0] * params[1], batch)
        ),
    )
    return Experiment(
        "spectrum", "sparse spectrum", 50_000, _single(weights), models, data=data, watched=True
    )


def total_variation() -> Experiment:
    """A signal of 200 points with few jumps from 60 measurements: plain, and as sums of `p q`."""
    signal = np.repeat([1.0, -1.5, 0.5, 2.0], [50, 70, 40, 40])

    def data(seed):
        rng = _rng(9, seed)
        design = rng.normal(size=(MEASUREMENTS, SIGNAL)) / np.sqrt(MEASUREMENTS)
        return _single(design, design @ signal + LINEAR_NOISE * rng.normal(size=MEASUREMENTS))

    def plain(seed):
        return _single(1e-4 * _rng(10, seed).normal(size=SIGNAL))

    def factors(seed):
        return _single(*(0.3 * _rng(11, seed).normal(size=(2, SIGNAL))))

    def summed(params, batch):
        return _misfit(jnp.cumsum(params[0] * params[1]), batch)

    models = (
        Model("plain", 1e-2, plain, lambda params, batch: _misfit(params[0], batch)),
        Model("product", 1e-3, factors, summed),
    )
    title = "piecewise-constant signal"
    return Experiment("variation", title, 1_500_000, _single(signal), models, data=data)


def experiments() -> tuple[Experiment, ...]:
    return (
        relu_balance(),
        attention_balance(),
        matrix_completion(),
        sparse_spectrum(),
        total_variation(),
    )
