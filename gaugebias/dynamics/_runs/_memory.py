"""How much memory a run needs, before anything is compiled."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PyTree

from ._devices import Layout


def size_of(tree: PyTree) -> int:
    """Bytes of the arrays (or shapes) of a pytree."""
    total = 0
    for x in jax.tree.leaves(tree):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.eval_shape(jr.key_data, x)
        total += int(np.prod(x.shape)) * np.dtype(x.dtype).itemsize
    return total


def available(devices: Sequence[Any]) -> tuple[int, str] | None:
    """Free bytes of all `devices` together, and where; `None` where nobody says."""
    stats = [device.memory_stats() for device in devices]
    if all(s and "bytes_limit" in s for s in stats):
        free = sum(s["bytes_limit"] - s.get("bytes_in_use", 0) for s in stats if s)
        return free, f"{len(devices)} {devices[0].device_kind}"
    free = host_memory()
    return None if free is None else (free, "this host")


def host_memory() -> int | None:
    """Free bytes of the host, of its control group where that is less (Linux)."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        free = 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            most = int(file.read())
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            used = int(file.read())
        with open("/sys/fs/cgroup/memory.stat", encoding="ascii") as file:
            cached = next(int(n.split()[1]) for n in file if n.startswith("inactive_file "))
        free = min(free, most - used + cached)
    except (OSError, ValueError, StopIteration):
        pass  # no limit, or not Linux
    return free


def check_memory(
    layout: Layout, *, state: int, noise: int, states: int, draw: int, most: int, draws: int
) -> None:
    """`ValueError` where a run cannot fit; sizes are bytes a chain.

    A lower bound: the state before and after a step, its drift and noise, the reductions twice, the
    draws of a chunk, and on the host all draws that are kept. What the loss needs is not counted.
    """
    mesh = layout.mesh
    found = available(jax.local_devices()[:1] if mesh is None else list(mesh.devices))
    if found is None:
        return
    free, where = found
    # Of several processes, each simulates its share and gets the draws of all.
    each = (3 * state + noise + 2 * states + most * draw) * layout.here / layout.total
    on_host = draws * draw
    if where == "this host":
        each += on_host
    if layout.total * each > free:
        fit = int(0.8 * free // each)
        said = (
            f"`chains`: {layout.chains} chains need at least {layout.total * each / 2**30:.3g} "
            f"GiB, and {free / 2**30:.3g} GiB are free on {where}; {fit} chains at a time would "
            "fit."
        )
        if draws > 1:
            said += (
                f" Recorded draws take {layout.total * on_host / 2**30:.3g} GiB of it: raise "
                "`every`, observe less, or take `reduce`, which keeps the last draw only."
            )
        raise ValueError(said)
