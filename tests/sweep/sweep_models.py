"""Experiments that the tests of sweeps share; run as a script, one sweep in a process of its own.

Arguments: the store's folder, and optionally the number of processes, this one's number and the
port of `jax.distributed` on the loopback address.
"""

import dataclasses
import os
import sys

import jax
import jax.numpy as jnp

import gaugebias as gb


@dataclasses.dataclass(frozen=True)
class Settings:
    depth: int = 2
    learning_rate: float = 0.1
    start: float = 0.5
    loss: str = "square"
    steps: int = 20

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"`depth` is {self.depth}: a product has at least one factor.")


def descend(settings, key):
    """Gradient descent of one tied product from a noisy start."""
    u = settings.start * jnp.exp(0.1 * jax.random.normal(key))

    def step(u, _):
        residual = u**settings.depth - 1.0
        if settings.loss == "cubic":
            residual = residual * jnp.abs(residual)
        u = u - settings.learning_rate * residual * u ** (settings.depth - 1)
        return u, None

    u, _ = jax.lax.scan(step, u, length=settings.steps)
    return {"w": u**settings.depth, "factors": jnp.full(settings.depth, u)}


OVER = {"depth": [1, 2, 3], "learning_rate": [0.01 * k for k in range(1, 11)]}


def sweep(path, progress=False):
    return gb.sweep.run(
        descend, Settings(), OVER, path=path, key=jax.random.key(3), seeds=4, chunk=8,
        progress=progress,
    )  # fmt: skip


def main(path, processes="1", process="0", port="0"):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", os.environ.get("GAUGEBIAS_TEST_CACHE"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if int(processes) > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", int(processes), int(process))
    from gaugebias.sweep._store import Store

    write = Store.write

    def told(self, chunk, outputs, status, reasons):
        write(self, chunk, outputs, status, reasons)
        print("chunk", flush=True)

    Store.write = told
    sweep(path)
    print("end", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
