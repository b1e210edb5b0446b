"""A checkpointed run in a process of its own, which may kill itself: run by `test_checkpoint.py`.

Arguments: the checkpoint's folder, the kind of run, and optionally `replace` (die just before the
second state is moved into place) or `torn` (die in the middle of writing it).
"""

import os
import signal
import sys

import jax
import jax.numpy as jnp

import gaugebias as gb

STEPS = 640


def well(p):
    return 0.5 * jnp.sum((p["u"] * p["v"] - 1.0) ** 2)


def simulate(path, kind, progress=None):
    reduce = {"moments": gb.dynamics.Moments(), "autocorrelation": gb.dynamics.Autocorrelation()}
    return gb.simulate(
        gb.dynamics.Langevin(well, 0.1),
        {"u": jnp.ones(2), "v": jnp.ones(2)},
        key=jax.random.key(5),
        chains=40,
        steps=STEPS,
        burn_in=40,
        every=4,
        dt=0.01,
        observe=lambda p: p["u"] * p["v"],
        reduce=reduce if kind == "reduced" else None,
        checkpoint=None if path is None else gb.dynamics.Checkpoint(path, steps=20),
        progress=progress,
    )


def main(path, kind, end=""):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", os.environ.get("GAUGEBIAS_TEST_CACHE"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    replace, states = os.replace, [0]

    def die(source, target):
        if str(target).endswith("state"):
            states[0] += 1
            if states[0] == 2:
                if end == "torn":
                    os.truncate(source, os.path.getsize(source) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    if end:
        os.replace = die

    def progress(fraction):
        print(fraction, flush=True)

    simulate(path, kind, progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
