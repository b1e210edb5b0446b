"""`gb.train` against a hand-written scan and a batched torch loop: `python -m benchmarks.train`.

Plain stochastic gradient descent of many chains on two problems, float32. The scan is jitted and
vmapped over chains, with jax's own generator; torch has all chains in one tensor. The cost of a
step is the difference of two runs of different length, that of a call what is left.
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
from ._timing import Estimate, interleaved
from ._training_problems import Training, problems

STEPS = {"network": 500, "sensing": 300}


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
    rows = []
    for problem in problems():
        few = max(20, STEPS[problem.name] // (4 if quick else 1))
        many = 3 * few
        paths: dict[str, Callable] = {"gb.train": library, "hand-written scan": scan}
        torch = peers.torch_minibatches()
        if torch is not None:
            paths["torch batched"] = torch
        runs = {}
        for path, make in paths.items():
            runs |= {f"{path} {n}": make(problem, n) for n in (few, many)}
        turns = interleaved(runs, repeats=3 if quick else 9, slow=10.0)
        times = {}
        for path in paths:
            taken = turns.seconds[f"{path} {many}"] - turns.seconds[f"{path} {few}"]
            times[path] = 1e6 * taken / (many - few)
        for path, taken in times.items():
            row = {"problem": problem.name, "path": path, "unit": "us a step"}
            row |= Estimate.of(taken).fields("value")
            if path != "hand-written scan":
                ratio = Estimate.of(taken / times["hand-written scan"])
                row |= ratio.fields("ratio") | {"of": "hand-written scan", "better": "less"}
            rows.append(row | {"peer": path != "gb.train"})
        if torch is None:
            rows.append({"problem": problem.name, "path": "torch batched", "absent": True})
        call = turns.seconds[f"gb.train {few}"] - 1e-6 * few * times["gb.train"]
        row = {"problem": problem.name, "path": "gb.train, a call beyond its steps", "unit": "ms"}
        rows.append(row | Estimate.of(1e3 * call).fields("value"))
    return rows, []


if __name__ == "__main__":
    import sys

    from .__main__ import main

    sys.exit(main(["--only", "train", *sys.argv[1:]]))
