"""What a sweep is, as JSON: enough to say whether two are the same, and where numbers came from."""

import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.random as jr
import numpy as np

from .._versions import versions
from ..dynamics._runs._engine import source
from ._axes import Over, Sample, described
from ._written import written

FORMAT = "gaugebias-sweep"
VERSION = 1


def define(
    experiment: Callable,
    settings: Any,
    over: Over,
    *,
    seeds: Sequence[int],
    stacked: Sequence[str],
    stack: bool,
    key: jax.Array,
    devices: int,
    units: Mapping[str, str],
    citation: str,
) -> dict[str, Any]:
    """Everything that the numbers depend on, and where they come from. JSON-able."""
    names = over.over if isinstance(over, Sample) else over
    return {
        "experiment": source(experiment) | {"name": _name(experiment)},
        "settings": {"type": type(settings).__qualname__, "values": written(settings)},
        "over": described(over),
        "axes": list(names),  # their order numbers the cells
        "seeds": list(seeds),
        "stacked": list(stacked),
        "stack": stack,
        "key": {
            "data": [int(k) for k in np.ravel(np.asarray(jr.key_data(key)))],
            "impl": str(jr.key_impl(key)),
        },
        "precision": "x64" if jax.config.jax_enable_x64 else "x32",  # pyright: ignore[reportAttributeAccessIssue]
        "backend": jax.default_backend(),
        "device": jax.local_devices()[0].device_kind,
        "devices": devices,
        "units": dict(units),
        "source": citation,
        "versions": {k: v for k, v in versions().items() if k != "python"},
    }


def _name(fn: Callable) -> str:
    """Without the module: a script that is run and one that is imported are the same."""
    return getattr(fn, "__qualname__", type(fn).__qualname__)


def provenance() -> dict[str, str]:
    """Where a sweep was defined: what does not change its numbers."""
    return {"commit": _commit(), "python": platform.python_version()}


def _commit() -> str:
    """The commit of the working folder's repository, marked where files differ from it."""
    try:
        words = ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=40"]
        found = subprocess.run(words, capture_output=True, text=True, timeout=10, cwd=os.getcwd())
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"
