"""A ReLU network on handwritten digits, from a small and a large start."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ... import flows
from ..._types import Key
from ._settings import Settings

SAVES = 100


@dataclasses.dataclass(frozen=True)
class Digits:
    """One scale of the start. Arrays have a leading axis of seeds.

    - `steps`, shape `(T,)`; `first`, `second`: the alignment of the two layers, `(seeds, T)`.
    - `norms`: the product of the layers' norms over that of the start, `(seeds, T)`.
    - `distance`: of the tangent kernel at the end from the start's, on some test samples.
    - `accuracy` on the test set and `loss` on the training set, `(seeds, T)`.
    """

    scale: float
    steps: np.ndarray
    first: np.ndarray
    second: np.ndarray
    norms: np.ndarray
    distance: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray


def data(settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training inputs and labels, test inputs and labels; inputs centred, of mean square 1."""
    from sklearn.datasets import load_digits

    table: Any = load_digits()
    inputs, labels = np.asarray(table.data), np.asarray(table.target)
    # One shuffle for every run: the file is ordered by writer.
    order = np.random.default_rng(0).permutation(len(labels))
    inputs, labels = inputs[order], labels[order]
    n = settings.digits_samples
    inputs = inputs - inputs[:n].mean(axis=0)
    inputs = inputs / np.sqrt(np.mean(np.sum(inputs[:n] ** 2, axis=1)))
    return inputs[:n], labels[:n], inputs[n:], labels[n:]


def run_digits(settings: Settings, key: Key) -> tuple[Digits, ...]:
    """Train from each of `digits_scales` times the standard start, all seeds at once."""
    x, labels, test_x, test_labels = (jnp.asarray(each) for each in data(settings))
    y = jax.nn.one_hot(labels, 10, dtype=x.dtype)

    def hidden(params, inputs):
        return jax.nn.relu(inputs @ params[0].T)

    def outputs(params, inputs):
        return hidden(params, inputs) @ params[1].T

    def loss(out):
        return 0.5 * jnp.sum((out - y) ** 2) / y.shape[0]

    scales = jnp.asarray(settings.digits_scales, x.dtype)
    # At the start an output's tangent kernel is about 5/2 scale^2 times (hidden / 64).
    growth = 2.5 * scales**2 * settings.digits_hidden / 64
    rates = jnp.minimum(settings.digits_rate, 1.0 / growth)
    probe = test_x[:30]

    def one(key, scale, rate):
        for_first, for_second = jr.split(key)
        width, size = settings.digits_hidden, x.shape[1]
        first = jr.normal(for_first, (width // 2, size), x.dtype) / size**0.5
        second = jr.normal(for_second, (10, width // 2), x.dtype) / width**0.5
        # Each unit has a mirror image, so that the outputs are 0 whatever the scale.
        start = (
            scale * jnp.concatenate([first, first]),
            scale * jnp.concatenate([second, -second], axis=1),
        )
        path = flows.gradient_descent(
            lambda params: outputs(params, x),
            loss,
            start,
            rate,
            steps=settings.digits_steps,
            saves=SAVES,
        )
        first = jax.vmap(lambda p: flows.feature_alignment(p[0], x))(path.params)
        second = jax.vmap(lambda p: flows.feature_alignment(p[1], hidden(p, x)))(path.params)
        sizes = [jnp.sqrt(jnp.sum(leaf**2, axis=(1, 2))) for leaf in path.params]
        norms = sizes[0] * sizes[1]
        end = jax.tree.map(lambda leaf: leaf[-1], path.params)

        def on_probe(params):
            return outputs(params, probe)

        kernels = [flows.tangent_kernel(on_probe, each) for each in (start, end)]

        def accuracy(params):
            return jnp.mean(jnp.argmax(outputs(params, test_x), axis=1) == test_labels)

        return (
            path.steps,
            first,
            second,
            norms / norms[0],
            flows.kernel_distance(*kernels),
            jax.lax.map(accuracy, path.params),
            path.loss,
        )

    def every_seed(scale, rate):
        keys = jr.split(key, settings.digits_seeds)
        return jax.vmap(one, in_axes=(0, None, None))(keys, scale, rate)

    found = [np.asarray(each) for each in jax.vmap(every_seed)(scales, rates)]
    if not np.isfinite(found[-1]).all():
        raise ValueError("`digits_rate` is too large: the network diverged. Halve it.")
    runs = []
    for i, scale in enumerate(settings.digits_scales):
        steps, *rest = (each[i] for each in found)
        runs.append(Digits(scale, steps[0], *rest))
    return tuple(runs)
