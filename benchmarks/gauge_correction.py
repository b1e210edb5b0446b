"""Published experiments against plain torch loops: `python -m benchmarks.gauge_correction`.

Microseconds a step of the five experiments of 2601.06597 with data or networks to train, for one
seed and for 64: as `gaugebias reproduce` runs them, as a hand-written `lax.scan` does (what jax can
do without the library), and as torch does, one seed after the other and all seeds batched. Float32
everywhere; a step updates every model of an experiment. Steps of the library come from the
difference of two runs of different length, so that neither the cost of a call nor the hundred
records of a run, whatever its length, count. torch gets one thread or all, what is faster. All take
turns in one process; ratios are taken turn by turn.
"""

import math
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from . import peers
from ._gauge_problems import Experiment, experiments
from ._gauge_runs import library, scan
from ._timing import Estimate, Turns, interleaved

SEEDS, HALF = 64, 32
# Times faster than one seed of the torch loop: one seed, and a seed of 64.
TARGETS = {"relu": (60, 100), "attention": (5, 8), "completion": (20, 40), "variation": (60, 70)}
# Most that 32 seeds may cost of 32 runs one after the other.
TOGETHER = {"relu": 0.75, "attention": 0.75, "completion": 0.75, "spectrum": 0.75, "variation": 1.0}


def seconds_of(fn: Callable[[], Any]) -> float:
    """Of the second call: the first may compile."""
    jax.block_until_ready(fn())
    start = time.perf_counter()
    jax.block_until_ready(fn())
    return time.perf_counter() - start


def fitted(make: Callable[[int], Callable], budget: float, first: int, most: int) -> int:
    """Steps, a multiple of `first`, that take about `budget` seconds beyond those of a call."""
    one, three = (seconds_of(make(n)) for n in (first, 3 * first))
    step = max((three - one) / (2 * first), 1e-7)
    return first * max(1, min(math.floor(budget / step / first), most // first))


def torch_threads(experiment: Experiment, seeds: int | None) -> int:
    """One, or as many as there are cores: what is faster in five steps."""
    cores = os.cpu_count() or 1
    best, threads = math.inf, 1
    for count in dict.fromkeys((1, cores)):
        run = peers.torch_training(experiment, seeds, 5, count)
        taken = seconds_of(run) if run is not None else math.inf
        if taken < 0.9 * best:
            best, threads = taken, count
    return threads


def runs(experiment: Experiment, budget: float) -> tuple[dict[str, Callable], dict[str, int]]:
    """Runs by name, and the steps of each: of the library, a short and a long one each."""
    found, steps = {}, {}
    for seeds in (1, HALF, SEEDS):

        def make(n: int, seeds=seeds) -> Callable:
            run = library(experiment.name, seeds, n)
            assert run is not None
            return run

        if library(experiment.name, seeds, 100) is None:
            break
        n = fitted(make, budget / 2, 100, 20_000)
        for name, length in ((f"library {seeds} short", n), (f"library {seeds} long", 3 * n)):
            found[name], steps[name] = make(length), length
    for seeds in (None, SEEDS):
        n = fitted(lambda n, seeds=seeds: scan(experiment, seeds, n), budget, 20, 20_000)
        name = f"scan {seeds or 1}"
        found[name], steps[name] = scan(experiment, seeds, n), n
        threads = torch_threads(experiment, seeds)
        if peers.torch_training(experiment, seeds, 1, threads) is not None:

            def loop(n: int, seeds=seeds, threads=threads) -> Callable:
                run = peers.torch_training(experiment, seeds, n, threads)
                assert run is not None
                return run

            n = fitted(loop, budget, 5, 2000)
            found[f"torch {seeds or 1}"], steps[f"torch {seeds or 1}"] = loop(n), n
    return found, steps


def step_times(turns: Turns, steps: dict[str, int]) -> dict[str, np.ndarray]:
    """Microseconds of a step at each turn, by path and seeds."""
    found = {}
    for name, seconds in turns.seconds.items():
        if name.endswith(" long"):
            short = name.removesuffix("long") + "short"
            taken = (seconds - turns.seconds[short]) / (steps[name] - steps[short])
            # Noise can make a short run the longer one: such a turn says nothing.
            found[name.removesuffix(" long")] = 1e6 * np.where(taken > 0, taken, np.nan)
        elif not name.endswith(" short"):
            found[name] = 1e6 * seconds / steps[name]
    return found


ROWS = (
    ("library 1", "library, one seed", 1),
    (f"library {SEEDS}", f"library, {SEEDS} seeds", SEEDS),
    ("scan 1", "hand-written scan, one seed", 1),
    (f"scan {SEEDS}", f"hand-written scan, {SEEDS} seeds", SEEDS),
    (f"torch {SEEDS}", f"torch batched, {SEEDS} seeds", SEEDS),
)


def table(name: str, times: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Rows: microseconds a step of all seeds, and times faster a seed than the torch loop."""
    rows, torch = [], times.get("torch 1")
    if torch is None:
        rows.append({"problem": name, "path": "torch loop", "absent": True})
        rows.append({"problem": name, "path": f"torch batched, {SEEDS} seeds", "absent": True})
    else:
        row = {"problem": name, "path": "torch loop, one seed", "unit": "us a step"}
        rows.append(row | Estimate.of(torch).fields("value"))
    for key, path, seeds in ROWS:
        if key not in times:
            if not key.startswith("torch"):
                rows.append({"problem": name, "path": path, "absent": True})
            continue
        row = {"problem": name, "path": path, "unit": "us a step"}
        row |= Estimate.of(times[key]).fields("value")
        row["peer"] = not key.startswith("library")
        if torch is not None:
            faster = Estimate.of(seeds * torch / times[key])
            row |= faster.fields("ratio") | {"of": "torch loop, times faster", "better": "more"}
        rows.append(row)
    if f"library {HALF}" in times:
        share = Estimate.of(times[f"library {HALF}"] / (HALF * times["library 1"]))
        row = {"problem": name, "path": f"library, {HALF} seeds", "unit": "us a step"}
        row |= Estimate.of(times[f"library {HALF}"]).fields("value")
        row |= share.fields("ratio") | {"of": f"{HALF} runs in sequence", "better": "less"}
        rows.append(row)
    return rows


def verdicts(rows: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """Each target that was measured in words, and whether it is met."""
    by = {(row["problem"], row["path"]): row for row in rows if "ratio" in row}
    out = []
    for name, targets in TARGETS.items():
        for path, least in zip(("one seed", f"{SEEDS} seeds"), targets, strict=True):
            row = by.get((name, f"library, {path}"))
            if row is not None and row["better"] == "more":
                text = f"{name}, {path}: {row['ratio']:.1f} times faster a seed than the torch loop"
                out.append((f"{text} (at least {least})", row["ratio"] >= least))
    for name, most in TOGETHER.items():
        row = by.get((name, f"library, {HALF} seeds"))
        if row is not None:
            text = f"{name}: {HALF} seeds cost {row['ratio']:.2f} of {HALF} runs in sequence"
            out.append((f"{text} (at most {most})", row["ratio"] <= most))
    return out


def measure(quick: bool) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    """Rows, and each target in words with whether it is met."""
    rows = []
    for experiment in experiments():
        found, steps = runs(experiment, 0.1 if quick else 0.4)
        turns = interleaved(found, repeats=3 if quick else 9, slow=20.0)
        rows += table(experiment.name, step_times(turns, steps))
    return rows, verdicts(rows)


if __name__ == "__main__":
    import sys

    from .__main__ import main

    sys.exit(main(["--only", "gauge_correction", *sys.argv[1:]]))
