"""GL(r) by structure against a materialised Jacobian: `python -m benchmarks.orbit_gram`.

Factors of shape (2r, r), float64. The dense side materialises the generators with `jax.jacfwd` and
uses `slogdet` of their Gram, or a Cholesky solve with it for the projection: the cheapest dense
way, not the most accurate. Both sides take turns and ratios are taken turn by turn, so that a
machine that drifts slows both; each turn of the quick side lasts 20 ms after an uncounted call,
since the dense side leaves caches and thread pools as it likes. Exit code 1 where a target is
missed.
"""

import argparse
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.stats import ortho_group

import gaugebias as gb

from ._timing import RESULTS, interleaved, machine, save

RANKS = (4, 8, 16, 32, 64)
WHAT = ("log det", "gradient", "projection")
TARGETS = {"log det": 700.0, "projection": 100.0}  # at r = 32
EXPONENT, AGREEMENT = 3.3, 1e-9
REPEATS, LEAST = 21, 2e-2  # turns, and seconds of each


def factors(r: int, condition: float, seed: int):
    """Two factors of shape (2r, r) with singular values spread evenly in the logarithm."""
    rng = np.random.default_rng(seed)
    values = np.geomspace(1.0, 1.0 / condition, r)

    def one():
        left, right = (ortho_group.rvs(n, random_state=rng)[:, :r] for n in (2 * r, r))
        return jnp.asarray((left * values) @ right.T)

    return one(), one()


def structured(action):
    def log_det(params):
        return gb.orbit_gram(action, params).log_det()

    def projection(params, v):
        return gb.horizontal(action, params, v)

    return {"log det": log_det, "gradient": jax.grad(log_det), "projection": projection}


def materialised(action):
    def frame(params):
        zero, unravel = ravel_pytree(jnp.zeros(action.algebra(params).shape))
        return jax.jacfwd(lambda c: ravel_pytree(action.tangent(params, unravel(c)))[0])(zero)

    def log_det(params):
        j = frame(params)
        return jnp.linalg.slogdet(j.T @ j)[1]

    def projection(params, v):
        j, (flat, unravel) = frame(params), ravel_pytree(v)
        return unravel(flat - j @ jax.scipy.linalg.solve(j.T @ j, j.T @ flat, assume_a="pos"))

    return {"log det": log_det, "gradient": jax.grad(log_det), "projection": projection}


def difference(a, b) -> float:
    """Largest difference, relative to the largest entry."""
    a, b = ravel_pytree(a)[0], ravel_pytree(b)[0]
    return float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)))


def measure(r: int, dense: bool, repeats: int) -> list[dict]:
    action = gb.symmetry.GeneralLinear("0", "1")
    params = factors(r, 10.0, r)
    v = jax.tree.map(jnp.cos, factors(r, 10.0, r + 1))
    sides = {"structured": structured(action)}
    if dense:
        sides["dense"] = materialised(action)
    rows = []
    for what in WHAT:
        arguments = (params, v) if what == "projection" else (params,)
        calls = {side: jax.jit(fns[what]) for side, fns in sides.items()}
        values = {side: fn(*arguments) for side, fn in calls.items()}
        timed = {side: partial(fn, *arguments) for side, fn in calls.items()}
        turns = interleaved(timed, repeats=repeats, least=LEAST, slow=4.0)
        row = {"r": r, "what": what, "structured_us": 1e6 * turns["structured"]}
        if dense:
            row["dense_us"] = 1e6 * turns["dense"]
            row |= turns.ratio("dense", "structured").fields("ratio")
            row["difference"] = difference(values["structured"], values["dense"])
        rows.append(row)
    return rows


def verdicts(rows: list[dict], ranks: tuple[int, ...]) -> list[tuple[str, bool]]:
    """Each target in words, and whether it is met."""
    by = {(row["r"], row["what"]): row for row in rows}
    out = []
    for what, least in TARGETS.items():
        row = by.get((32, what), {})
        if "ratio" in row:
            text = f"{what} at r = 32: {row['ratio']:.0f} times faster (at least {least:.0f})"
            out.append((text, row["ratio"] >= least))
    if {16, 64} <= set(ranks):
        for what in WHAT:
            times = [by[r, what]["structured_us"] for r in (16, 64)]
            exponent = float(np.log(times[1] / times[0]) / np.log(4.0))
            text = f"{what} from r = 16 to 64: as r^{exponent:.2f} (at most r^{EXPONENT})"
            out.append((text, exponent <= EXPONENT))
    worst = max(row["difference"] for row in rows if "difference" in row)
    out.append((f"agreement {worst:.1e} (at most {AGREEMENT:.0e})", worst <= AGREEMENT))
    return out


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.orbit_gram", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the dense side up to r = 16 only")
    parser.add_argument(
        "--largest-dense",
        type=int,
        default=64,
        metavar="R",
        help="the dense side up to this r; 64 takes about 10 GB and some minutes",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results/")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    largest = 16 if options.quick else options.largest_dense
    rows = []
    print(f"{'r':>3} {'what':>10} {'structured':>13} {'dense':>15} {'ratio':>8} {'difference':>10}")
    for r in RANKS:
        # At r = 64 the dense side takes tens of seconds a call: three repeats.
        for row in measure(r, r <= largest, REPEATS if r < 64 or largest < 64 else 3):
            rows.append(row)
            line = f"{r:3} {row['what']:>10} {row['structured_us']:10.1f} us"
            if "ratio" in row:
                line += f" {row['dense_us']:12.1f} us {row['ratio']:8.1f} {row['difference']:10.1e}"
            print(line, flush=True)
    checks = verdicts(rows, RANKS)
    for text, met in checks:
        print("met   " if met else "MISSED", text)
    settings = {"dtype": "float64", "rows of each factor": "2 r", "condition": 10.0}
    if options.json:
        save(options.json, "orbit_gram", rows, **settings)
    if options.save:
        save(RESULTS / f"orbit_gram-{machine()}.json", "orbit_gram", rows, **settings)
    return 0 if all(met for _, met in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
