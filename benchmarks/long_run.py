"""Memory of a long run of the toy problem: `python -m benchmarks.long_run`.

`w = u v` with weight decay under Langevin noise, 1,024 chains, float32, one draw each ten steps
into moments, a histogram, a quantile sketch and autocorrelations. The run is done twice in one
process, with a tenth of the chain-steps and with all of them; exit code 1 where the peak of
resident memory grows by more than 32 MiB between the two, or passes 1 GiB.
"""

import argparse
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import gaugebias as gb

from ._timing import RESULTS, machine, save

CHAINS, EVERY = 1024, 10
ALLOWED, MOST = 32.0, 1024.0  # MiB


def peak() -> float:
    """The largest resident memory of this process so far, MiB (Linux)."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("this benchmark reads /proc/self/status, which is not there.")


def loss(p):
    return 0.5 * (p[0] * p[1] - 1.0) ** 2 + 0.05 * (p[0] ** 2 + p[1] ** 2)


def predictor(p):
    return p[0] * p[1]


REDUCE = {
    "moments": gb.dynamics.Moments(),
    "histogram": gb.dynamics.Histogram(np.linspace(-2.0, 4.0, 61)),
    "quantiles": gb.dynamics.Quantiles(),
    "autocorrelation": gb.dynamics.Autocorrelation(),
}


def run(chain_steps: float):
    """One run, and what it took."""
    # A whole number of draws, so that both runs share their programs.
    steps = max(1, round(chain_steps / CHAINS / EVERY)) * EVERY
    sde = gb.dynamics.Langevin(loss, jnp.float32(0.1))
    start = (jnp.ones((), jnp.float32), jnp.ones((), jnp.float32))
    began = time.perf_counter()
    ens = gb.simulate(
        sde,
        start,
        key=jax.random.key(0),
        chains=CHAINS,
        steps=steps,
        dt=0.01,
        every=EVERY,
        observe=predictor,
        reduce=REDUCE,
    )
    found = ens.reductions
    return {
        "chain_steps": CHAINS * steps,
        "seconds": time.perf_counter() - began,
        "peak_mib": peak(),
        "draws": found["moments"].draws,
        "mean": float(found["moments"].mean),
        "standard_error": float(found["moments"].standard_error),
        "effective": float(found["autocorrelation"].ess),
        "median": float(found["quantiles"].quantile(0.5)),
    }


def measure(chain_steps: float) -> list[dict]:
    """Both runs."""
    rows = []
    for many in (chain_steps / 10, chain_steps):
        row = run(many)
        rows.append(row)
        print(
            f"{row['chain_steps']:.3g} chain-steps, {row['draws']} draws a chain: "
            f"{row['seconds']:.1f} s with compilation, peak {row['peak_mib']:.0f} MiB; mean "
            f"{row['mean']:.5f} +- {row['standard_error']:.5f}, median {row['median']:.3f}, "
            f"{row['effective']:.3g} effective draws",
            flush=True,
        )
    return rows


def verdicts(rows: list[dict]) -> list[tuple[str, bool]]:
    """Each target in words with whether it is met."""
    growth = rows[1]["peak_mib"] - rows[0]["peak_mib"]
    return [
        (f"memory grows by {growth:.1f} MiB (at most {ALLOWED:.0f})", growth <= ALLOWED),
        (f"peak {rows[1]['peak_mib']:.0f} MiB (at most {MOST:.0f})", rows[1]["peak_mib"] <= MOST),
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.long_run", description=__doc__)
    parser.add_argument(
        "--chain-steps", type=float, default=1e9, metavar="N", help="of the longer run"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results/")
    options = parser.parse_args(argv)
    if not options.chain_steps >= 10 * CHAINS * EVERY:
        parser.error(f"`--chain-steps` must be at least {10 * CHAINS * EVERY}.")
    rows = measure(options.chain_steps)
    checks = verdicts(rows)
    for text, met in checks:
        print("met   " if met else "MISSED", text)
    settings = {"dtype": "float32", "chains": CHAINS, "every": EVERY}
    if options.json:
        save(options.json, "long_run", rows, **settings)
    if options.save:
        save(RESULTS / f"long_run-{machine()}.json", "long_run", rows, **settings)
    return 0 if all(met for _, met in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
