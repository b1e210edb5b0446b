"""What processes tell each other: results gathered in order, tasks shared, and who is lost.

Process 0 is connected to each of the others. Nothing of it touches devices: it is the host's
network, apart from what XLA does.
"""

import atexit
import base64
import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from typing import Any

import jax

from ._wire import Wire, call, listen

TIMEOUT, GRACE = 60.0, 30.0
_FAREWELL = 5.0


class ProcessLost(RuntimeError):
    """Another process of the run has died, failed or ended early. What was written is kept."""


class Bus:
    """This process's place among several. One for the life of the process; see `connected`."""

    def __init__(self, index: int, count: int, timeout: float, grace: float):
        self.index, self.count = index, count
        self.timeout, self.grace = timeout, grace
        self.stopped: str | None = None  # why, where a process was lost
        self.inbox: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()  # of process 0
        self._wires: dict[int, Wire] = {}
        self._left: set[int] = set()
        self._gathers: dict[tuple[str, int], dict[int, bytes]] = {}
        self._taken: dict[str, int] = {}
        self._answers: queue.Queue[int] = queue.Queue()
        self._turn = 0
        self._leaving = False
        self.interrupts = False  # whether the main thread is interrupted then
        self.leaves_alone = False
        self.told = False  # whether the main thread knows that it should stop
        self._news, self._farewell = threading.Condition(), threading.Event()

    # -- what a run asks for ------------------------------------------------------------------

    def gather(self, what: str, payload: bytes) -> list[bytes]:
        """The payloads of all processes, in the order of their numbers; all of them call it.

        **Raises:** [`gaugebias.distributed.ProcessLost`][] where one is lost meanwhile, or the
        others gather something else.
        """
        turn, self._turn = self._turn, self._turn + 1
        if self.index == 0:
            self._put(turn, what, 0, payload)
            parts = self._wait_for(("parts", turn), self.count)
            for wire in list(self._wires.values()):
                for i in range(self.count):
                    head = {"kind": "part", "turn": turn, "of": i}
                    wire.send(head, parts[i])
        else:
            self._wires[0].send({"kind": "mine", "turn": turn, "what": what}, payload)
            parts = self._wait_for(("parts", turn), self.count)
        return [parts[i] for i in range(self.count)]

    def take(self, name: str) -> int:
        """0, 1, 2, ...: each number goes to one process only."""
        self.check()
        if self.index == 0:
            return self._next(name)
        self._wires[0].send({"kind": "take", "name": name})
        while True:
            try:
                return self._answers.get(timeout=0.2)
            except queue.Empty:
                self.check()

    def post(self, head: dict[str, Any], payload: bytes = b"") -> None:
        """Put a message into the inbox of process 0."""
        if self.index == 0:
            self.inbox.put((head, payload))
        else:
            self._wires[0].send({"kind": "post", "head": head}, payload)

    def check(self) -> None:
        """Raise where a process is lost."""
        if self.stopped is not None:
            self.told = True
            raise ProcessLost(self.stopped)

    def fail(self, sentence: str) -> None:
        """Tell the others that this process fails."""
        if self.stopped is None and not self._leaving:
            if self.index == 0:
                self._stop(f"process 0 of {self.count} failed: {sentence}", here=False)
            else:
                self._wires[0].send({"kind": "failed", "text": sentence})

    def leave(self) -> None:
        """The end. Process 0 waits for the others, who would end with it."""
        with self._news:
            self._leaving = self.told = True
            self._news.notify_all()
        if self.index != 0:
            if self.leaves_alone:
                jax.distributed.shutdown()  # while process 0 is there for it
            self._wires[0].send({"kind": "left"})
            self._farewell.wait(_FAREWELL)  # a connection closed early loses what was sent
        else:
            end = float("inf")
            with self._news:
                while len(self._left) < self.count - 1 and time.monotonic() < end:
                    if self.stopped is not None:
                        end = min(end, time.monotonic() + self.grace)
                    self._news.wait(0.2)
        for wire in self._wires.values():
            wire.close()

    # -- how it comes about -------------------------------------------------------------------

    @property
    def connections(self) -> int:
        return len(self._wires)

    def add(self, other: int, connection: Any) -> None:
        wire = Wire(
            connection,
            self.timeout,
            lambda head, payload: self._heard(other, head, payload),
            lambda why: self._lost(other, why),
        )
        self._wires[other] = wire
        wire.start()

    def _heard(self, other: int, head: dict[str, Any], payload: bytes) -> None:
        kind = head["kind"]
        if kind == "mine":
            self._put(head["turn"], head["what"], other, payload)
        elif kind == "part":
            with self._news:
                self._gathers.setdefault(("parts", head["turn"]), {})[head["of"]] = payload
                self._news.notify_all()
        elif kind == "take":
            self._wires[other].send({"kind": "taken", "number": self._next(head["name"])})
        elif kind == "taken":
            self._answers.put(head["number"])
        elif kind == "post":
            self.inbox.put((head["head"], payload))
        elif kind == "left":
            self._wires[other].send({"kind": "farewell"})
            with self._news:
                self._left.add(other)
                self._news.notify_all()
        elif kind == "farewell":
            self._farewell.set()
        elif kind == "failed":
            self._stop(f"process {other} of {self.count} failed: {head['text']}")
        elif kind == "stop":
            self._stop(head["text"])

    def _next(self, name: str) -> int:
        with self._news:
            number = self._taken.get(name, 0)
            self._taken[name] = number + 1
            return number

    def _put(self, turn: int, what: str, of: int, payload: bytes) -> None:
        """A payload on process 0."""
        with self._news:
            names = self._gathers.setdefault(("names", turn), {})
            names[of] = what.encode()
            different = len(set(names.values())) > 1
            if not different:
                self._gathers.setdefault(("parts", turn), {})[of] = payload
                self._news.notify_all()
        if different:
            said = {i: name.decode() for i, name in sorted(names.items())}
            self._stop(f"processes do different things, by number: {said}")
        if self._leaving:
            self._stop(f"process 0 of {self.count} has ended before the others")

    def _wait_for(self, name: tuple[str, int], many: int) -> dict[int, bytes]:
        with self._news:
            while len(found := self._gathers.get(name, {})) < many:
                self.check()
                early = sorted(self._left - set(found)) if self.index == 0 else []
                if early:
                    break
                self._news.wait(0.2)
            else:
                self._gathers.pop(("names", name[1]), None)
                return self._gathers.pop(name)
        self._stop(f"process {early[0]} of {self.count} has ended before the others", here=False)
        self.check()
        raise AssertionError

    def _lost(self, other: int, why: str) -> None:
        with self._news:
            gone = other in self._left
            self._left.add(other)
            self._news.notify_all()
        if not gone and not (self._leaving and self.index != 0):
            self._stop(f"process {other} of {self.count} {why}")

    def _stop(self, why: str, here: bool = True) -> None:
        """Everybody stops: the others are told, and this process's main thread is interrupted."""
        with self._news:
            if self.stopped is not None:
                return
            self.stopped = why
            self._news.notify_all()
        if here and self.interrupts and not self._leaving:
            threading.Thread(target=self._interrupt, name="gaugebias-stop", daemon=True).start()
        for wire in list(self._wires.values()):  # at once: one that does not read holds the rest
            threading.Thread(
                target=wire.send, args=({"kind": "stop", "text": why},), daemon=True
            ).start()

    def _interrupt(self) -> None:
        """Raise in the main thread; end the process where it does not answer."""
        main, end = threading.main_thread(), time.monotonic() + self.grace
        time.sleep(0.3)  # whoever waits for the others finds out by itself
        if not self.told and hasattr(signal, "pthread_kill") and main.ident is not None:
            signal.pthread_kill(main.ident, signal.SIGINT)
        while time.monotonic() < end:
            time.sleep(0.1)
            if self.told:
                return
        print(f"gaugebias: {self.stopped}; process {self.index} stops", file=sys.stderr, flush=True)
        os._exit(1)


_bus: Bus | None = None


def connected() -> Bus | None:
    """The bus; `None` where there is one process only. Opened on first use."""
    if _bus is None and jax.distributed.is_initialized() and jax.process_count() > 1:
        return open_bus(TIMEOUT, GRACE)  # jax was initialised by somebody else
    return _bus


def open_bus(timeout: float, grace: float, *, alone: bool = False) -> Bus:
    """Connect the processes of an initialised run.

    `alone`: whether a process leaves jax's coordination service by itself, and not with all others.
    """
    global _bus
    from jax._src.distributed import global_state  # jax has no public access to its key-value store

    state: Any = global_state
    store, index, count = state.client, jax.process_index(), jax.process_count()
    host = state.coordinator_address.rsplit(":", 1)[0].strip("[]")
    bus = Bus(index, count, timeout, grace)
    wait = max(timeout, 60.0)
    if index == 0:
        listener, port, secret = listen(host)
        said = json.dumps([port, base64.b64encode(secret).decode()])
        store.key_value_set("gaugebias/bus", said)
        _accept(bus, listener, wait)
    else:
        port, secret = json.loads(store.blocking_key_value_get("gaugebias/bus", int(1000 * wait)))
        connection = call(host, port, base64.b64decode(secret), wait)
        connection.send_bytes(str(index).encode())
        bus.add(0, connection)
    bus.interrupts, bus.leaves_alone = True, alone
    _bus = bus
    atexit.register(close_bus)  # after jax has registered its own end, so before it
    _tell_of_failures(bus)
    if threading.current_thread() is threading.main_thread():
        _answer_interruptions(bus)
    return bus


def _accept(bus: Bus, listener: Listener, wait: float) -> None:
    """The connections of all others; `ValueError` naming who has not come within `wait` seconds."""
    arrived: queue.Queue[tuple[int, Any]] = queue.Queue()
    done = threading.Event()

    def accept():
        left = bus.count - 1
        while left and not done.is_set():
            with contextlib.suppress(OSError, EOFError, ValueError, AuthenticationError):
                connection = listener.accept()
                arrived.put((int(connection.recv_bytes()), connection))
                left -= 1

    threading.Thread(target=accept, name="gaugebias-accept", daemon=True).start()
    missing, end = set(range(1, bus.count)), time.monotonic() + wait
    try:
        while missing:
            if time.monotonic() > end:
                names = ", ".join(map(str, sorted(missing)))
                raise ValueError(
                    f"`num_processes` is {bus.count}, but process {names} did not connect to "
                    f"process 0 within {wait:g} s after all had met: see why it ended, and start "
                    "all again."
                )
            bus.check()
            with contextlib.suppress(queue.Empty):
                number, connection = arrived.get(timeout=0.2)
                missing.discard(number)
                bus.add(number, connection)
    finally:
        done.set()
        listener.close()


def _answer_interruptions(bus: Bus) -> None:
    """An interruption of the main thread says that a process is lost, where one is."""
    before = signal.getsignal(signal.SIGINT)

    def handler(number, frame):
        if bus.stopped is not None and not bus.told:
            bus.check()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, handler)


def _tell_of_failures(bus: Bus) -> None:
    """An exception that ends this process is told to the others."""
    before = sys.excepthook

    def hook(kind, error, trace):
        text = str(error).strip().partition("\n")[0]
        bus.fail(f"{kind.__name__}: {text}")
        before(kind, error, trace)

    sys.excepthook = hook


def close_bus() -> None:
    """Leave, if there is a bus."""
    global _bus
    if _bus is not None:
        _bus.leave()
        _bus = None
