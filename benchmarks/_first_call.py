"""What the first call of `simulate` costs in a process that has compiled nothing.

`python -m benchmarks._first_call PROBLEM PROCESS` prints seconds as JSON: of the first call beyond
those of a second one, and of tracing, of lowering and of the compiler alone; and how many programs
were compiled.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

PROCESSES = ("Langevin", "ProjectedLangevin")
_PARTS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


def first_call(problem: str, process: str) -> dict[str, Any]:
    """What the call takes in a process started for it, without any cache of compiled programs."""
    env = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-m", "benchmarks._first_call", problem, process]
    said = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(said.stdout)


def child(name: str, process: str) -> dict[str, Any]:
    """The call, in this process."""
    import jax
    import jax.numpy as jnp

    import gaugebias as gb

    from ._scan import CHAINS, DT, SEED, T, problem

    loss, _, start = problem(name)
    if process == "Langevin":
        sde = gb.dynamics.Langevin(loss, jnp.float32(T))
    else:
        u, v = lambda p: p[0], lambda p: p[1]
        action = (
            gb.symmetry.GeneralLinear(u, v)
            if name == "factorisation"
            else gb.symmetry.Rescaling(u, v, axes=(0, 0))
        )
        sde = gb.dynamics.ProjectedLangevin(loss, action, jnp.float32(T))
    key = jax.random.key(SEED)
    parts: dict[str, float] = dict.fromkeys(_PARTS.values(), 0.0)
    programs: Counter[str] = Counter()

    def heard(event: str, duration_secs: float, **_: Any) -> None:
        if event in _PARTS:
            parts[_PARTS[event]] += duration_secs
            programs[_PARTS[event]] += 1

    jax.monitoring.register_event_duration_secs_listener(heard)

    def seconds() -> float:
        began = time.perf_counter()
        gb.simulate(sde, start, key=key, chains=CHAINS, steps=16, dt=DT)
        return time.perf_counter() - began

    first = seconds()
    found = {"first": first, **parts, "programs": programs["compile"]}
    again = seconds()
    return found | {"all": first - again, "again": again}


if __name__ == "__main__":
    print(json.dumps(child(*sys.argv[1:])))
