import threading
import time

import pytest

from gaugebias.distributed._launch import free_port
from gaugebias.distributed._meeting import meet


def all_meet(*who, seconds=20.0):
    """What `meet` says to each of `(count, index)`; `None` where it goes well."""
    port = free_port()
    out: list[str | None] = [None] * len(who)

    def one(i, count, index):
        try:
            meet("127.0.0.1", port, count, index, seconds)
        except ValueError as error:
            out[i] = str(error)

    threads = [threading.Thread(target=one, args=(i, *w)) for i, w in enumerate(who)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()
    return out


def test_processes_meet_whoever_comes_first():
    assert all_meet((3, 2), (3, 1), (3, 0)) == [None] * 3
    assert all_meet((1, 0)) == [None]


def test_what_is_wrong_with_numbers_is_said_to_all():
    text = (
        "`num_processes` is 2 on process 0 and 3 on process 1: give all processes the same number."
    )
    assert all_meet((2, 0), (3, 1)) == [text, text]
    text = "`process_id` 1 was given to two processes: number them apart."
    assert all_meet((3, 0), (3, 1), (3, 1)) == [text] * 3


def test_who_does_not_come_is_named_within_the_time():
    began = time.monotonic()
    first, other = all_meet((3, 0), (3, 2), seconds=1.0)
    assert first == other and first is not None
    assert "`num_processes` is 3, but process 1 did not come to 127.0.0.1:" in first
    assert "within 1 s: start it, or lower `num_processes`." in first
    (alone,) = all_meet((2, 1), seconds=0.5)
    assert alone is not None and "cannot be reached within 0.5 s (Connection refused)" in alone
    assert time.monotonic() - began < 20.0


def test_a_port_that_is_taken_is_refused():
    import socket

    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} cannot be opened on this host"):
            meet("127.0.0.1", port, 2, 0, 5.0)


def test_another_program_at_the_address_is_told_from_process_0():
    import socket

    for greeting in (b"SSH-2.0-OpenSSH_9.6\r\n", b"{}\n", b"\xff\xfe\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer(server=server, greeting=greeting):
                guest, _ = server.accept()
                with guest:
                    guest.sendall(greeting)
                    guest.recv(1000)

            stranger = threading.Thread(target=answer)
            stranger.start()
            with pytest.raises(ValueError, match="`coordinator_address`: what answers .* another"):
                meet("127.0.0.1", server.getsockname()[1], 2, 1, 10.0)
            stranger.join(10.0)
