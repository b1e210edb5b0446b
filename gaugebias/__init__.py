"""Which solutions do continuous symmetries and gradient noise make a model prefer?

The rooms (`gb.symmetry`, `gb.quotient`, `gb.laws`, ...) and the names below are loaded on first
use, so that `import gaugebias` costs little more than importing jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._xla import avoid_waiting_for_ever, avoid_wrong_fusions, make_small_loops_whole

avoid_wrong_fusions()
avoid_waiting_for_ever()
make_small_loops_whole()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import (
        catalogue as catalogue,
        design as design,
        distributed as distributed,
        dynamics as dynamics,
        factor as factor,
        flows as flows,
        laws as laws,
        papers as papers,
        plot as plot,
        quotient as quotient,
        stats as stats,
        sweep as sweep,
        symmetry as symmetry,
        verdicts as verdicts,
        verify as verify,
    )
    from .dynamics import load as load, simulate as simulate, train as train
    from .quotient import (
        Quotient as Quotient,
        distance_modulo as distance_modulo,
        fix_gauge as fix_gauge,
        horizontal as horizontal,
        log_orbit_volume as log_orbit_volume,
        orbit_gram as orbit_gram,
        vertical as vertical,
    )
    from .symmetry import check_invariance as check_invariance, discover as discover
    from .verdicts import compare as compare

_ROOMS = (
    "catalogue",
    "design",
    "distributed",
    "dynamics",
    "factor",
    "flows",
    "laws",
    "papers",
    "plot",
    "quotient",
    "stats",
    "sweep",
    "symmetry",
    "verdicts",
    "verify",
)

_NAMES = {
    "Quotient": "quotient",
    "check_invariance": "symmetry",
    "compare": "verdicts",
    "discover": "symmetry",
    "distance_modulo": "quotient",
    "fix_gauge": "quotient",
    "horizontal": "quotient",
    "load": "dynamics",
    "log_orbit_volume": "quotient",
    "orbit_gram": "quotient",
    "simulate": "dynamics",
    "train": "dynamics",
    "vertical": "quotient",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _NAMES:
        value = getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_NAMES})
