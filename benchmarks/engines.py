"""Throughput of the engines against their peers on three problems.

The toy `w = u v`, a Hadamard product of 64 entries and a factorisation of 20 x 20 matrices under
Langevin noise, float32, 1,024 chains. A hand-written `lax.scan` with an analytic gradient and
jax's own generator is the measure. Everything takes turns in one process, but for that scan once
more in a process of jax alone, which takes its turns too: importing gaugebias tells XLA how to
compile small loops on CPUs, which also makes the scan beside it faster. Targets are held against
jax alone. `limit` is the time of a step's noise (and matrix products) alone.
`python -m benchmarks.engines [--save]` runs them alone.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import gaugebias as gb
from gaugebias.dynamics._runs import _program as program
from gaugebias.dynamics._runs._integrate import SMALL_STATE
from gaugebias.dynamics._runs._path import chain_keys, ensemble_noise
from gaugebias.dynamics._runs._threefry import fastest

from . import _first_call, _table, peers
from ._apart import jax_alone_scan
from ._scan import CHAINS, DT, SEED, T, problem, repeated, scan
from ._timing import RESULTS, Estimate, Turns, interleaved, machine, progress, save

STEPS = {"toy": 20_000, "hadamard": 1000, "factorisation": 200}
TARGETS = {"toy": 0.35, "hadamard": 0.55, "factorisation": 0.95}
REDUCED, EVERY = 1.2, 10  # of the run without, with a draw each so many steps
PROJECTED = 1.5  # of an isotropic step and the decompositions alone
FIRST = 3  # seconds of a first call
ALONE = "scan, jax alone"


def simulate(loss, start, steps: int, **options) -> Callable:
    sde = gb.dynamics.Langevin(loss, jnp.float32(T))

    def run():
        ens = gb.simulate(
            sde, start, key=jr.key(SEED), chains=CHAINS, steps=steps, dt=DT, **options
        )
        return ens.final

    return run


def reductions() -> dict[str, gb.dynamics.AbstractReduction]:
    """Statistics of one number of each chain."""
    edges = np.linspace(-3, 3, 51)
    return {
        "histogram": gb.dynamics.Histogram(edges),
        "quantiles": gb.dynamics.Quantiles(),
        "autocorrelation": gb.dynamics.Autocorrelation(),
    }


def first_product(p):
    """One number of a chain: the first entry of what it predicts."""
    return (p[0] @ p[1].T)[0, 0] if p[0].ndim == 2 else (p[0] * p[1])[0]


def draws(name: str, seconds: Turns, steps: int) -> list[dict[str, Any]]:
    """What a draw costs of a chain, beyond the steps: into each statistic."""
    rows = []
    for which in reductions():
        extra = seconds.seconds[f"simulate, {which}"] - seconds.seconds["simulate"]
        row = {"problem": name, "path": f"a draw into {which}", "unit": "ns a chain"}
        rows.append(row | Estimate.of(1e9 * extra * EVERY / steps / CHAINS).fields("value"))
    return rows


def as_peer(name: str, steps: int) -> peers.Problem:
    """The problem as peers get it."""
    loss, _, start = problem(name)
    target = None
    if name == "factorisation":
        target = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32) / 4
    return peers.Problem(loss, start, target, steps, CHAINS, DT, T, SEED)


def limit(gradient, start, steps: int) -> Callable:
    """What no step can do without: its normal numbers, and the products of a matrix problem.

    The library's own noise with its compiler options, summed up and nothing more.
    """
    keys = fastest(chain_keys(jr.key(SEED), CHAINS))
    size = sum(x.size for x in start)
    matrix, last = start[0].ndim == 2, size <= SMALL_STATE
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape if last else (x.size,), x.dtype), start
    )
    options = program.compiler_options(jax.default_backend(), size)

    def products(y):
        found = gradient(jax.tree.map(lambda x, s: x.reshape(-1, *s.shape), y, start))
        return jax.tree.map(lambda x: x.reshape(CHAINS, -1), found)

    @partial(jax.jit, compiler_options=options)
    def run(y):
        def step(i, y):
            # Each number is used once, and the products are those of the gradient.
            z = ensemble_noise(keys, i, shapes, -1 if last else 0)
            moved = products(y) if matrix else y
            return jax.tree.map(lambda x, g, n: x + jnp.float32(1e-6) * (g + n), y, moved, z)

        return jax.lax.fori_loop(0, steps, step, y)

    first = repeated(start)
    if last:
        return partial(run, jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), first))
    return partial(run, jax.tree.map(lambda x: x.reshape(CHAINS, -1), first))


def projected_noise(loss, steps: int, clock: Callable[[], float]) -> tuple[list, list]:
    """A step with noise across the orbits of GL(20), against its parts: an isotropic step, and the
    singular value decompositions of both factors."""
    keys = jr.split(jr.key(SEED + 1), 2)
    start = tuple(jnp.eye(20) + 0.3 * jr.normal(k, (CHAINS, 20, 20)) for k in keys)
    action = gb.symmetry.GeneralLinear(lambda p: p[0], lambda p: p[1])

    def go(sde):
        options = {"key": jr.key(SEED), "batched": True, "steps": steps, "dt": DT}
        return lambda: gb.simulate(sde, start, **options).final

    @jax.jit
    def decompose(y):
        def step(_, y):
            u, s, _ = jnp.linalg.svd(y, full_matrices=False)
            return y + 1e-6 * u * s[:, None, :]

        return jax.lax.fori_loop(0, steps, step, y)

    parts = ("isotropic", "decompositions")
    runs = {
        "isotropic": go(gb.dynamics.Langevin(loss, jnp.float32(T))),
        "decompositions": partial(decompose, jnp.concatenate(start)),
        "projected": go(gb.dynamics.ProjectedLangevin(loss, action, jnp.float32(T))),
    }
    seconds = interleaved(runs, repeats=5, clock=clock)
    rows = []
    for which in runs:
        row = {"problem": "GL(20)", "path": which, "unit": "ns a chain-step"}
        rows.append(row | seconds.estimate(which, 1e9 / steps / CHAINS).fields("value"))
    of = sum(seconds.seconds[which] for which in parts)
    ratio = Estimate.of(seconds.seconds["projected"] / of)
    rows[-1] |= ratio.fields("ratio") | {"of": "both parts"}
    text = f"GL(20): projected noise at {ratio.median:.2f} of its parts (at most {PROJECTED})"
    return rows, [(text, ratio.median <= PROJECTED)]


def traces_of_a_scan(loss, start) -> int:
    """Traces of the compiled program for a scan of twenty temperatures."""
    traces, judge = [], program.finite_chains

    def counted(*args):
        traces.append(0)
        return judge(*args)

    def fresh(p):
        return loss(p)

    program.finite_chains = counted
    try:
        for t in np.linspace(0.1, 2.0, 20, dtype=np.float32):
            sde = gb.dynamics.Langevin(fresh, t)
            gb.simulate(sde, start, key=jr.key(SEED), chains=CHAINS, steps=16, dt=DT)
    finally:
        program.finite_chains = judge
    return len(traces)


def first_calls(name: str) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    """The first call of `simulate` in processes that have compiled nothing, by parts."""
    rows, checks = [], []
    for process in _first_call.PROCESSES:
        taken = _first_call.first_call(name, process)
        path = f"first call, {process}"
        rows.append({"problem": name, "path": path, "value": taken["all"], "unit": "s"})
        for part in ("trace", "lower", "compile"):
            row = {"problem": name, "path": f"{path}: {part}", "value": taken[part], "unit": "s"}
            rows.append(row)
        row = {"problem": name, "path": f"{path}: compiled", "value": taken["programs"]}
        rows.append(row | {"unit": "programs"})
        text = f"{name}: first call of {process} {taken['all']:.2f} s (at most {FIRST})"
        checks.append((text, taken["all"] <= FIRST))
    return rows, checks


def measure(
    quick: bool, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[dict[str, Any]], list[tuple[str, bool]]]:
    """Rows, and each target in words with whether it is met."""
    rows, checks = [], []
    for name, many in STEPS.items():
        progress(name)
        steps = many // 4 if quick else many
        loss, gradient, start = problem(name)
        moments = gb.dynamics.Moments()
        runs: dict[str, Callable] = {
            "scan": scan(gradient, start, steps),
            "simulate": simulate(loss, start, steps),
            "limit": limit(gradient, start, steps),
            "simulate, Heun": simulate(loss, start, steps, solver=diffrax.Heun()),
            "simulate, moments": simulate(loss, start, steps, reduce=moments, every=EVERY),
        }
        for which, r in reductions().items():
            options = {"reduce": r, "observe": first_product, "every": EVERY}
            runs[f"simulate, {which}"] = simulate(loss, start, steps, **options)
        fast, absent = peers.langevin(as_peer(name, steps), slow=False)
        with contextlib.ExitStack() as stack:
            if clock is time.perf_counter:  # no other clock counts what another process does
                fast[ALONE] = stack.enter_context(jax_alone_scan(name, steps)).turn
            else:
                absent.append(ALONE)
            seconds = interleaved(runs | fast, repeats=3 if quick else 7, clock=clock)
        # The other peers are far slower: a tenth of the steps, in turns with the scan.
        few = max(4, steps // 10)
        slow, also = peers.langevin(as_peer(name, few), slow=True)
        others = interleaved({"scan": scan(gradient, start, few)} | slow, repeats=3, clock=clock)
        for taken, length in ((seconds, steps), (others, few)):
            for which in taken:
                if length == steps or which != "scan":
                    row = {"problem": name, "path": which, "unit": "ns a chain-step"}
                    row |= taken.estimate(which, 1e9 / length / CHAINS).fields("value")
                    row |= taken.ratio(which, "scan").fields("ratio")
                    row |= {"of": "scan", "peer": not which.startswith(("simulate", "limit"))}
                    rows.append(row)
        rows += draws(name, seconds, steps)
        rows += [{"problem": name, "path": path, "absent": True} for path in absent + also]
        of = ALONE if ALONE in seconds else "scan"
        ratio, most = seconds.ratio("simulate", of).median, TARGETS[name]
        text = f"{name}: simulate at {ratio:.2f} of {of} (at most {most})"
        if ratio > most:
            reached = seconds.ratio("limit", "simulate").median
            least = seconds.ratio("limit", of).median
            text += (
                f"; the limit, noise alone, is at {least:.2f} of it; {reached:.0%} of it reached"
            )
        checks.append((text, ratio <= most))
        for which in ("moments", *reductions()):
            ratio = seconds.ratio(f"simulate, {which}", "simulate").median
            text = f"{name}: {which} at {ratio:.2f} of the run without (at most {REDUCED})"
            checks.append((text, ratio <= REDUCED))
        traces = traces_of_a_scan(loss, start)
        row = {"problem": name, "path": "20 temperatures", "value": traces, "unit": "traces"}
        rows.append(row)
        checks.append((f"{name}: {traces} trace of a temperature scan (1)", traces == 1))
        first, also_first = first_calls(name)
        rows, checks = rows + first, checks + also_first
        if name == "factorisation":
            found, judged = projected_noise(loss, 8 if quick else 64, clock)
            rows, checks = rows + found, checks + judged
    return rows, checks


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.engines", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer repeats")
    parser.add_argument("--cpu", action="store_true", help="compare processor time, not wall time")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results/")
    options = parser.parse_args(argv)
    rows, checks = measure(options.quick, time.process_time if options.cpu else time.perf_counter)
    print(_table.text("engines", rows))
    for text, met in checks:
        print("met   " if met else "MISSED", text)
    settings = {
        "dtype": "float32",
        "chains": CHAINS,
        "quick": options.quick,
        "clock": "processor time" if options.cpu else "wall time",
        "targets": [{"text": text, "met": met} for text, met in checks],
    }
    if options.json:
        save(options.json, "engines", rows, **settings)
    if options.save:
        save(RESULTS / f"engines-{machine()}.json", "engines", rows, **settings)
    return 0 if all(met for _, met in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
