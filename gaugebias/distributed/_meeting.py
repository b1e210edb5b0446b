"""Processes meet at the coordinator's address before jax does, which ends a process that fails to.

What is wrong with numbers and addresses is then one sentence, the same on every process.
"""

import contextlib
import json
import socket
import time

_PATIENCE = 5.0  # seconds that one caller may take to say who it is
_LONGEST = 2**16  # characters of what is said


def meet(host: str, port: int, count: int, index: int, seconds: float) -> None:
    """Wait until all `count` processes are there.

    **Raises:** `ValueError` where the port is taken, process 0 cannot be reached or others do not
    come within `seconds`, and where they disagree on their numbers.
    """
    if index == 0:
        _receive(host, port, count, seconds)
    else:
        _visit(host, port, count, index, seconds)


def _receive(host: str, port: int, count: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        raise ValueError(
            f"`coordinator_address`: port {port} cannot be opened on this host ({error.strerror}): "
            "choose a free one, the same for all processes."
        ) from None
    guests: dict[int, socket.socket] = {}
    wrong = ""
    with server:
        while len(guests) < count - 1 and not wrong:
            server.settimeout(max(0.01, end - time.monotonic()))
            try:
                guest, _ = server.accept()
                guest.settimeout(_PATIENCE)
                said = json.loads(guest.makefile(errors="replace").readline(_LONGEST))
                index, their = int(said["process_id"]), int(said["num_processes"])
            except TimeoutError:
                missing = sorted(set(range(1, count)) - set(guests))
                if time.monotonic() >= end:
                    wrong = (
                        f"`num_processes` is {count}, but process {', '.join(map(str, missing))} "
                        f"did not come to {host}:{port} within {seconds:g} s: start it, or lower "
                        "`num_processes`."
                    )
                continue
            except (OSError, ValueError, KeyError, TypeError):
                continue  # somebody else
            if their != count:
                wrong = (
                    f"`num_processes` is {count} on process 0 and {their} on process {index}: give "
                    "all processes the same number."
                )
            elif index in guests or index == 0:
                wrong = f"`process_id` {index} was given to two processes: number them apart."
            if wrong:
                _answer(guest, wrong)
            else:
                guests[index] = guest
        for guest in guests.values():
            _answer(guest, wrong)
    if wrong:
        raise ValueError(wrong)


def _answer(guest: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError), guest:
        guest.sendall(json.dumps(text).encode() + b"\n")
        guest.recv(1)  # the guest hangs up first, and the port is free at once


def _read(answer: str) -> str | None:
    """What process 0 has said; `None` where it was not process 0."""
    try:
        said = json.loads(answer)
    except ValueError:
        return None
    return said if isinstance(said, str) else None


def _visit(host: str, port: int, count: int, index: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        left = max(0.01, end - time.monotonic())
        answer, why = "", "no answer"
        try:
            with socket.create_connection((host, port), timeout=left) as guest:
                said = {"process_id": index, "num_processes": count}
                guest.sendall(json.dumps(said).encode() + b"\n")
                guest.settimeout(left + _PATIENCE)
                answer = guest.makefile(errors="replace").readline(_LONGEST)
        except OSError as error:
            why = error.strerror or str(error)
        if answer:
            wrong = _read(answer)
            if wrong is None:
                raise ValueError(
                    f"`coordinator_address`: what answers at {host}:{port} is not process 0 but "
                    "another program: choose a free port, the same for all processes."
                )
            if wrong:
                raise ValueError(wrong)
            return
        if time.monotonic() >= end:
            raise ValueError(
                f"`coordinator_address` {host}:{port} cannot be reached within {seconds:g} s "
                f"({why}): start process 0 there, and let its host accept connections."
            )
        time.sleep(0.1)
