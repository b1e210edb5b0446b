"""Folders that are written into, and files that are there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


def writable_folder(out: str | Path) -> Path:
    """`out` as a folder that exists and takes files; `ValueError` saying why when it does not."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(
            f"`out`: cannot write into {str(folder)!r} ({reason}): choose another folder."
        ) from None
    return folder


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` where that went well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path`, all of it or nothing."""
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def take_lock(file: IO[str]) -> bool:
    """Lock an open file for this process; `False` where another holds it.

    The system lets go of it when the file is closed or the process ends, however it ends. Where the
    system has no such locks, nobody is kept out.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
