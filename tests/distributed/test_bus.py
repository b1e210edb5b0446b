import concurrent.futures
import importlib.util
import queue
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from gaugebias.distributed import ProcessLost
from gaugebias.distributed._bus import Bus, _accept
from gaugebias.distributed._wire import call, listen

_spec = importlib.util.spec_from_file_location("buses", Path(__file__).with_name("buses.py"))
assert _spec is not None and _spec.loader is not None
helpers: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(helpers)
together = helpers.together


def end(all_):
    assert together(lambda bus: bus.leave(), all_) == [None] * len(all_)


def test_what_is_gathered_is_in_order_and_the_same_everywhere():
    all_ = helpers.buses(3)
    data = [b"", b"1" * 7, b"2" * (2**24 + 5)]  # more than one piece

    def twice(bus):
        first = bus.gather("a", data[bus.index])
        return first == data, bus.gather("b", str(bus.index).encode())

    assert together(twice, all_) == [(True, [b"0", b"1", b"2"])] * 3
    end(all_)


def test_no_write_waits_for_an_acknowledgement():
    # Two small writes in a row otherwise take 40 ms, of which a run's end makes several.
    all_ = helpers.buses(2)
    for bus in all_:
        (wire,) = bus._wires.values()
        with wire._line() as line:
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with socket.socket() as plain:
        assert not plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    end(all_)


def test_each_number_goes_to_one_process_and_posts_arrive_in_order():
    all_ = helpers.buses(3)
    taken = together(lambda bus: [bus.take("case") for _ in range(20)], all_)
    assert sorted(n for numbers in taken for n in numbers) == list(range(60))
    for i in range(5):
        all_[1].post({"i": i}, bytes(i))
    assert [all_[0].inbox.get(timeout=10) for _ in range(5)] == [
        ({"i": i}, bytes(i)) for i in range(5)
    ]
    with pytest.raises(queue.Empty):
        all_[0].inbox.get_nowait()
    end(all_)


def said(outcomes, missing):
    assert all(isinstance(e, ProcessLost) for i, e in enumerate(outcomes) if i != missing)
    texts = {str(e) for i, e in enumerate(outcomes) if i != missing}
    assert len(texts) == 1
    return texts.pop()


def test_a_closed_connection_stops_everybody_at_once():
    all_ = helpers.buses(3, timeout=1000.0)
    began = time.monotonic()

    def go(bus):
        return all_[2]._wires[0].close() if bus.index == 2 else bus.gather("a", b"")

    text = said(together(go, all_), 2)
    assert text == "process 2 of 3 has died (its connection closed)"
    assert time.monotonic() - began < 10.0
    with pytest.raises(ProcessLost, match="process 2"):
        all_[0].take("case")


def test_silence_stops_everybody_within_the_timeout():
    all_ = helpers.buses(3, timeout=1.0)
    began = time.monotonic()

    def go(bus):
        if bus.index != 2:
            return bus.gather("a", b"")
        bus._wires[0].send = lambda head, payload=b"": None  # it lives, but no word of it arrives
        return None

    text = said(together(go, all_), 2)
    assert text == "process 2 of 3 has given no sign of life for 1 s"
    assert 0.5 < time.monotonic() - began < 10.0


def test_one_that_goes_silent_while_a_result_is_sent_to_it_does_not_hold_the_rest():
    """As a process that is stopped, or whose host has gone: it reads no more, and buffers fill."""
    all_ = helpers.buses(3, timeout=1.0)
    began, large = time.monotonic(), bytes(2**25)

    def go(bus):
        if bus.index != 2:
            return bus.gather("a", large)
        wire = bus._wires[0]
        wire._heard = lambda head, payload: time.sleep(30.0)  # from the first part on
        wire.send({"kind": "mine", "turn": 0, "what": "a"}, large)
        wire.send = lambda head, payload=b"": None
        return None

    together(go, all_)  # process 0 has all parts, so its own gather may have come to an end
    for bus in all_[:2]:
        with pytest.raises(ProcessLost, match="process 2 of 3 has"):
            bus.gather("b", b"")
    assert time.monotonic() - began < 15.0


def test_who_does_not_connect_is_named_within_the_time():
    bus = Bus(0, 3, 30.0, 30.0)
    listener, port, secret = listen("127.0.0.1")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(_accept, bus, listener, 1.0)
        with pytest.raises(ValueError, match="cannot be reached"):
            call("127.0.0.1", port, b"x" * 32, 0.0)  # without the secret
        connection = call("127.0.0.1", port, secret, 5.0)
        connection.send_bytes(b"2")
        with pytest.raises(ValueError, match="is 3, but process 1 did not connect to process 0 wi"):
            waiting.result(timeout=30.0)
    assert bus.connections == 1


def test_who_fails_or_ends_early_is_named():
    all_ = helpers.buses(2)
    outcomes = together(
        lambda bus: (bus.fail if bus.index else bus.gather)("x: y", *[b""][bus.index :]), all_
    )
    assert said(outcomes, 1) == "process 1 of 2 failed: x: y"
    all_ = helpers.buses(2)
    outcomes = together(lambda bus: bus.leave() if bus.index else bus.gather("a", b""), all_)
    assert said(outcomes, 1) == "process 1 of 2 has ended before the others"


def test_processes_that_do_different_things_are_told():
    all_ = helpers.buses(2)
    text = said(together(lambda bus: bus.gather(f"a{bus.index}", b""), all_), None)
    assert text == "processes do different things, by number: {0: 'a0', 1: 'a1'}"
