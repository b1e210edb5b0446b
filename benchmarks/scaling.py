"""Strong and weak scaling of `simulate`: `python -m benchmarks.scaling`.

The toy, Hadamard and factorisation problems of `benchmarks.engines`, on one and two devices of one
process, and on one and two processes. The measure is the same program pinned to one core.

Each row is one interleaved comparison. Every configuration lives in a process (or two) of its own
that has compiled its run and waits for a word; all take turns, so that a machine with other work
slows all of them. Between two turns nothing runs. Strong scaling: the same chains on more cores,
efficiency `t1 / (n tn)`. Weak scaling: as many times the chains, efficiency `t1 / tn`. What two
independent processes reach on the same cores, each doing the whole baseline, is given as the
hardware's own limit: caches, memory and clock are shared.

Exit code 1 where an efficiency is below 0.9. Where the limit is below 0.9 too, the machine has
other work or the cores share too much: the figures then say nothing of the package.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

TARGET = 0.9
CHAINS, DT = 1024, 1e-3
STEPS = {"toy": 400_000, "hadamard": 16_000, "factorisation": 600}


class Team:
    """The processes of one configuration: started, compiled, waiting."""

    def __init__(self, problem: str, chains: int, steps: int, cores: list[list[int]], shared: bool):
        from gaugebias.distributed._launch import free_port

        from ._apart import Apart

        address = f"127.0.0.1:{free_port()}"
        self.crew = []
        for i, mine in enumerate(cores):
            job = {"problem": problem, "chains": chains, "steps": steps, "cores": mine, "index": i}
            if shared and len(cores) > 1:
                job |= {"address": address, "count": len(cores)}
            flags = f"--xla_force_host_platform_device_count={len(mine)}"
            env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
            command = ["-m", "benchmarks.scaling", "--member", json.dumps(job)]
            self.crew.append(Apart(command, env, mine))

    def wait(self) -> None:
        for process in self.crew:
            process.wait()

    def turn(self) -> float:
        """Seconds of one run: of the process that takes longest."""
        for process in self.crew:
            process.go()
        return max(float(process.said()) for process in self.crew)

    def end(self) -> None:
        for process in self.crew:
            process.close()
        for process in self.crew:
            process.end()


def member(job: dict[str, Any]) -> None:
    """One process: compiles, then runs once for each line that it is given."""
    import jax

    import gaugebias as gb

    many = "count" in job
    if many:
        gb.distributed.initialize(job["address"], job["count"], job["index"])
    import jax.numpy as jnp

    from ._scan import T, problem

    loss, _, start = problem(job["problem"])
    sde = gb.dynamics.Langevin(loss, jnp.float32(T))
    one = len(job["cores"]) == 1 and not many

    def run():
        options = {"key": jax.random.key(0), "chains": job["chains"], "steps": job["steps"]}
        devices = None if one else jax.devices()
        return gb.simulate(sde, start, dt=DT, devices=devices, **options)

    run()
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        run()
        print(time.perf_counter() - began, flush=True)


def measure(problems: list[str], quick: bool, repeats: int) -> list[dict[str, Any]]:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]
    if len(cores) < 2:
        raise ValueError("two cores are needed, and this process may use one.")
    a, b = cores[0], cores[1]
    rows = []
    for problem in problems:
        steps = STEPS[problem] // (8 if quick else 1)
        teams = {
            "one core": Team(problem, CHAINS, steps, [[a]], False),
            "two alone": Team(problem, CHAINS, steps, [[a], [b]], False),
            "strong, two devices": Team(problem, CHAINS, steps, [[a, b]], False),
            "strong, two processes": Team(problem, CHAINS, steps, [[a], [b]], True),
            "weak, two devices": Team(problem, 2 * CHAINS, steps, [[a, b]], False),
            "weak, two processes": Team(problem, 2 * CHAINS, steps, [[a], [b]], True),
        }
        for team in teams.values():
            team.wait()
        taken: dict[str, list[float]] = {name: [] for name in teams}
        for _ in range(repeats):
            for name, team in teams.items():
                taken[name].append(team.turn())
        for team in teams.values():
            team.end()
        # Ratios within a turn of all, then their median: the machine's drift cancels.
        base = np.asarray(taken["one core"])
        limit = float(np.median(base / np.asarray(taken["two alone"])))
        for name, seconds in taken.items():
            each = base / np.asarray(seconds)
            each = each / 2 if name.startswith("strong") else each
            low, middle, high = np.quantile(each, [0.25, 0.5, 0.75])
            row = {"problem": problem, "what": name, "seconds": float(np.median(seconds))}
            row |= {"efficiency": float(middle), "quartiles": [float(low), float(high)]}
            rows.append(row | {"limit": limit})
            print(
                f"{problem:14} {name:22} {row['seconds']:8.3f} s  efficiency {middle:5.2f} "
                f"[{low:.2f}, {high:.2f}]",
                flush=True,
            )
    return rows


def verdicts(rows: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """Each target in words with whether it is met."""
    out = []
    for row in rows:
        if not row["what"].startswith(("strong", "weak")):
            continue
        got, limit = row["efficiency"], row["limit"]
        text = (
            f"{row['problem']}, {row['what']}: {got:.2f} of linear, {got / limit:.2f} of what two "
            f"independent processes reach (at least {TARGET} of linear)"
        )
        out.append((text, got >= TARGET))
    return out


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="NAME", help=", ".join(STEPS))
    parser.add_argument("--quick", action="store_true", help="an eighth of the steps")
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="turns (default 9)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results/")
    parser.add_argument("--member", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.member:
        member(json.loads(options.member))
        return 0
    rows = measure(options.only or list(STEPS), options.quick, options.repeats)
    checks = verdicts(rows)
    for text, met in checks:
        print("met   " if met else "MISSED", text)
    from ._timing import RESULTS, machine, save

    settings = {"chains": CHAINS, "dtype": "float32", "repeats": options.repeats}
    settings["load_average"] = os.getloadavg()[0]
    for path in (options.json, RESULTS / f"scaling-{machine()}.json" if options.save else None):
        if path:
            save(Path(path), "scaling", rows, **settings)
    return 0 if all(met for _, met in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
