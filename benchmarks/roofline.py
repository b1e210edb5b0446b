"""How much of the hardware's limits `simulate` reaches: `python -m benchmarks.roofline`.

The limits are measured on the spot, by loops that do one thing each: normal numbers a second, by
each generator; bytes a second of `a = a + s (b - a)` on arrays that no cache holds; floating-point
operations a second of a product of large matrices. A step of a problem then takes at least the
larger of two times: its arithmetic (its numbers by the faster generator, then its products, at
these rates), and its memory (the state read and written once, where caches do not hold it). The
ratio of that to what `simulate` takes is the fraction reached. In float32 and float64, and for
ensembles from 1,024 chains, which leave an accelerator idle, up to those that fill it.

The generator's limit is this package's own best loop, and the sum of the arithmetic is none where
units work side by side. Nothing is held against a target: the figures say what a machine does, and
where its time goes.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import gaugebias as gb
from gaugebias.dynamics._runs import _program as program
from gaugebias.dynamics._runs._path import chain_keys, ensemble_noise
from gaugebias.dynamics._runs._threefry import unrolled

from . import _table
from ._scan import DT, SEED, T, problem
from ._timing import RESULTS, Estimate, interleaved, machine, progress, save

CHAINS = {"cpu": (1024, 16_384), "accelerator": (1024, 16_384, 262_144)}
MOST = 2**28  # numbers that the states of one run may have
CACHE = 32 * 2**20  # bytes; states below stay where arithmetic finds them
SECONDS = 0.4  # of a turn of a run, about
GENERATORS = ("unrolled", "stock")
NAMES = ("toy", "hadamard", "factorisation")


@dataclass(frozen=True)
class Step:
    """A step of one chain, counted."""

    numbers: int  # of its state, and normal numbers
    operations: int  # of its matrix products

    @classmethod
    def of(cls, start: tuple) -> "Step":
        numbers = sum(x.size for x in start)
        n = start[0].shape[0] if start[0].ndim == 2 else 0
        return cls(numbers, 3 * 2 * n**3)  # what is predicted, and a gradient for each factor


class Rates(NamedTuple):
    """What the hardware does in a second, turn by turn."""

    normals: np.ndarray
    bytes: np.ndarray
    operations: np.ndarray

    def arithmetic(self, step: Step) -> np.ndarray:
        return step.numbers / self.normals + step.operations / self.operations

    def memory(self, step: Step, chains: int, width: int) -> np.ndarray:
        state = width * step.numbers
        return (2 * state if chains * state > CACHE else 0) / self.bytes


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def normals(generator: str, dtype, count: int, times: int) -> Callable:
    """`times` times `count` numbers, added up where they are made: 128 a chain."""
    keys = chain_keys(jr.key(SEED), max(count // 128, 1))
    keys = unrolled(keys) if generator == "unrolled" else keys
    shape = jax.ShapeDtypeStruct((128,), dtype)
    options = program.compiler_options(jax.default_backend(), 128)

    @partial(jax.jit, compiler_options=options)
    def run(keys):
        def turn(i, total):
            return total + ensemble_noise(keys, i, shape, 0)

        return jax.lax.fori_loop(0, times, turn, jnp.zeros((keys.size, 128), dtype))

    return partial(run, keys)


def triad(dtype, numbers: int, times: int) -> Callable:
    """`a = a + (b - a) / 4`, `times` times: two numbers read and one written for each."""
    a, b = jnp.ones(numbers, dtype), jnp.full(numbers, 2, dtype)
    quarter = jnp.asarray(0.25, dtype)

    @jax.jit
    def run(a, b):
        return jax.lax.fori_loop(0, times, lambda _, a: a + quarter * (b - a), a)

    return partial(run, a, b)


def product(dtype, n: int) -> Callable:
    """A product of two matrices of `n` rows, in the precision that steps are made in."""
    a = jr.normal(jr.key(SEED), (n, n), dtype)
    return partial(jax.jit(jnp.matmul), a, a)


def limits(dtype, quick: bool) -> tuple[dict[str, Callable], dict[str, float]]:
    """The loops by name, and how many numbers, bytes or operations a call of each has."""
    count, times = (2**17, 128) if on_cpu() else (2**24, 64)
    large, n = (2**25, 2048) if on_cpu() else (2**27, 8192)
    if quick:
        times, large, n = times // 4, large // 4, n // 2
    functions: dict[str, Callable] = {g: normals(g, dtype, count, times) for g in GENERATORS}
    functions |= {"memory": triad(dtype, large, 8), "products": product(dtype, n)}
    amounts = dict.fromkeys(GENERATORS, float(count * times))
    amounts |= {"memory": 24.0 * large * jnp.dtype(dtype).itemsize, "products": 2.0 * n**3}
    return functions, amounts


def runs(dtype, quick: bool) -> Iterator[tuple[str, int, int, Step, Callable]]:
    """Problem, chains, steps, what a step has to do, and the run."""
    each = CHAINS["cpu" if on_cpu() else "accelerator"]
    for name in NAMES:
        loss, _, start = problem(name)
        start = jax.tree.map(lambda x: x.astype(dtype), start)
        step = Step.of(start)
        sde = gb.dynamics.Langevin(loss, jnp.asarray(T, dtype))
        for chains in each[:1] if quick else each:
            if chains * step.numbers > MOST:
                continue
            # At about 5 ns a number of a core, or 0.05 ns of an accelerator.
            about = (5e-9 if on_cpu() else 5e-11) * chains * step.numbers
            least, most = (16, 100_000) if on_cpu() else (256, 20_000)
            steps = int(np.clip(SECONDS / about / (4 if quick else 1), least, most))
            options = {"key": jr.key(SEED), "chains": chains, "steps": steps, "dt": DT}

            def run(sde=sde, start=start, options=options):
                return gb.simulate(sde, start, **options).final

            yield name, chains, steps, step, run


def measure(quick: bool) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    """Rows, and no targets."""
    rows: list[dict[str, Any]] = []
    for bits in (32, 64):
        with jax.enable_x64(bits == 64):
            rows += measured(jnp.dtype(f"float{bits}"), quick)
    return rows, []


def measured(dtype, quick: bool) -> list[dict[str, Any]]:
    loops, amounts = limits(dtype, quick)
    progress(f"limits in {dtype}")
    repeats = 3 if quick else 5
    first = interleaved(loops, repeats=repeats)
    rows = []
    for which, amount in amounts.items():
        unit = {"memory": "GB/s", "products": "Gflop/s"}.get(which, "10^9 normals/s")
        row = {"problem": "limits", "path": f"{dtype}, {which}", "unit": unit}
        rows.append(row | Estimate.of(1e-9 * amount / first.seconds[which]).fields("value"))
    fastest_one = min(GENERATORS, key=lambda g: first[g])
    kept = {name: loops[name] for name in (fastest_one, "memory", "products")}
    for name, chains, steps, step, run in runs(dtype, quick):
        progress(f"{name}, {chains} chains in {dtype}")
        turns = interleaved(kept | {"simulate": run}, repeats=repeats)
        rates = Rates(*(amounts[which] / turns.seconds[which] for which in kept))
        taken = turns.seconds["simulate"] / steps / chains
        parts = {
            "arithmetic": rates.arithmetic(step),
            "memory": rates.memory(step, chains, dtype.itemsize),
        }
        of = max(parts, key=lambda part: np.median(parts[part]))
        row = {"problem": name, "path": f"{dtype}, {chains:,} chains"}
        row |= {"unit": "ns a chain-step", "of": f"the limit, {of}", "better": "more"}
        row |= Estimate.of(1e9 * taken).fields("value")
        rows.append(row | Estimate.of(parts[of] / taken).fields("ratio"))
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.roofline", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,024 chains, shorter, fewer turns")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results/")
    options = parser.parse_args(argv)
    rows, _ = measure(options.quick)
    print(_table.text("roofline", rows))
    for path in (options.json, RESULTS / f"roofline-{machine()}.json" if options.save else None):
        if path:
            save(path, "roofline", rows, quick=options.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
