"""Runs the experiments one after the other."""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import jax.random as jr

from ..._types import Key
from ...dynamics import SimulationError
from ._experiments import EXPERIMENTS
from ._settings import Settings


@dataclasses.dataclass(frozen=True)
class Result:
    """What each experiment measured.

    - `parts`: results by name of the experiment.
    - `failures`: by name, what was said by an experiment that did not come to its end.
    """

    settings: Settings
    parts: dict[str, Any]
    failures: dict[str, str]


def _silent(text: str, fraction: float) -> None:
    pass


def run(settings: Settings, key: Key, progress: Callable[[str, float], None] = _silent) -> Result:
    """All experiments. One that fails does not take the others with it.

    Each has a key of its own, which does not depend on the others.
    """
    parts, failures = {}, {}
    total, done = sum(each.share for each in EXPERIMENTS), 0.0
    for each in EXPERIMENTS:

        def tell(text: str, fraction: float, each=each, done=done) -> None:
            progress(f"{each.title}: {text}", (done + each.share * fraction) / total)

        tell("starting", 0.0)
        own = jr.fold_in(key, zlib.crc32(each.name.encode()))
        try:
            parts[each.name] = each.run(getattr(settings, each.name), own, tell)
        except (ValueError, SimulationError) as error:
            failures[each.name] = " ".join(str(error).split())
        done += each.share
    return Result(settings, parts, failures)
