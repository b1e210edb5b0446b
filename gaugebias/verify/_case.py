"""A case, what it is given for one attempt, and what became of it."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ._report import CaseResult, Judged


@dataclasses.dataclass(frozen=True)
class Context:
    """What a case is given for one attempt.

    - `key`: its jax key; it depends on the seed, the name of the case and the attempt only.
    - `chains`: number of chains asked for (the second attempt has twice the first).
    - `dt_scale`: factor on every step size: 1.0, or 0.5 on the second attempt.
    - `quick`: whether a short run is wanted.
    - `x64`: whether float64 is on.
    - `progress(text, fraction)`: says what is being done and which fraction of the attempt, in
      [0, 1], is behind.
    """

    key: Any
    chains: int
    dt_scale: float = 1.0
    quick: bool = False
    x64: bool = True
    progress: Callable[[str, float], None] = lambda text, fraction: None

    @property
    def dtype(self) -> Any:
        """The floating dtype of the run."""
        import jax.numpy as jnp

        return jnp.float64 if self.x64 else jnp.float32


@dataclasses.dataclass(frozen=True)
class Case:
    """A named comparison: `run(context)` returns a `CaseResult`.

    `chains` and `quick_chains` are used unless the user asks for another number. `cost` is its
    running time against other cases: of several at a time, long ones start first. Raises
    `ValueError` when `name` cannot be the name of a file.
    """

    name: str
    title: str
    run: Callable[[Context], CaseResult]
    chains: int = 4096
    quick_chains: int = 2048
    cost: float = 1.0

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "-_" for c in self.name):
            raise ValueError(f"`name` is {self.name!r}: use letters, digits, '-' and '_' only.")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one case: `status` is "done", "error" or "interrupted"."""

    case: Case
    status: str
    judged: tuple[Judged, ...]
    seconds: float
    chains: int
    notes: tuple[str, ...] = ()
    figure: str | None = None
    error: str | None = None
