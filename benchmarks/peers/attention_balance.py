"""torch: one attention head, student of a teacher, on fresh sequences."""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]

from .. import _gauge_problems as problems
from ._torch_training import training


def outputs(params, x):
    queries, keys = (x @ w for w in params)
    return torch.softmax(queries @ keys.mT / problems.HEAD**0.5, dim=-1) @ x


def loss(params, batch):
    if params[0].ndim == 3:  # seeds first: the same weights for all sequences of a batch
        params = [w.unsqueeze(1) for w in params]
    return ((outputs(params, batch[0]) - batch[1]) ** 2).sum(-1).mean((-1, -2))


def losses(experiment: problems.Experiment) -> list[Callable]:
    return [loss]


def run(experiment: problems.Experiment, seeds: int | None, steps: int) -> Callable:
    teacher = [torch.from_numpy(x) for x in experiment.truth]
    lead = () if seeds is None else (seeds,)
    shape = (*lead, problems.ATTENTION_BATCH, problems.LENGTH, problems.EMBEDDING)

    def batch():
        x = torch.randn(shape)
        return x, outputs(teacher, x) + problems.ATTENTION_NOISE * torch.randn_like(x)

    return training(experiment, seeds, steps, losses(experiment), batch)
