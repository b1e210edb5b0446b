"""`gb.train` against a hand-written scan and a batched torch loop: `python -m benchmarks.train`.

Plain stochastic gradient descent of many chains on two problems, float32. The scan is jitted and
vmapped over chains, with jax's own generator; torch has all chains in one tensor, and one thread or
all, what is faster. The cost of a step of `gb.train` is the difference of two runs of different
length, that of a call what is left.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import optax

import gaugebias as gb

from . import peers
from ._steps import call_times, filled, fitted, pair, step_times, torch_threads
from ._timing import Estimate, interleaved, progress
from ._training_problems import Training, problems

OURS, SCAN, TORCH = "gb.train", "hand-written scan", "torch batched"


def library(problem: Training, steps: int) -> Callable[[], Any]:
    """`gb.train`, as a user calls it."""
    start = jax.tree.map(jnp.asarray, problem.starts())
    optimiser = optax.sgd(problem.learning_rate)

    def run():
        ens = gb.train(
            problem.loss,
            start,
            problem.data,
            optimiser=optimiser,
            batch_size=problem.batch,
            key=jr.key(0),
            steps=steps,
            batched=True,
        )
        return ens.final

    return run


def scan(problem: Training, steps: int) -> Callable[[], Any]:
    """What one writes by hand."""
    data = jax.tree.map(jnp.asarray, problem.data)
    samples, rate = len(problem.data[0]), jnp.float32(problem.learning_rate)
    over = jax.vmap(problem.loss, in_axes=(None, 0))

    def one(params, key):
        def step(params, i):
            rows = jr.randint(jr.fold_in(key, i), (problem.batch,), 0, samples)
            batch = jax.tree.map(lambda x: x[rows], data)
            slope = jax.grad(lambda p: jnp.mean(over(p, batch)))(params)
            return jax.tree.map(lambda p, g: p - rate * g, params, slope), None

        return jax.lax.scan(step, params, jnp.arange(steps))[0]

    start = jax.tree.map(jnp.asarray, problem.starts())
    return partial(jax.jit(jax.vmap(one)), start, jr.split(jr.key(0), problem.chains))


def measure(quick: bool) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    """Rows; there is no target."""
    rows, budget = [], 0.1 if quick else 0.4
    for problem in problems():
        progress(problem.name)
        # Beyond the cost of a call, which is most of a short run.
        n = fitted(partial(library, problem), budget / 2, 20, 20_000)
        runs, steps = pair(OURS, partial(library, problem), n)
        steps[SCAN] = filled(partial(scan, problem), budget, 100, 20_000)
        runs[SCAN] = scan(problem, steps[SCAN])
        if peers.torch_minibatches(problem, 1, 1) is not None:
            with_threads = partial(partial, peers.torch_minibatches, problem)
            loop = with_threads(torch_threads(with_threads, 5))
            steps[TORCH] = filled(loop, budget, 10, 2000)
            runs[TORCH] = loop(steps[TORCH])
        turns = interleaved(runs, repeats=3 if quick else 9, slow=20.0)
        times = step_times(turns, steps)
        for path in (OURS, SCAN, TORCH):
            if path not in times:
                rows.append({"problem": problem.name, "path": path, "absent": True})
                continue
            row = {"problem": problem.name, "path": path, "unit": "us a step"}
            row |= Estimate.of(times[path]).fields("value") | {"peer": path != OURS}
            if path != SCAN:
                row |= Estimate.of(times[path] / times[SCAN]).fields("ratio") | {"of": SCAN}
            rows.append(row)
        row = {"problem": problem.name, "path": f"{OURS}, a call beyond its steps", "unit": "ms"}
        rows.append(row | Estimate.of(1e3 * call_times(turns, steps, OURS)).fields("value"))
    return rows, []


if __name__ == "__main__":
    import sys

    from .__main__ import main

    sys.exit(main(["--only", "train", *sys.argv[1:]]))
