"""A process that has compiled its run and waits: paths that cannot share one process take turns."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# What importing gaugebias adds to `XLA_FLAGS`.
OURS = ("xla_cpu_experimental_ynn_fusion_type", "xla_backend_extra_options")


@contextlib.contextmanager
def _kept_to(cores: Sequence[int] | None) -> Iterator[None]:
    """This thread, and with it what it starts, is kept to these cores."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Apart:
    """A Python process that prints "ready", and then a line for each line that it is given.

    `command` is what follows the interpreter's name; `env` its environment; `cores` those that it
    is kept to from its first breath, so that whatever counts cores counts these. As a context it
    is waited for, and ended.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cores: Sequence[int] | None = None
    ):
        with _kept_to(cores):
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def wait(self) -> None:
        """Until it is ready."""
        while (line := self._from.readline()).strip() != "ready":
            if not line:
                raise RuntimeError("a process of the benchmark has died.")

    def go(self) -> None:
        self._to.write("go\n")
        self._to.flush()

    def said(self) -> str:
        """Its answer, when it comes."""
        line = self._from.readline()
        if not line:
            raise RuntimeError("a process of the benchmark has died.")
        return line

    def turn(self) -> str:
        self.go()
        return self.said()

    def __enter__(self) -> "Apart":
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def close(self) -> None:
        """Let it end, without waiting for it."""
        self._to.close()

    def end(self) -> None:
        self.close()
        self._process.wait(60)
        self._from.close()


def jax_alone() -> dict[str, str]:
    """The environment without what importing gaugebias tells XLA."""
    env = dict(os.environ)
    flags = [f for f in env.get("XLA_FLAGS", "").split() if not any(name in f for name in OURS)]
    env["XLA_FLAGS"] = " ".join(flags)
    if env.pop("GAUGEBIAS_SET_PJRT_NPROC", None) is not None:
        env.pop("PJRT_NPROC", None)
    return env


def jax_alone_scan(problem: str, steps: int) -> Apart:
    """The hand-written scan of a problem, in a process that knows nothing of gaugebias."""
    path = Path(__file__).with_name("_scan.py")
    return Apart([str(path), problem, str(steps)], jax_alone())
