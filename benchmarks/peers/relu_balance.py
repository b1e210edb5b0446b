"""torch: a shallow ReLU student of a teacher, on fresh batches."""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]

from .. import _gauge_problems as problems
from ._torch_training import training


def outputs(params, x):
    return (torch.relu(x @ params[0].mT) @ params[1].unsqueeze(-1)).squeeze(-1)


def loss(params, batch):
    return ((outputs(params, batch[0]) - batch[1]) ** 2).mean(-1)


def losses(experiment: problems.Experiment) -> list[Callable]:
    return [loss]


def run(experiment: problems.Experiment, seeds: int | None, steps: int) -> Callable:
    teacher = [torch.from_numpy(x) for x in experiment.truth]
    shape = (problems.RELU_BATCH,) if seeds is None else (seeds, problems.RELU_BATCH)

    def batch():
        x = torch.randn(*shape, problems.INPUTS)
        return x, outputs(teacher, x) + problems.RELU_NOISE * torch.randn(shape)

    return training(experiment, seeds, steps, losses(experiment), batch)
