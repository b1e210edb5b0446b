"""The publications by name. Each is loaded when it is run: one line here adds one."""

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from ..plot import CurveData
from ._claim import Claim


@runtime_checkable
class Reproduction(Protocol):
    """What the module of a publication has."""

    Settings: type[Any]
    """A frozen dataclass; its defaults are the published values, or those of our own protocol."""

    def quick(self) -> Any:
        """Settings of a smaller version."""

    def run(self, settings: Any, key: Any, progress: Callable[[str, float], None] = ...) -> Any:
        """A result object. `progress(text, fraction)` is told what is being done."""

    def claims(self, result: Any) -> tuple[Claim, ...]:
        """The claims of the publication with the numbers and verdicts of the run."""
        ...

    def controls(self, result: Any) -> tuple[Claim, ...]:
        """What should be seen if the explanation is right, and not otherwise."""
        ...

    def figures(self, result: Any) -> tuple[CurveData, ...]:
        """The panels of its figure."""
        ...


@dataclasses.dataclass(frozen=True)
class Publication:
    """An entry of the list: `seconds` and `quick_seconds` as measured on two busy cores."""

    name: str
    title: str
    arxiv: str
    module: str
    seconds: float
    quick_seconds: float


_ALL = (
    Publication(
        "deep-matrix-factorisation",
        "Gradient descent for deep matrix factorization: dynamics and implicit bias towards "
        "low rank",
        "2011.13772",
        "_deep_matrix",
        seconds=40,
        quick_seconds=20,
    ),
    Publication(
        "three-mechanisms",
        "Three mechanisms of feature learning in a linear network",
        "2401.07085",
        "_latent_variable",
        seconds=130,
        quick_seconds=40,
    ),
    Publication(
        "gauge-correction",
        "Implicit bias as a gauge correction: theory and inverse design",
        "2601.06597",
        "_gauge_correction",
        seconds=1030,
        quick_seconds=125,
    ),
    Publication(
        "singular-mixtures",
        "On the influence of enforcing model identifiability on learning dynamics of Gaussian "
        "mixture models",
        "2206.08598",
        "_singular_mixtures",
        seconds=140,
        quick_seconds=70,
    ),
    Publication(
        "nonnegative-factorisation",
        "A review of NMF, PLSA, LBA, EMA, and LCA with a focus on the identifiability issue",
        "2512.22282",
        "_nonnegative",
        seconds=105,
        quick_seconds=25,
    ),
)


def publications() -> tuple[Publication, ...]:
    """All entries, in the order of the table."""
    return _ALL


def names() -> tuple[str, ...]:
    """The names that `gaugebias reproduce` takes."""
    return tuple(each.name for each in publications())


def load(name: str) -> Reproduction:
    """The module of a publication.

    **Raises:** `ValueError` with the nearest name, where there is none.
    """
    for each in publications():
        if each.name == name:
            module: Any = importlib.import_module(f".{each.module}", __package__)
            return module
    raise ValueError(unknown(name, names()))


def unknown(name: str, known: Sequence[str]) -> str:
    """The sentence for a name that does not exist."""
    near = difflib.get_close_matches(name, known, n=1)
    cure = f"did you mean {near[0]!r}? " if near else ""
    return f"there is no publication {name!r}: {cure}The names are {', '.join(known)}."
