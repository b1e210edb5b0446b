"""Connections between process 0 and the others: messages with a head and bytes, and beats."""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

_PIECE = 2**24  # bytes sent at once, so that beats get in between


class Wire:
    """One connection, with a thread that reads it. Any thread may write.

    - `heard(head, payload)` is called with every message but beats, in the reading thread.
    - `lost(why)` is called once, where the other side is gone: closed, or silent for `timeout`
        seconds.
    """

    def __init__(
        self,
        connection: Connection,
        timeout: float,
        heard: Callable[[dict[str, Any], bytes], None],
        lost: Callable[[str], None],
    ):
        self._connection, self._timeout = connection, timeout
        self._heard, self._lost = heard, lost
        self._lock, self._closed = threading.Lock(), threading.Event()

    def start(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._line() as line:
            # A head and its payload are two writes: the second would wait 40 ms for the first's
            # acknowledgement.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for work in (self._read, self._beat):
            threading.Thread(target=work, name="gaugebias-wire", daemon=True).start()

    def send(self, head: dict[str, Any], payload: bytes = b"") -> None:
        """Send a message; nothing happens where the other side is gone (`lost` says so)."""
        pieces = [payload[i : i + _PIECE] for i in range(0, len(payload), _PIECE)] or [b""]
        with contextlib.suppress(OSError, ValueError), self._lock:
            for i, piece in enumerate(pieces):
                first = {**head, "more": len(pieces) - 1 - i} if i == 0 else None
                if first is not None:
                    self._connection.send_bytes(json.dumps(first).encode())
                self._connection.send_bytes(piece)

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._connection.close()

    def _read(self) -> None:
        pieces: list[bytes] = []
        head: dict[str, Any] | None = None
        try:
            while not self._closed.is_set():
                if not self._connection.poll(self._timeout):
                    self._gone(f"has given no sign of life for {self._timeout:g} s")
                    return
                data = self._connection.recv_bytes()
                if head is None:
                    head, pieces = json.loads(data), []
                    continue
                pieces.append(data)
                if len(pieces) > head["more"]:
                    message, head = head, None
                    if message["kind"] != "beat":
                        self._heard(message, b"".join(pieces))
        except (EOFError, OSError, ValueError):
            self._gone("has died (its connection closed)")

    def _beat(self) -> None:
        while not self._closed.wait(min(1.0, self._timeout / 5)):
            self.send({"kind": "beat"})

    def _gone(self, why: str) -> None:
        if not self._closed.is_set():
            self._hang_up()
            self._lost(why)

    def _hang_up(self) -> None:
        """Let go whoever is writing to the other side: it reads no more, and would hold them."""
        with contextlib.suppress(OSError, ValueError), self._line() as line:
            line.shutdown(socket.SHUT_RDWR)

    def _line(self) -> socket.socket:
        """The connection as a socket; closing it leaves the connection open."""
        return socket.socket(fileno=os.dup(self._connection.fileno()))


def listen(host: str) -> tuple[Listener, int, bytes]:
    """A listener on a free port, its port and the secret that lets others in.

    On all addresses of this host, unless it is called by a name of the loopback address.
    """
    secret = secrets.token_bytes(32)
    local = host == "localhost" or host.startswith("127.")
    listener = Listener((host if local else "", 0), backlog=4096, authkey=secret)
    return listener, int(listener.address[1]), secret


def call(host: str, port: int, secret: bytes, seconds: float) -> Connection:
    """Connect to a listener, trying for `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            return Client((host, port), authkey=secret)
        except (OSError, EOFError, AuthenticationError) as error:
            if time.monotonic() > end:
                raise ValueError(
                    f"`coordinator_address`: process 0 cannot be reached at {host}:{port} within "
                    f"{seconds:g} s ({error}): let the hosts accept connections of each other."
                ) from None
            time.sleep(0.1)
