"""A sweep of 1,000 cells against the bare stacked computation of the same cells.

Target: at most 15% more, where the bare computation takes at least 60 s. The bare computation is
one compiled `vmap` over all cells; the sweep compiles chunks, writes each to its store, and reads
the dataset back. Both include compilation; `steady` leaves it out of the bare side only.
"""

import argparse
import dataclasses
import shutil
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import gaugebias as gb

from ._timing import save

LIMIT = 1.15
RATES, SEEDS = 50, 20


@dataclasses.dataclass(frozen=True)
class Settings:
    """Langevin noise on a factorisation `W = U V^T` of 8 x 8 matrices."""

    temperature: float = 0.1
    dt: float = 1e-3
    steps: int = 40_000


def experiment(settings: Settings, key):
    """The mean nuclear norm along one chain."""
    target = jnp.diag(jnp.arange(8.0)) / 8

    def loss(p):
        return 0.5 * jnp.sum((p[0] @ p[1].T - target) ** 2)

    def step(carry, i):
        p, total = carry
        noise = jr.normal(jr.fold_in(key, i), (2, 8, 8))
        g = jnp.stack(jax.grad(loss)((p[0], p[1])))
        p = p - settings.dt * g + jnp.sqrt(2 * settings.temperature * settings.dt) * noise
        return (p, total + jnp.sum(p**2) / 2), None

    start = jnp.stack([jnp.eye(8), jnp.eye(8)])
    (p, total), _ = jax.lax.scan(step, (start, jnp.zeros(())), jnp.arange(settings.steps))
    return {"norm": total / settings.steps, "final": p}


def bare(temperatures: np.ndarray, steps: int, key) -> dict[str, np.ndarray]:
    """All cells in one compiled `vmap`."""

    def one(temperature, seed):
        settings = dataclasses.replace(Settings(steps=steps), temperature=temperature)
        return experiment(settings, jr.fold_in(key, seed))

    t, s = np.meshgrid(temperatures, np.arange(SEEDS, dtype=np.uint32), indexing="ij")
    found = jax.jit(jax.vmap(one))(jnp.asarray(t.ravel()), jnp.asarray(s.ravel()))
    return jax.tree.map(np.asarray, found)


def measure(steps: int, repeats: int) -> tuple[list[dict], list[tuple[str, bool]]]:
    """Seconds of both, taking turns, and the target."""
    temperatures, key = np.geomspace(0.01, 1.0, RATES), jr.key(0)
    times: dict[str, list[float]] = {"bare": [], "sweep": []}
    folder = Path(tempfile.mkdtemp())
    try:
        for i in range(repeats):
            begin = time.perf_counter()
            alone = bare(temperatures, steps, key)
            times["bare"].append(time.perf_counter() - begin)
            begin = time.perf_counter()
            swept = gb.sweep.run(
                experiment,
                Settings(steps=steps),
                {"temperature": temperatures},
                path=folder / f"{i}.zarr",
                key=key,
                seeds=SEEDS,
                progress=False,
            )
            times["sweep"].append(time.perf_counter() - begin)
            np.testing.assert_allclose(swept.norm.values.ravel(), alone["norm"], rtol=1e-3)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratios = [s / b for s, b in zip(times["sweep"], times["bare"], strict=True)]
    row = {
        "cells": RATES * SEEDS,
        "steps": steps,
        "bare_s": float(np.median(times["bare"])),
        "sweep_s": float(np.median(times["sweep"])),
        "ratio": float(np.median(ratios)),
        "ratios": ratios,
    }
    long_enough = row["bare_s"] >= 60
    said = f"sweep of {row['cells']} cells at {row['ratio']:.3f} of the bare one (at most {LIMIT})"
    checks = [(said, row["ratio"] <= LIMIT)]
    checks.append((f"bare computation takes {row['bare_s']:.0f} s (at least 60)", long_enough))
    return [row], checks


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.sweep_overhead", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run that is too short to judge")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args(argv)
    rows, checks = measure(*((1000, 1) if options.quick else (40_000, 3)))
    for text, met in checks:
        print("met   " if met else "MISSED", text)
    if options.json:
        save(options.json, "sweep_overhead", rows)
    return 0 if options.quick or all(met for _, met in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
