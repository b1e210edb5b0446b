"""The peers of training: torch loops of one experiment each, and of minibatches."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from .._gauge_problems import Experiment
from .._training_problems import Training

_MODULES = {
    "relu": "relu_balance",
    "attention": "attention_balance",
    "completion": "matrix_completion",
    "spectrum": "sparse_spectrum",
    "variation": "total_variation",
}


def torch_module(name: str) -> ModuleType | None:
    """The file of an experiment here; `None` without torch."""
    if find_spec("torch") is None:
        return None
    return import_module(f".{_MODULES[name]}", __package__)


def torch_training(
    experiment: Experiment, seeds: int | None, steps: int, threads: int
) -> Callable | None:
    """A torch loop of an experiment for one seed (`None`) or several; `None` without torch."""
    module = torch_module(experiment.name)
    if module is None:
        return None
    return _with_threads(module.run(experiment, seeds, steps), threads)


def torch_minibatches(problem: Training, threads: int, steps: int) -> Any:
    """A torch loop of a problem of `train`, all chains at once; `None` without torch."""
    if find_spec("torch") is None:
        return None
    loop = import_module(".minibatches", __package__).run(problem, steps)
    return _with_threads(loop, threads)


def _with_threads(loop: Callable, threads: int) -> Callable:
    import torch  # pyright: ignore[reportMissingImports]

    def run():
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return loop()
        finally:
            torch.set_num_threads(before)

    return run
