"""The experiments of the publication: one line here adds one."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ._attention import claims_attention, controls_attention, figures_attention, run_attention
from ._completion import run_completion
from ._completion_claims import claims_completion, controls_completion, figures_completion
from ._hyperbola import claims_hyperbola, controls_hyperbola, figures_hyperbola, run_hyperbola
from ._relu import claims_relu, controls_relu, figures_relu, run_relu
from ._signal import run_signal
from ._signal_claims import claims_signal, controls_signal, figures_signal
from ._spectrum import run_spectrum
from ._spectrum_claims import claims_spectrum, controls_spectrum, figures_spectrum
from ._stationary import run_stationary
from ._stationary_claims import claims_stationary, controls_stationary, figures_stationary


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
        "relu",
        "ReLU network",
        0.2,
        run_relu,
        claims_relu,
        controls_relu,
        figures_relu,
    ),
    Experiment(
        "attention",
        "attention",
        0.55,
        run_attention,
        claims_attention,
        controls_attention,
        figures_attention,
    ),
    Experiment(
        "completion",
        "matrix completion",
        0.2,
        run_completion,
        claims_completion,
        controls_completion,
        figures_completion,
    ),
    Experiment(
        "hyperbola",
        "scalar hyperbola",
        0.03,
        run_hyperbola,
        claims_hyperbola,
        controls_hyperbola,
        figures_hyperbola,
    ),
    Experiment(
        "spectrum",
        "sparse spectrum",
        0.1,
        run_spectrum,
        claims_spectrum,
        controls_spectrum,
        figures_spectrum,
    ),
    Experiment(
        "signal",
        "piecewise-constant signal",
        0.6,
        run_signal,
        claims_signal,
        controls_signal,
        figures_signal,
    ),
    Experiment(
        "stationary",
        "sparse models at stationarity",
        0.15,
        run_stationary,
        claims_stationary,
        controls_stationary,
        figures_stationary,
    ),
)
