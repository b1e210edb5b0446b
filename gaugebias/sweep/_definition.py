"""What a sweep is, as JSON: enough to say whether two are the same, and where numbers came from."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.random as jr
import numpy as np

from .._versions import versions
from ..dynamics._runs._engine import source
from ._axes import described
from ._settings import same, written

FORMAT = "gaugebias-sweep"
VERSION = 1
_SAME_NUMBERS = ("python",)  # versions that change no number


def define(
    experiment: Callable,
    settings: Any,
    over: Any,
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
    return {
        "experiment": source(experiment) | {"name": _name(experiment)},
        "settings": {"type": type(settings).__qualname__, "values": written(settings)},
        "over": _plain(described(over)),
        "seeds": list(seeds),
        "stacked": list(stacked),
        "stack": stack,
        "key": {
            "data": [int(k) for k in np.ravel(np.asarray(jr.key_data(key)))],
            "impl": str(jr.key_impl(key)),
        },
        "precision": "x64" if jax.config.jax_enable_x64 else "x32",  # pyright: ignore[reportAttributeAccessIssue]
        "backend": jax.default_backend(),
        "devices": devices,
        "units": dict(units),
        "source": citation,
        "versions": versions(),
    }


def _name(fn: Callable) -> str:
    """Without the module: a script that is run and one that is imported are the same."""
    return getattr(fn, "__qualname__", type(fn).__qualname__)


def _plain(described: Any) -> Any:
    return json.loads(json.dumps(written(described)))


def provenance() -> dict[str, str]:
    """Where a sweep was defined: what does not change its numbers."""
    return {"device": jax.local_devices()[0].device_kind, "commit": _commit()}


def _commit() -> str:
    """The commit of the working folder's repository, marked where files differ from it."""
    try:
        words = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
        found = subprocess.run(words, capture_output=True, text=True, timeout=10, cwd=os.getcwd())
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """What differs between two definitions, in words; empty where nothing does."""
    parts: list[str] = []
    for name in here:
        a, b = here[name], there.get(name)
        if same(a, b):
            continue
        if name == "versions" and isinstance(b, Mapping):
            inner = [
                f"{k} {a.get(k)} here and {b.get(k)} there"
                for k in sorted({*a, *b})
                if a.get(k) != b.get(k) and k not in _SAME_NUMBERS
            ]
            parts += inner
        elif isinstance(a, Mapping) and isinstance(b, Mapping):
            parts += [f"{name}.{line}" for line in _lines(a, b)]
        else:
            parts.append(f"{name} is {_short(a)} here and {_short(b)} there")
    return "; ".join(parts)


def _lines(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    found = []
    for k in [*a, *(k for k in b if k not in a)]:
        x, y = a.get(k), b.get(k)
        if same(x, y):
            continue
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            found += [f"{k}.{line}" for line in _lines(x, y)]
        elif k == "sha256":
            found.append("source code differs")
        else:
            found.append(f"{k} is {_short(x)} here and {_short(y)} there")
    return found


def _short(value: Any) -> str:
    if value is None:
        return "absent"
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
