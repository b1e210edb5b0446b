"""torch: a sparse sum of cosines from few points, by three models, all data at each step."""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]

from .. import _gauge_problems as problems
from ._torch_training import misfit, training, whole_data


def plain(params, batch):
    return misfit(params[0], batch)


def penalised(params, batch):
    return misfit(params[0], batch) + problems.PENALTY * params[0].abs().sum(-1)


def product(params, batch):
    return misfit(params[0] * params[1], batch)


def losses(experiment: problems.Experiment) -> list[Callable]:
    return [plain, penalised, product]


def run(experiment: problems.Experiment, seeds: int | None, steps: int) -> Callable:
    truth = torch.from_numpy(experiment.truth[0])

    def error(params):
        return problems.coefficient_error(
            truth, params[0] if len(params) == 1 else params[0] * params[1]
        )

    data = whole_data(experiment, seeds)
    return training(experiment, seeds, steps, losses(experiment), data, error)
