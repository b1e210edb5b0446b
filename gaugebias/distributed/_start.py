"""How a process becomes one of several."""

import contextlib
import os

import jax

from ._bus import GRACE, TIMEOUT, close_bus, open_bus
from ._meeting import meet


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: float = TIMEOUT,
    grace: float = GRACE,
    connect_timeout: float = 300.0,
    local_device_ids: int | list[int] | None = None,
) -> None:
    """Make this process one of several that run the same program on any number of hosts.

    `jax.distributed.initialize` with a watch: where a process dies or fails, all others raise
    [`gaugebias.distributed.ProcessLost`][] within a stated time and what was written is kept. Call
    it before anything that computes; `jax.devices()` are then the devices of all processes, and
    `gb.simulate(..., devices=jax.devices())`, as `gb.train` and `gb.dynamics.step_halving`, gives
    each process the chains of its own devices and every process the whole result.

    **Arguments:**

    - `coordinator_address`: `"host:port"` of process 0, any free port of it. `num_processes`: how
        many processes there are. `process_id`: the number of this one, from 0. Where one is left
        out, the environment is asked: `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and
        `JAX_PROCESS_ID`, then what jax knows of SLURM, Open MPI, Kubernetes and Cloud TPU.
    - `timeout`: seconds without a sign of life after which a process is lost. One that is killed
        is lost at once, whatever the timeout: its connection closes.
    - `grace`: seconds that the others have to stop by themselves. A process that does not come
        out of compiled code by then is ended with exit code 1.
    - `connect_timeout`: seconds to wait for all processes.
    - `local_device_ids`: which of its host's accelerators this process uses; one a process under
        SLURM and Open MPI, all of them otherwise.

    Process 0 holds jax's own coordination service: where it is killed, jax itself ends the others
    at once (they abort, naming the leader).

    **Raises:** `ValueError` where processes do not find each other or disagree, where something
    has been computed already, and on the second call.
    """
    for name, value in (
        ("timeout", timeout),
        ("grace", grace),
        ("connect_timeout", connect_timeout),
    ):
        if not 0 < value < float("inf"):
            raise ValueError(f"`{name}` must be a positive number of seconds, but is {value!r}.")
    if jax.distributed.is_initialized():
        raise ValueError("`initialize` was called already: call it once, at the start.")
    coordinator_address = coordinator_address or os.environ.get("JAX_COORDINATOR_ADDRESS")
    num_processes = _number("num_processes", num_processes)
    process_id = _number("process_id", process_id)
    if num_processes is not None and num_processes < 1:
        raise ValueError(f"`num_processes` must be at least 1, but is {num_processes}.")
    if process_id is not None and not 0 <= process_id < (num_processes or process_id + 1):
        raise ValueError(
            f"`process_id` must be from 0 to {(num_processes or 1) - 1}, but is {process_id}: "
            "`num_processes` counts all of them."
        )
    where = None if coordinator_address is None else _address(coordinator_address)
    _check_fresh()
    if where is not None and num_processes is not None and process_id is not None:
        meet(*where, num_processes, process_id, connect_timeout)
    with contextlib.suppress(AttributeError):  # a lost process must not take the others along
        jax.config.update("jax_enable_recoverability", True)
    try:
        jax.distributed.initialize(
            coordinator_address,
            num_processes,
            process_id,
            local_device_ids,
            initialization_timeout=int(max(1, connect_timeout)),
            heartbeat_timeout_seconds=int(max(10, timeout)),
        )
    except (ValueError, TypeError) as error:
        given = {
            "coordinator_address": coordinator_address,
            "num_processes": num_processes,
            "process_id": process_id,
        }
        missing = [f"`{name}`" for name, value in given.items() if value is None]
        raise ValueError(
            f"{' and '.join(missing) or '`coordinator_address`'}: no launcher that jax knows says "
            f"it ({str(error).strip()}): give all three, or start under SLURM, Open MPI, "
            "Kubernetes or on a Cloud TPU."
        ) from None
    if jax.process_count() > 1:
        open_bus(float(timeout), float(grace), alone=True)


def shutdown() -> None:
    """Leave the other processes. Process 0 waits for them; it is done at exit where it was not."""
    close_bus()
    jax.distributed.shutdown()


def _number(name: str, value: int | None) -> int | None:
    text = os.environ.get(f"JAX_{name.upper()}") if value is None else value
    if text is None:
        return None
    try:
        if isinstance(text, bool) or int(text) != float(text):
            raise ValueError
        return int(text)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be an integer, but is {text!r}.") from None


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 2**16):
        raise ValueError(
            f'`coordinator_address` must be "host:port" of process 0, but is {text!r}.'
        )
    return host.strip("[]"), int(port)


def _check_fresh() -> None:
    from jax._src import xla_bridge

    if xla_bridge.backends_are_initialized():
        raise ValueError(
            "`initialize` must come before anything that computes, calls of `jax.devices()` and "
            "`jax.random.key` included: make it the first line of the program."
        )
