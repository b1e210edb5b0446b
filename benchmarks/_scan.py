"""The measure: three problems, and a hand-written `lax.scan` of each with jax's own generator.

Nothing of gaugebias is imported. As a file (`python benchmarks/_scan.py PROBLEM STEPS`) it is a
process of jax alone, which compiles, says "ready", and makes a run for each line that it is given.
"""

import sys
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

CHAINS, DT, T = 1024, 1e-3, 0.1
SEED = 0


def problem(name: str):
    """Loss, its gradient by hand (chains first) and the start of one chain."""
    if name == "factorisation":
        target = jnp.asarray(np.random.default_rng(0).normal(size=(20, 20)) / 4, jnp.float32)

        def loss(p):
            return 0.5 * jnp.sum((p[0] @ p[1].T - target) ** 2)

        def gradient(p):
            rest = p[0] @ jnp.swapaxes(p[1], 1, 2) - target[None]
            return rest @ p[1], jnp.swapaxes(rest, 1, 2) @ p[0]

        return loss, gradient, (jnp.eye(20, dtype=jnp.float32),) * 2

    def loss(p):
        return 0.5 * jnp.sum((p[0] * p[1] - 1.0) ** 2)

    def gradient(p):
        rest = p[0] * p[1] - 1.0
        return rest * p[1], rest * p[0]

    shape = (1,) if name == "toy" else (64,)
    return loss, gradient, (jnp.ones(shape, jnp.float32),) * 2


def repeated(start):
    return jax.tree.map(lambda x: jnp.broadcast_to(x[None], (CHAINS, *x.shape)), start)


def scan(gradient, start, steps: int) -> Callable:
    """The hand-written scan: one normal for each number, keyed by the step."""
    size = jnp.float32(np.sqrt(2 * T * DT))

    @jax.jit
    def run(y, key):
        def step(y, i):
            keys = jr.split(jr.fold_in(key, i), 2)
            g = gradient(y)
            moved = [
                x - jnp.float32(DT) * d + size * jr.normal(k, x.shape, x.dtype)
                for x, d, k in zip(y, g, keys, strict=True)
            ]
            return tuple(moved), None

        return jax.lax.scan(step, y, jnp.arange(steps))[0]

    return partial(run, repeated(start), jr.key(SEED))


def main(name: str, steps: str) -> None:
    _, gradient, start = problem(name)
    run = scan(gradient, start, int(steps))
    jax.block_until_ready(run())
    print("ready", flush=True)
    for _ in sys.stdin:
        jax.block_until_ready(run())
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
