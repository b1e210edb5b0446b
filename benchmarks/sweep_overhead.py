"""A sweep of 1,000 cells against the bare stacked computation of the same cells.

Target: at most 15% more, where the bare computation takes at least 60 s. The bare computation is
one compiled `vmap` over all cells; the sweep traces and compiles chunks, writes each to its store,
and reads the dataset back. Both include compilation. A second row has what a sweep costs beside
its numbers: 1,000 cells that compute next to nothing, in a process where all is imported.
"""

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import gaugebias as gb

from ._timing import Estimate, progress

LIMIT, LEAST = 1.15, 60.0  # ratio; seconds that the bare computation takes at least
RATES, SEEDS = 50, 20
STEPS = {False: 40_000, True: 1000}  # quick?


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


def swept(temperatures: np.ndarray, steps: int, key) -> Any:
    """The same as a sweep, in a store that is then removed."""
    folder = Path(tempfile.mkdtemp())
    over = {"temperature": temperatures}
    run = {"path": folder / "sweep.zarr", "key": key, "seeds": SEEDS, "progress": False}
    try:
        return gb.sweep.run(experiment, Settings(steps=steps), over, **run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _timed(fn: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = fn()
    return time.perf_counter() - begin, found


def measure(quick: bool) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    """Rows, and the targets: judged where the run is long enough, that is, not `quick`."""
    temperatures, key, steps = np.geomspace(0.01, 1.0, RATES), jr.key(0), STEPS[quick]
    swept(temperatures, 1, key)  # what is imported on first use
    alone, whole, fixed = [], [], []
    for turn in range(1 if quick else 3):
        progress(f"turn {turn + 1}")
        seconds, plain = _timed(lambda: bare(temperatures, steps, key))
        alone.append(seconds)
        seconds, found = _timed(lambda: swept(temperatures, steps, key))
        whole.append(seconds)
        np.testing.assert_allclose(found.norm.values.ravel(), plain["norm"], rtol=1e-3)
        fixed.append(_timed(lambda: swept(temperatures, 1, key))[0])
    ratio, took = Estimate.of(np.divide(whole, alone)), Estimate.of(alone)
    name = f"{RATES * SEEDS} cells"
    rows = [
        {"problem": name, "path": "bare vmap", "unit": "s", **took.fields("value"), "peer": True},
        {"problem": name, "path": "gb.sweep.run", "unit": "s", "of": "bare vmap"}
        | Estimate.of(whole).fields("value")
        | ratio.fields("ratio"),
        {"problem": name, "path": "gb.sweep.run, one step each", "unit": "s"}
        | Estimate.of(fixed).fields("value"),
    ]
    if quick:
        return rows, []
    said = f"sweep of {name} at {ratio.median:.3f} of the bare one (at most {LIMIT})"
    enough = f"bare computation takes {took.median:.0f} s (at least {LEAST:.0f})"
    return rows, [(said, ratio.median <= LIMIT), (enough, took.median >= LEAST)]


if __name__ == "__main__":
    import sys

    from .__main__ import main

    sys.exit(main(["--only", "sweep", *sys.argv[1:]]))
