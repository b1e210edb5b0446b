"""Plain torch training: parameters, a loss, `backward` and `torch.optim.SGD`."""

from collections.abc import Callable, Sequence

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from .._gauge_problems import Experiment

Tensors = Sequence[torch.Tensor]


def training(
    experiment: Experiment,
    seeds: int | None,
    steps: int,
    losses: Sequence[Callable[[Tensors, Tensors], torch.Tensor]],
    batch: Callable[[], Tensors],
    error: Callable[[Tensors], torch.Tensor] | None = None,
) -> Callable[[], list[tuple[np.ndarray, ...]]]:
    """A loop of `steps` updates of every model; the parameters of each at its end.

    - `seeds`: `None` for one, or a number: then starts, and what `batch` draws, have a leading seed
        axis, `losses` have one number a seed and their sum is descended: all seeds at once.
    - `losses`: of the models, in their order. `error`: of a model's parameters, recorded with the
        loss after each step.
    """
    starts = [m.start(0) if seeds is None else m.starts(seeds) for m in experiment.models]

    def loop():
        torch.manual_seed(0)
        models = []
        for model, start, loss in zip(experiment.models, starts, losses, strict=True):
            params = [torch.tensor(x, requires_grad=True) for x in start]
            models.append((params, loss, torch.optim.SGD(params, lr=model.learning_rate)))
        record = []
        for _ in range(steps):
            data = batch()
            for params, loss, optimiser in models:
                optimiser.zero_grad()
                value = loss(params, data)
                (value if seeds is None else value.sum()).backward()
                optimiser.step()
                if error is not None:
                    with torch.no_grad():
                        record.append((value.detach(), error(params)))
        return [tuple(p.detach().numpy() for p in params) for params, _, _ in models]

    return loop


def whole_data(experiment: Experiment, seeds: int | None) -> Callable[[], Tensors]:
    """Batches of an experiment whose steps take all data."""
    assert experiment.data is not None
    arrays = experiment.data(0) if seeds is None else experiment.all_data(seeds)
    data = [torch.from_numpy(x) for x in arrays]
    return lambda: data


def misfit(x: torch.Tensor, batch: Tensors) -> torch.Tensor:
    """Mean square of `design x - values`."""
    design, values = batch
    return (((design @ x.unsqueeze(-1)).squeeze(-1) - values) ** 2).mean(-1)
