"""The experiments of the publication: one line here adds one."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ._hyperbola import claims_hyperbola, controls_hyperbola, figures_hyperbola, run_hyperbola


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment by its parts.

    - `name`: also of its field of the settings. `share`: of the time of a full run, roughly.
    - `run(settings, key, progress) -> result`; `claims`, `controls` and `figures` are functions of
      the experiment's settings and its result.
    """

    name: str
    title: str
    share: float
    run: Callable[[Any, Any, Callable[[str, float], None]], Any]
    claims: Callable[[Any, Any], Any]
    controls: Callable[[Any, Any], Any]
    figures: Callable[[Any, Any], Any]


EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "hyperbola",
        "scalar hyperbola",
        0.02,
        run_hyperbola,
        claims_hyperbola,
        controls_hyperbola,
        figures_hyperbola,
    ),
)
