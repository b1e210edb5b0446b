"""Buses of several processes, all in this one: each is used from a thread of its own."""

import threading
from collections.abc import Callable
from typing import Any

from gaugebias.distributed._bus import Bus
from gaugebias.distributed._wire import call, listen


def buses(count: int, timeout: float = 30.0) -> list[Bus]:
    """Connected buses; leave them with `together(lambda bus: bus.leave(), all)`."""
    all_ = [Bus(i, count, timeout, 30.0) for i in range(count)]
    for bus in all_[1:]:
        listener, port, secret = listen("127.0.0.1")
        accepted: list[Any] = []
        waiting = threading.Thread(target=lambda to=accepted, by=listener: to.append(by.accept()))
        waiting.start()
        bus.add(0, call("127.0.0.1", port, secret, 10.0))
        waiting.join()
        listener.close()
        all_[0].add(bus.index, accepted[0])
    return all_


def together(do: Callable[[Bus], Any], all_: list[Bus]) -> list[Any]:
    """What `do(bus)` returns or raises on each, all at once."""
    out: list[Any] = [None] * len(all_)

    def one(i, bus):
        try:
            out[i] = do(bus)
        except Exception as error:  # noqa: BLE001 - what is raised is what is tested
            out[i] = error

    threads = [threading.Thread(target=one, args=(i, bus)) for i, bus in enumerate(all_)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()
    return out
