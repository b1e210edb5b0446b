"""torch: a signal with few jumps from few measurements, by two models, all data at each step."""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]

from .. import _gauge_problems as problems
from ._torch_training import misfit, training, whole_data


def plain(params, batch):
    return misfit(params[0], batch)


def summed(params, batch):
    return misfit(torch.cumsum(params[0] * params[1], dim=-1), batch)


def losses(experiment: problems.Experiment) -> list[Callable]:
    return [plain, summed]


def run(experiment: problems.Experiment, seeds: int | None, steps: int) -> Callable:
    data = whole_data(experiment, seeds)
    return training(experiment, seeds, steps, losses(experiment), data)
