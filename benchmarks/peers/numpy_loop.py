"""numpy: a loop over steps, all chains in one array, gradient by hand."""

from collections.abc import Callable

import jax
import numpy as np

from ._langevin import Problem


def run(problem: Problem) -> Callable:
    begin = jax.tree.map(np.asarray, problem.repeated())
    rng = np.random.default_rng(problem.seed)
    dt, size = np.float32(problem.dt), np.float32(problem.size * np.sqrt(problem.dt))
    target = problem.target

    def slope(u, v):
        if target is not None:
            rest = u @ np.swapaxes(v, 1, 2) - target
            return rest @ v, np.swapaxes(rest, 1, 2) @ u
        rest = u * v - np.float32(1)
        return rest * v, rest * u

    def loop():
        y = begin
        for _ in range(problem.steps):
            y = tuple(
                x - dt * g + size * rng.standard_normal(x.shape, np.float32)
                for x, g in zip(y, slope(*y), strict=True)
            )
        return y

    return loop
