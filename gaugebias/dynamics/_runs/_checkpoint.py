"""Checkpoints: a killed run goes on from the last one, and ends as if nothing had happened."""

import contextlib
import hashlib
import io
import json
import os
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..._differences import differences
from ..._files import take_lock
from .._checks import count, is_extension, number
from ._progress import Position

FORMAT, VERSION = "gaugebias-checkpoint", 4
_SHARE = re.compile(r"process-\d+")
_OURS = re.compile(r"state|lock|draws-\d{5}|\.(state|draws-\d{5})\.tmp")


def _as_path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"`path` must be that of a folder, but is {path!r}.")
    return Path(path)


def _as_seconds(seconds: Any) -> float:
    out = number(seconds, "seconds")
    if not out >= 0:
        raise ValueError(f"`seconds` must be a non-negative number, but is {seconds!r}.")
    return out


def _as_steps(steps: Any) -> int | None:
    return None if steps is None else count(steps, "steps", least=1)


class Checkpoint(eqx.Module):
    """Where a run writes down what it knows, and how often.

    **Arguments:**

    - `path`: a folder of the run's own.
    - `seconds`: time between two writes (at the next cut of the run; at least 64 cuts).
    - `steps`: if given, steps between two writes, whatever time they take.
    """

    path: Path = eqx.field(static=True, converter=_as_path)
    seconds: float = eqx.field(static=True, default=60.0, converter=_as_seconds)
    steps: int | None = eqx.field(static=True, default=None, converter=_as_steps)


def as_checkpoint(checkpoint: Any) -> Checkpoint:
    """A checkpoint from one or from a path."""
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    if isinstance(checkpoint, (str, os.PathLike)):
        return Checkpoint(Path(checkpoint))
    raise ValueError(
        f"`checkpoint` must be a path or a `gaugebias.dynamics.Checkpoint`, but is {checkpoint!r}."
    )


def share_of(checkpoint: Checkpoint, process: int, processes: int) -> Checkpoint:
    """The checkpoint of one of several processes, a folder within that of the run.

    **Raises:** `ValueError` where a run of one process was begun there.
    """
    if processes == 1:
        return checkpoint
    if (checkpoint.path / "state").exists():
        raise ValueError(
            f"`checkpoint` {str(checkpoint.path)!r} is of a run of one process, and this is one of "
            f"{processes}: go on with one, or choose another path."
        )
    folder = checkpoint.path / f"process-{process}"
    return Checkpoint(folder, checkpoint.seconds, checkpoint.steps)


def _seal(head: dict[str, Any], payload: bytes) -> str:
    """A digest of all that a file holds."""
    out = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    out.update(payload)
    return out.hexdigest()


def _plain(x: Any) -> Any:
    """Numbers of which files know nothing, as bfloat16, as integers of the same bits."""
    if not is_extension(x):
        return x
    x = np.asarray(x)
    return x.view(f"u{x.itemsize}")


def _back(x: Any, like: Any) -> Any:
    """What `_plain` made of an array like `like`, as it was."""
    if not is_extension(like):
        return x
    x = np.asarray(x).view(like.dtype)
    return jnp.asarray(x) if isinstance(like, jax.Array) else x


class Keeper:
    """The folder of one run, for as long as it runs. No other process may write to it."""

    def __init__(self, settings: Checkpoint, run: dict[str, Any], last_only: bool):
        self._settings, self._run, self._last_only = settings, run, last_only
        self._newest: Position | None = None  # not yet written
        self._folder = settings.path
        self._draws = 0  # chunks of draws on disk
        self._at, self._time = 0, time.monotonic()
        self._warned = False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            foreign = [p.name for p in self._folder.iterdir() if not _OURS.fullmatch(p.name)]
        except OSError as error:
            raise self._unwritable(error) from None
        if any(_SHARE.fullmatch(name) for name in foreign):
            raise ValueError(
                f"`checkpoint` {str(self._folder)!r} is of a run of several processes, and this is "
                "a run of one: go on with as many as began it, or choose another path."
            )
        if foreign:
            raise ValueError(
                f"`checkpoint` {str(self._folder)!r} holds {foreign[0]!r}, which no checkpoint "
                "does: choose a folder of its own."
            )
        try:
            self._lock = open(self._folder / "lock", "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise self._unwritable(error) from None
        if not take_lock(self._lock):
            self._lock.close()
            raise ValueError(
                f"`checkpoint` {str(self._folder)!r} is in use by another process: choose another "
                "folder, or wait for it."
            )

    def close(self) -> None:
        """Let other processes have the folder."""
        self._lock.close()

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def restored(self, fresh: Position, draws: Callable[[int], PyTree]) -> Position:
        """The position on disk, or `fresh` where there is none.

        `draws(i)` is a pytree of the shapes of the i-th chunk of draws.
        """
        if not (self._folder / "state").exists():
            return fresh
        head, payload = self._read("state")
        found = differences(self._run, head["run"])
        if found:
            raise ValueError(
                f"`checkpoint` {str(self._folder)!r} is of another run: {found}. Choose another "
                "path, or remove it."
            )
        inside = tuple(draws(i) for i in range(head["inside"]))
        like = (fresh.y, fresh.states, fresh.results, fresh.failed_by, inside)
        y, states, results, failed_by, inside = self._load(payload, like, "state")
        chunks = list(inside)
        for i in range(head["draws"]):
            _, payload = self._read(f"draws-{i:05d}")
            chunks.append(self._load(payload, draws(i), f"draws-{i:05d}"))
        self._draws, self._at = head["draws"], head["steps"]
        return Position(
            head["chunks"],
            head["steps"],
            head["drawn"],
            y,
            states,
            results,
            failed_by,
            tuple(chunks),
            tuple(head["at"]),
        )

    def note(self, position: Position) -> None:
        """A new position, written if it is time to."""
        self._newest = position
        by_steps = self._settings.steps
        waited = time.monotonic() - self._time >= self._settings.seconds
        if waited if by_steps is None else position.steps - self._at >= by_steps:
            self.finish()

    def finish(self) -> None:
        """Write the newest position, if it is not written yet.

        A disk that is full or gone does not end the run: a warning says so once, what was written
        before stands, and the next time it is tried again.
        """
        if self._newest is None:
            return
        try:
            self._put(self._newest)
        except OSError as error:
            self._at, self._time = self._newest.steps, time.monotonic()
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"`checkpoint` {str(self._folder)!r} could not be written after "
                    f"{self._newest.steps} steps ({error.strerror or error}): the run goes on, and "
                    "would begin again from the last state that was. Make room there.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return
        self._newest = None

    def _put(self, position: Position) -> None:
        """Write what is new; the old state stands until the new one is whole on the disk."""
        inside = position.values if self._last_only else ()
        apart = () if self._last_only else position.values
        for i in range(self._draws, len(apart)):  # they never change again
            self._write(f"draws-{i:05d}", {}, apart[i])
        self._draws = len(apart)
        head = {
            "run": self._run,
            "chunks": position.chunks,
            "steps": position.steps,
            "drawn": position.drawn,
            "draws": self._draws,
            "inside": len(inside),
            "at": list(position.at),
        }
        y, states = jax.device_get((position.y, position.states))
        self._write("state", head, (y, states, position.results, position.failed_by, inside))
        self._at, self._time = position.steps, time.monotonic()

    def _write(self, name: str, head: dict[str, Any], tree: PyTree) -> None:
        buffer = io.BytesIO()
        eqx.tree_serialise_leaves(buffer, jax.tree.map(_plain, tree))
        payload = buffer.getvalue()
        head = {"format": FORMAT, "version": VERSION, **head}
        head["sha256"] = _seal(head, payload)
        scratch = self._folder / f".{name}.tmp"
        try:
            with open(scratch, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, self._folder / name)
        except OSError:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self, name: str) -> tuple[dict[str, Any], bytes]:
        try:
            first, _, payload = (self._folder / name).read_bytes().partition(b"\n")
            head = json.loads(first)
            known = (head["format"], head["version"]) == (FORMAT, VERSION)
            whole = head.pop("sha256") == _seal(head, payload)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged(name) from None
        if not known:
            raise ValueError(
                f"`checkpoint` {str(self._folder)!r} was written in another version of the format: "
                "finish the run with the version that began it, or remove it."
            )
        if not whole:
            raise self._damaged(name)
        return head, payload

    def _load(self, payload: bytes, like: PyTree, name: str) -> PyTree:
        try:
            found = eqx.tree_deserialise_leaves(io.BytesIO(payload), jax.tree.map(_plain, like))
            return jax.tree.map(_back, found, like)
        except Exception:  # whatever a reader makes of bytes that are not what it expects
            raise self._damaged(name) from None

    def _unwritable(self, error: OSError) -> ValueError:
        return ValueError(
            f"`checkpoint` {str(self._folder)!r} cannot be written ({error.strerror}): choose "
            "another folder."
        )

    def _damaged(self, name: str) -> ValueError:
        return ValueError(
            f"`checkpoint` {str(self._folder)!r} is damaged ({name!r} is missing, cut short or "
            "changed): remove the folder to start again."
        )
