"""Several processes on this host, where no launcher starts them."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence

# Below the ports that hosts give to outgoing connections, so that none takes it in between.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port that nothing on this host listens to."""
    for port in random.SystemRandom().sample(_PORTS, 200):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
    raise OSError("no free port was found between 20000 and 32000.")


def launch(count: int, command: Callable[[str, int], Sequence[str]], wait: float) -> int:
    """Run `command(address, index)` in `count` processes, each on its share of the cores.

    Process 0 has this process's output; what the others say on stderr is shown where one of them
    is the first to fail. When one fails, the rest have `wait` seconds to stop by themselves.

    **Returns:** the exit code of process 0; 2 where it was killed.
    """
    address = f"127.0.0.1:{free_port()}"
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    crew: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ended_with_this())
        said = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count)]
        try:
            for i in range(count):
                env = {"JAX_LOCAL_DEVICE_IDS": str(i)} | os.environ  # an accelerator each
                quiet = {} if i == 0 else {"stdout": subprocess.DEVNULL, "stderr": said[i]}
                crew.append(subprocess.Popen(command(address, i), env=env, **quiet))
                if count <= len(cores):
                    os.sched_setaffinity(crew[i].pid, cores[i::count])
            first = _watch(crew, wait)
        except KeyboardInterrupt:  # they have been interrupted with this process
            first = None
            _end(crew, wait)
        finally:
            _end(crew, 0.0)
        codes = [process.returncode for process in crew]
        if first is not None and codes[first] < 0:
            name = signal.Signals(-codes[first]).name
            print(
                f"gaugebias: process {first} of {count} was killed ({name}); the others were "
                "stopped, and what was written is kept.",
                file=sys.stderr,
            )
        elif first and codes[0] != codes[first]:
            said[first].seek(0)
            sys.stderr.write(said[first].read())
    return codes[0] if codes[0] >= 0 else 2


@contextlib.contextmanager
def _ended_with_this() -> Iterator[None]:
    """Whoever terminates this process (`kill`, `timeout`, a scheduler) terminates its crew."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)  # through what ends the crew

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch(crew: list[subprocess.Popen], wait: float) -> int | None:
    """Until all have ended, or `wait` seconds after one has failed. Which one failed first."""
    first, end = None, float("inf")
    while any(process.poll() is None for process in crew) and time.monotonic() < end:
        time.sleep(0.1)
        failed = [i for i, process in enumerate(crew) if process.poll() not in (None, 0)]
        if failed and first is None:
            # Killed from outside before those that jax's own abort takes along.
            first = min(failed, key=lambda i: (crew[i].returncode != -signal.SIGKILL, i))
            end = time.monotonic() + wait
    return first


def _end(crew: list[subprocess.Popen], wait: float) -> None:
    end = time.monotonic() + wait
    while any(process.poll() is None for process in crew) and time.monotonic() < end:
        time.sleep(0.1)
    for process in crew:
        if process.poll() is None:
            process.kill()
            process.wait()
