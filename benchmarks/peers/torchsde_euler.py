"""torchsde: its Euler method with its own Brownian interval, gradient by hand."""

from collections.abc import Callable

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torchsde  # pyright: ignore[reportMissingImports]

from ._langevin import Problem
from .torch_loop import slope


class Langevin(torch.nn.Module):
    """Both factors in one row a chain, as torchsde wants them."""

    sde_type, noise_type = "ito", "diagonal"

    def __init__(self, problem: Problem):
        super().__init__()
        self.shape = problem.start[0].shape
        self.gradient, self.size = slope(problem.target), problem.size

    def f(self, t, y):
        u, v = (x.reshape(-1, *self.shape) for x in y.chunk(2, dim=1))
        return -torch.cat([g.flatten(1) for g in self.gradient(u, v)], dim=1)

    def g(self, t, y):
        return torch.full_like(y, self.size)


def run(problem: Problem) -> Callable:
    rows = [np.asarray(x).reshape(problem.chains, -1) for x in problem.repeated()]
    begin = torch.from_numpy(np.concatenate(rows, axis=1))
    times = torch.tensor([0.0, problem.steps * problem.dt])
    sde = Langevin(problem)

    def solve():
        torch.manual_seed(problem.seed)
        with torch.no_grad():
            y = torchsde.sdeint(sde, begin, times, dt=problem.dt, method="euler")
        return y[-1].numpy()

    return solve
