"""torch: a loop over steps, all chains in one tensor, gradient by hand."""

from collections.abc import Callable

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from ._langevin import Problem


def slope(target):
    """The gradient of both factors, chains first."""

    def vectors(u, v):
        rest = u * v - 1
        return rest * v, rest * u

    def matrices(u, v):
        rest = u @ v.transpose(1, 2) - goal
        return rest @ v, rest.transpose(1, 2) @ u

    if target is None:
        return vectors
    goal = torch.from_numpy(target)
    return matrices


def run(problem: Problem) -> Callable:
    begin = [torch.from_numpy(np.array(x)) for x in problem.repeated()]
    gradient, dt = slope(problem.target), problem.dt
    size = problem.size * float(np.sqrt(dt))

    def loop():
        torch.manual_seed(problem.seed)
        u, v = begin
        with torch.no_grad():
            for _ in range(problem.steps):
                du, dv = gradient(u, v)
                u = u - dt * du + size * torch.randn_like(u)
                v = v - dt * dv + size * torch.randn_like(v)
        return u.numpy(), v.numpy()

    return loop
