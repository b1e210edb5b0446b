"""A store as an xarray dataset, with the design as its axes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ._groups import PADDING
from ._store import PENDING, STATUS, Store, from_bytes


def load(path: str | Path):
    """The results of a sweep, finished or running.

    **Arguments:**

    - `path`: folder of the store, as given to [`gaugebias.sweep.run`][].

    **Returns:** an `xarray.Dataset` in memory. The axes of a grid are the swept settings and
    `seed`; those of a sample `point` and `seed`, with the settings as coordinates along `point`.
    `status` says of each cell `"pending"`, `"done"`, `"not finite"` or `"failed"`, `reason` why.
    The attributes hold settings, versions, key, commit and device. Outputs whose shape depends on
    the settings are filled up with NaN.

    **Raises:** `ValueError` where there is no such store, or one of another version.
    """
    import xarray as xr

    target = Path(path)
    if not target.exists():
        raise ValueError(f"`path` {str(target)!r} does not exist.")
    store = Store(target, writable=False)
    record, layout = store.record, store.layout
    real = layout.slots != PADDING
    order = np.argsort(layout.slots[real], kind="stable")
    definition = record["definition"]
    over, seeds = definition["over"], definition["seeds"]
    sampled = "sample" in over and isinstance(over.get("over"), dict)
    lists: dict[str, list[Any]] = record["columns"]
    if sampled:
        dims, sizes = ["point", "seed"], [int(over["sample"]), len(seeds)]
    else:
        dims, sizes = [*over, "seed"], [*(len(v) for v in over.values()), len(seeds)]

    def arranged(name: str) -> np.ndarray:
        x = np.asarray(store.array(name)[:])[real][order]
        return x.reshape(*sizes, *x.shape[1:])

    status = arranged("status")
    reasons = arranged("reason")
    reason = np.asarray(
        [from_bytes(row) for row in reasons.reshape(-1, reasons.shape[-1])], dtype=str
    ).reshape(sizes)
    variables: dict[str, Any] = {
        "status": (dims, np.asarray(STATUS)[status]),
        "reason": (dims, reason),
    }
    for name in record["outputs"]:
        array = store.array(name)
        x = arranged(name)
        extra = [f"{name}_dim_{i}" for i in range(x.ndim - len(sizes))]
        variables[name] = ([*dims, *extra], x, dict(array.attrs))
    units = definition["units"]
    coordinates: dict[str, Any] = {"seed": (["seed"], seeds)}
    for name, values in lists.items():
        axis = ["point"] if sampled else [name]
        about = {"units": units[name]} if name in units else {}
        coordinates[name] = (axis, _column(values), about)
    counts = {
        "cells": int(status.size),
        "finished": int((status != PENDING).sum()),
        "failed": int((status > 1).sum()),
    }
    attributes = {
        **counts,
        **{name: record["provenance"][name] for name in record["provenance"]},
        **{name: _attribute(definition[name]) for name in definition},
    }
    if "retries" in record:
        attributes["retries"] = _attribute(record["retries"])
    return xr.Dataset(variables, coordinates, attributes)


_NOT_IN_JSON = ("inf", "-inf", "nan")  # numbers, written as text


def _column(values: list[Any]) -> np.ndarray:
    """Values of a setting along an axis; what is no number or string as JSON text."""
    if any(isinstance(v, float) for v in values):
        values = [float(v) if v in _NOT_IN_JSON else v for v in values]
    if all(isinstance(v, bool) for v in values) or all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values
    ):
        return np.asarray(values)
    return np.asarray([v if isinstance(v, str) else json.dumps(v) for v in values], dtype=str)


def _attribute(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else json.dumps(value)
