"""Interleaved medians, and results that name the kind of machine and nothing else of it."""

import json
import os
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

RESULTS = Path(__file__).parent / "results"


def interleaved(
    functions: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 9,
    least: float = 2e-3,
    slow: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of one call of each function.

    All functions take turns, `repeats` times, so that a machine that slows down or has other work
    slows all of them; compare only numbers of one call of this function. Each turn calls its
    function as often as fills `least` seconds. Results are waited for; the first call, which may
    compile, is not counted. A function that has taken more than `3 * slow` seconds sits out the
    turns that are left. `clock=time.process_time` counts processor time instead: the same on a
    machine with other work, and with the process pinned to one core comparable between functions
    that use several threads and functions that use one.
    """
    often = {}
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for name, fn in functions.items():
        jax.block_until_ready(fn())
        start = clock()
        jax.block_until_ready(fn())
        first = clock() - start
        often[name] = max(1, int(least / max(first, 1e-9)))
        if first > slow:
            seconds[name].append(first)
    for _ in range(repeats):
        for name, fn in functions.items():
            if sum(seconds[name]) > 3 * slow:
                continue
            start = clock()
            for _ in range(often[name]):
                out = fn()
            jax.block_until_ready(out)
            seconds[name].append((clock() - start) / often[name])
    return {name: float(np.median(times)) for name, times in seconds.items()}


def machine() -> str:
    """The kind of machine: `"cpu-2-core"`, or the accelerator's name."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity else os.cpu_count()
        return f"cpu-{cores}-core"
    return device.device_kind.lower().replace(" ", "-")


def versions() -> dict[str, str]:
    """The versions that figures depend on."""
    return {name: version(name) for name in ("jax", "jaxlib", "diffrax", "numpy")}


def save(path: str | Path, benchmark: str, rows: Any, **settings: Any) -> None:
    """Write a result as JSON: figures, settings, versions and the kind of machine."""
    record = {
        "benchmark": benchmark,
        "machine": machine(),
        "versions": versions(),
        "settings": settings,
        "rows": rows,
    }
    Path(path).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
