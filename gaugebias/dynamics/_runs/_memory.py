"""How much memory a run needs, before anything is compiled."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PyTree

from ._devices import Layout

_HOST = "this host"
_BESIDE = 64  # bytes a chain beside its numbers: its key twice, and what is noted of it


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
    return None if free is None else (free, _HOST)


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
    layout: Layout,
    *,
    state: int,
    noise: int = 0,
    states: int = 0,
    draw: int = 0,
    most: int = 0,
    draws: int = 0,
) -> None:
    """`ValueError` where a run cannot fit; sizes are bytes a chain.

    The state before and after a step, its drift and noise, keys and result codes, the reductions
    before and after a chunk and at the end, the draws of a chunk, and on the host all draws that
    are kept, by chunks and together. Peaks that were measured were within a tenth, but for
    `Moments`, whose run took 1.4 times as much. What the loss needs is not counted.
    """
    mesh = layout.mesh
    found = available(jax.local_devices()[:1] if mesh is None else list(mesh.devices))
    if found is None:
        return
    free, where = found
    # Of several processes, each simulates its share and gets the draws of all.
    each = (3 * state + noise + 4 * states + most * draw + _BESIDE) * layout.here / layout.total
    kept = (2 if draws > 1 else 1) * draws * draw
    if where == _HOST:
        _check(layout, each + kept, free, where, kept if draws > 1 else 0)
        return
    _check(layout, each, free, where, 0)
    host = host_memory()
    if host is not None:
        _check(layout, kept, host, _HOST, kept if draws > 1 else 0)


def _check(layout: Layout, each: float, free: int, where: str, kept: int) -> None:
    """`ValueError` where chains of `each` bytes, of which draws take `kept`, are too many."""
    if layout.total * each <= free:
        return
    fit = int(0.8 * free // each)
    said = (
        f"`chains`: {layout.chains} chains need about {layout.total * each / 2**30:.3g} GiB, "
        f"and {free / 2**30:.3g} GiB are free on {where}; "
    )
    said += f"{fit} chains at a time would fit." if fit else "not even one chain fits."
    if kept:
        said += (
            f" Recorded draws take {layout.total * kept / 2**30:.3g} GiB of it: raise `every`, "
            "observe less, or take `reduce`, which keeps the last draw only."
        )
    raise ValueError(said)
