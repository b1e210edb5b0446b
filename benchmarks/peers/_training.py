"""The peers of training: torch loops of one experiment each, and of minibatches."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from .._gauge_problems import Experiment

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
    import torch  # pyright: ignore[reportMissingImports]

    loop = module.run(experiment, seeds, steps)

    def run():
        torch.set_num_threads(threads)
        return loop()

    return run


def torch_minibatches() -> Callable | None:
    """`(problem, steps) -> run` of a problem of `train`; `None` without torch."""
    if find_spec("torch") is None:
        return None
    return import_module(".minibatches", __package__).run
