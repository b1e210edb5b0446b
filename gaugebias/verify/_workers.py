"""Cases side by side, each in a process of its own: one bad case cannot take the others along."""

import contextlib
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from .._xla import avoid_waiting_for_ever
from ._attempt import Known, Message, Settings, attempt, lost
from ._case import Case, Outcome


def can_travel(cases: Sequence[Case]) -> bool:
    """Whether cases can be sent to another process (those made of local functions cannot)."""
    try:
        pickle.dumps(tuple(cases))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _share_of_cores(number: int, workers: int) -> None:
    """Keep this worker to its share of the cores, so that workers' threads do not fight."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if workers <= len(cores):
        os.sched_setaffinity(0, cores[number % workers :: workers])
        avoid_waiting_for_ever()


def _serve(connection: Connection, settings: Settings, number: int, workers: int) -> None:
    """The life of a worker: cases in, messages and outcomes out, until `None` arrives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _share_of_cores(number, workers)
    import jax

    jax.config.update("jax_enable_x64", settings.x64)
    try:
        while (case := connection.recv()) is not None:
            connection.send(attempt(case, settings, connection.send))
    except (EOFError, BrokenPipeError):  # the parent is gone
        pass


class _Worker:
    """A process, the pipe to it, the case it runs and what is known of that case."""

    def __init__(self, settings: Settings, number: int, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(other, settings, number, workers), daemon=True
        )
        self.process.start()
        other.close()
        self.case: Case | None = None
        self.known: Outcome | None = None

    def start(self, case: Case | None) -> None:
        self.case, self.known = case, None
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # dead: seen at the next look
            self.pipe.send(case)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


def run_in_workers(
    cases: Sequence[Case],
    settings: Settings,
    workers: int,
    tell: Callable[[Message], None],
    finished: Callable[[Outcome], None],
) -> bool:
    """Run `cases` in `workers` processes, long ones first; `False` where Ctrl-C ended it.

    `tell` and `finished` are called in this process, as messages and outcomes arrive. A worker
    that dies costs its case only.
    """
    waiting = sorted(cases, key=lambda case: -case.cost)
    crew: list[_Worker] = []
    try:
        workers = min(workers, len(waiting))
        for number in range(workers):
            crew.append(_Worker(settings, number, workers))
            crew[-1].start(waiting.pop(0))
        while any(worker.case for worker in crew):
            busy = {worker.pipe: worker for worker in crew if worker.case is not None}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # pyright: ignore[reportArgumentType]
                case = worker.case
                if case is None:
                    continue
                try:
                    message = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    message = _died(worker, case, settings)
                    number = crew.index(worker)
                    crew[number] = worker = _Worker(settings, number, workers)
                if isinstance(message, Outcome):
                    worker.case = None
                    finished(message)
                    if waiting:
                        worker.start(waiting.pop(0))
                    continue
                if isinstance(message, Known):
                    worker.known = message.outcome
                tell(message)
    except KeyboardInterrupt:
        for worker in crew:
            if worker.case is not None:
                finished(lost(worker.case, settings, worker.known, "interrupted", None))
        return False
    finally:
        for worker in crew:
            worker.stop()
    return True


def _died(worker: _Worker, case: Case, settings: Settings) -> Outcome:
    worker.process.join(5.0)
    code = worker.process.exitcode
    worker.pipe.close()
    how = f"was killed by signal {-code}" if code is not None and code < 0 else "ended"
    return lost(
        case,
        settings,
        worker.known,
        "error",
        f"its process {how} (exit code {code}): memory may have run out; run it by itself "
        "(`cases`), with fewer `chains`, or with one worker.",
    )
