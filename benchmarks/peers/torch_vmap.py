"""torch: a loop over steps, gradient by `torch.func.vmap` of `torch.func.grad`."""

from collections.abc import Callable

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from ._langevin import Problem


def run(problem: Problem) -> Callable:
    begin = tuple(torch.from_numpy(np.array(x)) for x in problem.repeated())
    target = None if problem.target is None else torch.from_numpy(problem.target)
    dt, size = problem.dt, problem.size * float(np.sqrt(problem.dt))

    def loss(y):
        u, v = y
        rest = u * v - 1 if target is None else u @ v.T - target
        return 0.5 * (rest**2).sum()

    gradient = torch.func.vmap(torch.func.grad(loss))

    def loop():
        torch.manual_seed(problem.seed)
        u, v = begin
        for _ in range(problem.steps):
            du, dv = gradient((u, v))
            u = u - dt * du + size * torch.randn_like(u)
            v = v - dt * dv + size * torch.randn_like(v)
        return u.numpy(), v.numpy()

    return loop
