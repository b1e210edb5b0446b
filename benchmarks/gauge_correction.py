"""Published experiments against plain torch loops: `python -m benchmarks.gauge_correction`.

Microseconds a step of the five experiments of 2601.06597 with data or networks to train, for one
seed and for 64: as `gaugebias reproduce` runs them, as a hand-written `lax.scan` does (what jax can
do without the library), and as torch does, one seed after the other and all seeds batched. Float32
everywhere; a step updates every model of an experiment. Steps of the library come from the
difference of two runs of different length, so that neither the cost of a call nor the hundred
records of a run, whatever its length, count. torch gets one thread or all, what is faster. All take
turns in one process; ratios are taken turn by turn.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import peers
from ._gauge_problems import Experiment, experiments
from ._gauge_runs import library, scan
from ._steps import filled, fitted, pair, step_times, torch_threads
from ._timing import Estimate, interleaved, progress

SEEDS, HALF = 64, 32
# Times faster than one seed of the torch loop: one seed, and a seed of 64.
TARGETS = {"relu": (60, 100), "attention": (5, 8), "completion": (20, 40), "variation": (60, 70)}
# Most that 32 seeds may cost of 32 runs one after the other.
TOGETHER = {"relu": 0.75, "attention": 0.75, "completion": 0.75, "spectrum": 0.75, "variation": 1.0}


def runs(experiment: Experiment, budget: float) -> tuple[dict[str, Callable], dict[str, int]]:
    """Runs by name, and the steps of each; of the library in pairs, a short and a long one."""
    found, steps = {}, {}
    for seeds in (1, HALF, SEEDS):
        if library(experiment.name, seeds, 100) is None:
            break
        make = partial(_some, library, experiment.name, seeds)
        # A hundred steps, or a multiple: a run of any length is recorded a hundred times.
        n = fitted(make, budget / 2, 100, 30_000)
        programs, lengths = pair(f"library {seeds}", make, n)
        found, steps = found | programs, steps | lengths
    for seeds in (None, SEEDS):
        name, make = f"scan {seeds or 1}", partial(scan, experiment, seeds)
        steps[name] = filled(make, budget, 100, 20_000)
        found[name] = make(steps[name])
        if peers.torch_training(experiment, seeds, 1, 1) is None:
            continue

        def loop(threads: int, seeds=seeds) -> Callable[[int], Callable]:
            return lambda n: _some(peers.torch_training, experiment, seeds, n, threads)

        name, make = f"torch {seeds or 1}", loop(torch_threads(loop, 5))
        steps[name] = filled(make, budget, 10, 2000)
        found[name] = make(steps[name])
    return found, steps


def _some(make: Callable[..., Callable | None], *arguments) -> Callable:
    found = make(*arguments)
    assert found is not None
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
        progress(experiment.title)
        found, steps = runs(experiment, 0.1 if quick else 0.4)
        turns = interleaved(found, repeats=3 if quick else 9, slow=20.0)
        rows += table(experiment.name, step_times(turns, steps))
    return rows, verdicts(rows)


if __name__ == "__main__":
    import sys

    from .__main__ import main

    sys.exit(main(["--only", "gauge_correction", *sys.argv[1:]]))
