"""The Zarr store of a sweep: one Zarr chunk an array for every chunk of cells, status last."""

import errno
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._differences import differences
from ._definition import FORMAT, VERSION
from ._groups import PADDING, Layout

PENDING, DONE, NOT_FINITE, FAILED = range(4)
STATUS = ("pending", "done", "not finite", "failed")
RESERVED = ("slot", "status", "cell", "reason", "seed", "point")
REASON = 240  # bytes of a reason
_ATTRIBUTE = "gaugebias"
_RECORD = ("definition", "layout", "provenance", "outputs", "columns", "programs")
_CODECS = {"bytes", "zstd"}


class Store:
    """Finished chunks of a sweep.

    Every file is written beside its place and moved there. The status of a chunk's cells is
    written last: a cell is finished where it is not `PENDING`, whatever else is there.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        """**Raises:** `ValueError` where there is no store, or it lacks something."""
        import zarr

        self.path = path
        self.record = record_of(path)
        self.size = int(self.record["layout"]["size"])
        for name in ("cell", "status", "reason", *self.record["outputs"]):
            _check_array(path, name)
        # Version 3 of the format only: filters of version 2 could hold pickles.
        self.root: Any = zarr.open_group(str(path), mode="r+" if writable else "r", zarr_format=3)
        self._arrays: dict[str, Any] = {}

    def array(self, name: str) -> Any:
        """One of the arrays, opened once: its head is fixed, what it holds is read when asked."""
        if name not in self._arrays:
            self._arrays[name] = self.root[name]
        return self._arrays[name]

    @property
    def layout(self) -> Layout:
        slots = np.asarray(self.array("cell")[:])
        return Layout(self.size, slots, tuple(self.record["layout"]["group_of"]))

    @property
    def shapes(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Of the outputs of one cell."""
        arrays = {name: self.array(name) for name in self.record["outputs"]}
        return {name: (tuple(x.shape[1:]), np.dtype(x.dtype)) for name, x in arrays.items()}

    def status(self) -> np.ndarray:
        """The status of every slot."""
        return np.asarray(self.array("status")[:])

    def unfinished(self) -> np.ndarray:
        """The numbers of the chunks that are not finished."""
        return np.flatnonzero((self.status().reshape(-1, self.size) == PENDING).any(axis=1))

    def pending(self, chunk: int) -> np.ndarray:
        """Which slots of a chunk are not finished: all, or those that are computed again."""
        return (
            np.asarray(self.array("status")[chunk * self.size : (chunk + 1) * self.size]) == PENDING
        )

    def counts(self) -> tuple[int, int]:
        """Cells that are finished, and those of them without a good result."""
        status = self.status()[self.layout.slots != PADDING]
        return int((status != PENDING).sum()), int((status > DONE).sum())

    def write(self, chunk: int, outputs: Mapping[str, np.ndarray], status, reasons) -> None:
        """The results of one chunk; `OSError` with what is kept where the disk does not take it."""
        where = slice(chunk * self.size, (chunk + 1) * self.size)
        self._check_there()
        try:
            for name, x in outputs.items():
                array = self.array(name)
                block = np.full((self.size, *array.shape[1:]), array.fill_value, array.dtype)
                block[(slice(None), *(slice(0, n) for n in x.shape[1:]))] = x
                array[where] = block
            self.array("reason")[where] = np.stack([_to_bytes(r) for r in reasons])
            self.array("status")[where] = np.asarray(status, np.uint8)
        except OSError as error:
            raise self._not_written(error) from error
        self._check_there()

    def merge(self, chunk: int, outputs: Mapping[str, np.ndarray], status, reasons, rows) -> None:
        """The results of some cells of one chunk, which `rows` marks; the others stay."""
        where = slice(chunk * self.size, (chunk + 1) * self.size)
        blocks = {}
        for name in self.record["outputs"]:
            array = self.array(name)
            block = np.array(array[where])
            block[rows] = array.fill_value
            if name in outputs:
                x = outputs[name]
                block[(rows, *(slice(0, n) for n in x.shape[1:]))] = x[rows]
            blocks[name] = block
        before = [from_bytes(row) for row in np.asarray(self.array("reason")[where])]
        whole = np.where(rows, status, np.asarray(self.array("status")[where]))
        said = [new if row else old for row, new, old in zip(rows, reasons, before, strict=True)]
        self.write(chunk, blocks, whole, said)

    def forget(self, slots: np.ndarray) -> None:
        """Make cells unfinished, chunk by chunk and status first; the others stay."""
        for chunk in np.flatnonzero(slots.reshape(-1, self.size).any(axis=1)):
            where = slice(chunk * self.size, (chunk + 1) * self.size)
            rows, pending = slots[where], np.full(self.size, PENDING, np.uint8)
            self._check_there()
            try:
                status = np.where(rows, pending, np.asarray(self.array("status")[where]))
                self.array("status")[where] = status
            except OSError as error:
                raise self._not_written(error) from error
            self.merge(int(chunk), {}, pending, [""] * self.size, rows)

    def note(self, changed: Mapping[str, Any]) -> None:
        """Replace parts of the record, at once."""
        self._check_there()
        try:
            self.root.attrs[_ATTRIBUTE] = {**self.root.attrs[_ATTRIBUTE], **changed}
        except OSError as error:
            raise self._not_written(error) from error
        self.record = record_of(self.path)

    def _not_written(self, error: OSError) -> OSError:
        return OSError(
            f"`path` {str(self.path)!r} could not be written ({_why(error)}): what was "
            "finished before is kept; mend that and run the same sweep again to go on."
        )

    def _check_there(self) -> None:
        """`OSError` where the folder is gone, which Zarr would make again, without its head."""
        if not (self.path / "zarr.json").is_file():
            raise OSError(
                f"`path` {str(self.path)!r} has vanished while the sweep ran: put it back and run "
                "the same sweep again to go on, or to begin anew."
            )

    def sweep_up(self) -> None:
        """Remove what a killed run left half written; for a run that has the store alone."""
        for part in self.path.rglob("*.partial"):
            part.unlink(missing_ok=True)


def _why(error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "no space left" if full else (error.strerror or str(error)).lower()


def _check_array(path: Path, name: str) -> None:
    """`ValueError` where an array is not as this package writes it: nothing else is opened.

    So that the store of a stranger names no codec that does more than decompress.
    """
    try:
        about = json.loads((path / name / "zarr.json").read_text(encoding="utf-8"))
        codecs = {codec["name"] for codec in about["codecs"]}
        right = about["node_type"] == "array" and codecs <= _CODECS
        right = right and "/" not in name and not about.get("storage_transformers")
    except (OSError, ValueError, KeyError, TypeError):
        right = False
    if not right:
        raise ValueError(
            f"`path` {str(path)!r} is damaged, or was not written by this package: the array "
            f"{name!r} is missing or of another kind. Choose another path."
        )


def _to_bytes(reason: str) -> np.ndarray:
    raw = reason.encode("utf-8")[:REASON]
    return np.frombuffer(raw.ljust(REASON, b"\0"), np.uint8)


def from_bytes(row: np.ndarray) -> str:
    """A reason as it was written."""
    return row.tobytes().rstrip(b"\0").decode("utf-8", errors="ignore")


def create(
    path: Path,
    record: Mapping[str, Any],
    layout: Layout,
    shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]],
    columns: Mapping[str, np.ndarray],
    attributes: Mapping[str, Mapping[str, Any]],
) -> None:
    """A new store in its place, whole: the definition, the design, and no result.

    **Raises:** `ValueError` where the folder cannot be written.
    """
    import zarr

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{_scratch(glob.escape(path.name))}*"):
            shutil.rmtree(old, ignore_errors=True)  # of a run killed here: the lock is ours
        scratch = Path(tempfile.mkdtemp(prefix=_scratch(path.name), dir=path.parent))
    except OSError as error:
        raise _not_made(path, error) from None
    try:
        root: Any = zarr.create_group(str(scratch), zarr_format=3)
        root.attrs[_ATTRIBUTE] = {"format": FORMAT, "version": VERSION, **record}
        slots = len(layout.slots)

        def array(name, shape, dtype, chunk, dims, fill):
            return root.create_array(
                name,
                shape=shape,
                dtype=dtype,
                chunks=chunk,
                dimension_names=dims,
                fill_value=fill,
                attributes=dict(attributes.get(name, {})),
            )

        for name, (shape, dtype) in shapes.items():
            fill = np.nan if np.issubdtype(dtype, np.inexact) else np.zeros((), dtype).item()
            dims = ["slot", *(f"{name}_dim_{i}" for i in range(len(shape)))]
            whole = tuple(max(1, n) for n in shape)
            array(name, (slots, *shape), dtype, (layout.size, *whole), dims, fill)
        array("status", (slots,), np.uint8, (layout.size,), ["slot"], PENDING)
        array("reason", (slots, REASON), np.uint8, (layout.size, REASON), ["slot", "byte"], 0)
        for name, values in {"cell": layout.slots, **columns}.items():
            array(name, (slots,), values.dtype, (slots,), ["slot"], 0)[:] = values
        scratch.chmod(0o777 & ~_umask())
        os.rename(scratch, path)
    except BaseException as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if isinstance(error, OSError):
            raise _not_made(path, error) from None
        raise


def _scratch(name: str) -> str:
    """How folders begin in which a store is made."""
    return f".{name}.new-"


def _not_made(path: Path, error: OSError) -> ValueError:
    return ValueError(
        f"`path` {str(path)!r} cannot be written ({_why(error)}): choose another folder."
    )


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


def record_of(path: Path) -> dict[str, Any]:
    """The definition in a store.

    **Raises:** `ValueError` where there is none, or of another version of the format.
    """
    try:
        text = (path / "zarr.json").read_text(encoding="utf-8")
        record = json.loads(text)["attributes"][_ATTRIBUTE]
        ours = record["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours, record = False, {}
    if not ours:
        raise ValueError(f"`path` {str(path)!r} is not the store of a sweep: choose another path.")
    if record.get("version") != VERSION:
        raise ValueError(
            f"`path` {str(path)!r} was written by another version of the format "
            f"({record.get('version')}; this is {VERSION}): choose another path."
        )
    missing = [name for name in _RECORD if name not in record]
    if missing:
        raise ValueError(
            f"`path` {str(path)!r} is damaged (it does not say its {missing[0]}): choose "
            "another path."
        )
    return record


def check_same(path: Path, definition: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """`ValueError` saying what differs where a store, defined as `there`, is of another sweep."""
    differs = differences(definition, there)
    if differs:
        raise ValueError(
            f"`path` {str(path)!r} holds another sweep ({differs}): choose another path, or give "
            "what was given then to go on with it."
        )
