"""torch: a low-rank matrix from a fifth of its entries, about half of those at each step."""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]

from .. import _gauge_problems as problems
from ._torch_training import training


def losses(experiment: problems.Experiment) -> list[Callable]:
    target = torch.from_numpy(experiment.truth[0])

    def loss(params, part):
        return (part * (params[0] @ params[1].mT - target) ** 2).mean((-1, -2))

    return [loss]


def run(experiment: problems.Experiment, seeds: int | None, steps: int) -> Callable:
    mask = torch.from_numpy(experiment.truth[1])
    lead = () if seeds is None else (seeds,)
    shape = (*lead, problems.SIDE, problems.SIDE)

    def batch():
        return mask * (torch.rand(shape) < problems.KEPT)

    return training(experiment, seeds, steps, losses(experiment), batch)
