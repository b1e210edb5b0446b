"""Interleaved medians, and results that name the kind of machine and nothing else of it."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

RESULTS = Path(__file__).parent / "results"


class Estimate(NamedTuple):
    """Median and quartiles of the turns of one measurement, and how many there were."""

    median: float
    low: float
    high: float
    turns: int

    @classmethod
    def of(cls, values) -> "Estimate":
        values = np.asarray(values, float)
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls(float("nan"), float("nan"), float("nan"), 0)
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
        return cls(float(median), float(low), float(high), int(values.size))

    def fields(self, name: str) -> dict[str, float]:
        """As entries of a row: `name`, `name_low`, `name_high`."""
        return {name: self.median, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True)
class Turns(Mapping[str, float]):
    """Median seconds of one call by name, from `seconds`: every turn of each (NaN: sat out)."""

    seconds: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> float:
        return float(np.nanmedian(self.seconds[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.seconds)

    def __len__(self) -> int:
        return len(self.seconds)

    def estimate(self, name: str, scale: float = 1.0) -> Estimate:
        """Seconds of one call, times `scale`."""
        return Estimate.of(scale * self.seconds[name])

    def ratio(self, name: str, of: str) -> Estimate:
        """The ratio of two functions turn by turn, so that a drifting machine cancels.

        Of their medians where one of them sat out all turns but the first.
        """
        ratios = self.seconds[name] / self.seconds[of]
        if not np.isfinite(ratios).any():
            ratios = [self[name] / self[of]]
        return Estimate.of(ratios)


def interleaved(
    functions: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 9,
    least: float = 2e-3,
    slow: float = 2.0,
    clock: Callable[[], float] | None = None,
) -> Turns:
    """Median seconds of one call of each function, and every turn.

    All functions take turns, `repeats` times, so that a machine that slows down or has other work
    slows all of them; compare only numbers of one call of this function. Each turn calls its
    function as often as fills `least` seconds, and where that is more than once, once before:
    what the function before it left in caches and thread pools is not counted. Results are waited
    for; the first call, which may compile, is not counted. A function that has taken more than
    `3 * slow` seconds sits out the turns that are left. `clock=time.process_time` counts processor
    time instead of wall time: the same on a machine with other work, and with the process pinned to
    one core comparable between functions that use several threads and functions that use one.
    """
    clock = clock or time.perf_counter
    often, spent = {}, dict.fromkeys(functions, 0.0)
    seconds = {name: np.full(repeats, np.nan) for name in functions}
    for name, fn in functions.items():
        jax.block_until_ready(fn())
        start = clock()
        jax.block_until_ready(fn())
        first = clock() - start
        often[name] = max(1, int(least / max(first, 1e-9)))
        if first > 3 * slow:
            seconds[name][:1] = spent[name] = first
    for turn in range(repeats):
        for name, fn in functions.items():
            if spent[name] > 3 * slow:
                continue
            if often[name] > 1:
                jax.block_until_ready(fn())
            start = clock()
            for _ in range(often[name]):
                out = fn()
            jax.block_until_ready(out)
            taken = clock() - start
            seconds[name][turn] = taken / often[name]
            spent[name] += taken if often[name] == 1 else 0.0
    return Turns(seconds)


def progress(what: str) -> None:
    """Says on the error stream what is being measured."""
    print(f"  {what} ...", file=sys.stderr, flush=True)


def machine() -> str:
    """The kind of machine: `"cpu-2-core"`, or the accelerator's name."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity else os.cpu_count()
        return f"cpu-{cores}-core"
    return device.device_kind.lower().replace(" ", "-")


def versions() -> dict[str, str]:
    """The versions that figures depend on; those of peers where they are installed."""
    names = ("jax", "jaxlib", "diffrax", "numpy", "blackjax", "torch", "torchsde")
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


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
