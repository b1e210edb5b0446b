"""blackjax: its stochastic gradient Langevin step under `vmap`, in a scan."""

from collections.abc import Callable
from functools import partial
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import jax.random as jr

from ._langevin import Problem


def run(problem: Problem) -> Callable:
    def downhill(p, batch):
        return jax.tree.map(jnp.negative, jax.grad(problem.loss)(p))

    sampler: Any = blackjax.sgld(downhill)

    def one(y, key):
        def step(y, i):
            key_now = jr.fold_in(key, i)
            return sampler.step(key_now, y, 0, problem.dt, problem.temperature), None

        return jax.lax.scan(step, y, jnp.arange(problem.steps))[0]

    program = jax.jit(jax.vmap(one))
    return partial(program, problem.repeated(), jr.split(jr.key(problem.seed), problem.chains))
