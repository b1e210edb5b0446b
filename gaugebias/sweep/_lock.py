"""Who works on a store: one run at a time, or the processes of one run, each with its lock."""

import contextlib
import glob
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .._files import take_lock

_PATIENCE = 1.0  # seconds: others look at a lock for an instant


def _file(path: Path, process: int) -> Path:
    """Beside the store, which holds nothing but Zarr."""
    return path.parent / f".{path.name}.lock-{process}"


@contextlib.contextmanager
def locked(path: Path, process: int = 0) -> Iterator[None]:
    """Hold the lock of `process` on a store; the system lets go of it however the process ends.

    **Raises:** `ValueError` where another run holds it, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _held(_file(path, process))
    except OSError as error:
        raise ValueError(
            f"`path` {str(path)!r} cannot be written ({(error.strerror or str(error)).lower()}): "
            "choose another folder."
        ) from None
    if held is None:
        raise ValueError(
            f"`path` {str(path)!r} is being written by another run: wait until it has ended, or "
            "choose another path."
        )
    with held:
        try:
            yield
        finally:
            _file(path, process).unlink(missing_ok=True)


def _held(name: Path) -> IO[str] | None:
    """The lock's file, locked; `None` where somebody else keeps it."""
    end = time.monotonic() + _PATIENCE
    while True:
        file = name.open("w", encoding="ascii")
        if take_lock(file) and _is_at(file, name):  # else its owner has just removed it
            return file
        file.close()
        if time.monotonic() > end:
            return None
        time.sleep(_PATIENCE / 20)


def _is_at(file: IO[str], name: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == name.stat().st_ino
    except FileNotFoundError:
        return False


def is_held(path: Path, process: int) -> bool:
    """Whether a process holds its lock, that is, is at work."""
    try:
        with _file(path, process).open("r+", encoding="ascii") as file:
            return not take_lock(file)
    except FileNotFoundError:
        return False


def others_at_work(path: Path, process: int) -> bool:
    """Whether a process other than `process` holds a lock of the store."""
    mine = _file(path, process)
    numbers = (
        file.name.rpartition("-")[2]
        for file in path.parent.glob(f".{glob.escape(path.name)}.lock-*")
        if file != mine
    )
    return any(is_held(path, int(number)) for number in numbers if number.isdecimal())
