"""The peers of `simulate`: Euler steps of Langevin noise on one loss, all chains at once."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Problem:
    """`d theta = -grad L dt + sqrt(2 T) dW` for `L = |u v - 1|^2 / 2`, or `|U V^T - A|^2 / 2`.

    - `loss`: of one chain, in jax. `start`: the two arrays of one chain, float32.
    - `target`: the matrix `A`, shape `(n, m)`; `None` for the product of two vectors.
    - `steps`, `chains`, `dt`, `temperature`, `seed`: of the run.
    """

    loss: Callable
    start: tuple[jax.Array, ...]
    target: np.ndarray | None
    steps: int
    chains: int
    dt: float
    temperature: float
    seed: int

    @property
    def size(self) -> float:
        """`sqrt(2 T)`."""
        return float(np.sqrt(2 * self.temperature))

    def repeated(self) -> Any:
        """The start of all chains, chains first."""
        return jax.tree.map(
            lambda x: jnp.broadcast_to(x[None], (self.chains, *x.shape)), self.start
        )


# The name in tables, the module here, the package it needs, and whether it is far slower than a
# scan, so that it gets a tenth of the steps.
LANGEVIN = (
    ("numpy", "numpy_loop", "numpy", False),
    ("blackjax SGLD", "blackjax_sgld", "blackjax", False),
    ("torch loop", "torch_loop", "torch", False),
    ("torch vmap(grad)", "torch_vmap", "torch", True),
    ("torchsde euler", "torchsde_euler", "torchsde", True),
    ("diffrax defaults", "diffrax_defaults", "diffrax", True),
)


def langevin(problem: Problem, *, slow: bool) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """Runs of the peers that are installed, by name, and the names of those that are not.

    `slow` chooses the peers that are far slower than a scan, or the others.
    """
    runs, absent = {}, []
    for name, module, package, is_slow in LANGEVIN:
        if is_slow != slow:
            continue
        if find_spec(package) is None:
            absent.append(name)
        else:
            runs[name] = import_module(f".{module}", __package__).run(problem)
    return runs, absent
