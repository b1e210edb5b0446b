"""Two problems of minibatch training that `gb.train` and its peers run alike, float32."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Training:
    """Plain stochastic gradient descent, batches drawn with replacement by each chain for itself.

    - `data`: samples first. `start`: of one chain.
    - `loss`: `(params, sample) -> scalar`, in jax, of which a step takes the mean over a batch.
    """

    name: str
    data: Arrays
    start: Arrays
    loss: Callable[[Any, Any], jax.Array]
    learning_rate: float
    batch: int
    chains: int

    def starts(self) -> Arrays:
        """The start of all chains, chains first."""
        return tuple(np.repeat(x[None], self.chains, axis=0) for x in self.start)


def network() -> Training:
    """A shallow network of 32 ReLU neurons on 1,024 samples of 8 inputs: 64 chains."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 8)).astype(np.float32)
    y = np.sin(x @ rng.normal(size=8) / 2).astype(np.float32)
    first, second = rng.normal(size=(32, 8)) / 3, rng.normal(size=32) / 6
    start = (first.astype(np.float32), second.astype(np.float32))

    def loss(params, sample):
        return (params[1] @ jax.nn.relu(params[0] @ sample[0]) - sample[1]) ** 2

    return Training("network", (x, y), start, loss, 1e-2, 32, 64)


def sensing() -> Training:
    """A 20 x 20 matrix as a product of two, from 256 linear measurements: 32 chains."""
    rng = np.random.default_rng(1)
    maps = (rng.normal(size=(256, 20, 20)) / 20).astype(np.float32)
    truth = np.outer(rng.normal(size=20), rng.normal(size=20)).astype(np.float32)
    values = np.einsum("kij,ij->k", maps, truth).astype(np.float32)
    start = tuple((0.3 * rng.normal(size=(20, 20))).astype(np.float32) for _ in range(2))

    def loss(params, sample):
        return (jnp.sum(sample[0] * (params[0] @ params[1].T)) - sample[1]) ** 2

    return Training("sensing", (maps, values), start, loss, 1e-2, 16, 32)


def problems() -> tuple[Training, ...]:
    return network(), sensing()
