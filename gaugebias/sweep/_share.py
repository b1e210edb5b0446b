"""The chunks of a sweep over processes: each takes its share, and none waits for the dead."""

import time
from pathlib import Path

import numpy as np

from ._groups import PADDING
from ._job import Job, NoMemory
from ._lock import is_held
from ._progress import Bar
from ._store import DONE, Store

PATIENCE = 300.0  # seconds that a process waits for the first to define the sweep
_LOOK = 0.2  # seconds between two looks


def await_definition(path: Path) -> None:
    """Wait until the first process has written the store.

    **Raises:** `ValueError` where it does not come.
    """
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise ValueError(
                f"`path` {str(path)!r} was not made by the first process within {PATIENCE:.0f} s: "
                "name a folder that all processes reach."
            )
        time.sleep(_LOOK)


def work(job: Job, store: Store, bar: Bar, process: int, processes: int) -> None:
    """Compute and store the chunks of this process that are not finished.

    **Raises:** `ValueError` where chunks ran out of memory, after all the others.
    """
    short: list[str] = []
    layout, shapes = store.layout, store.shapes
    bar.begin(*store.counts())
    for chunk in store.unfinished():
        if chunk % processes != process:
            continue
        real = layout.chunk(int(chunk)) != PADDING
        rows = real & store.pending(int(chunk))
        try:
            outputs, status, reasons = job.compute(layout, shapes, int(chunk), rows)
        except NoMemory as error:
            short.append(str(error))
            continue
        if np.array_equal(rows, real):
            store.write(int(chunk), outputs, status, reasons)
        else:
            store.merge(int(chunk), outputs, status, reasons, rows)
        failed = int((np.asarray(status)[rows] > DONE).sum())
        bar.tell(int(rows.sum()), failed)
    if short:
        raise ValueError(
            f"`chunk`: {len(short)} chunks of {store.size} cells found no memory ({short[0]}): the "
            f"others are kept in {str(store.path)!r}. Run the same sweep again where more is free, "
            "or choose another path and a smaller `chunk`."
        )


def await_others(store: Store, bar: Bar, process: int, processes: int) -> None:
    """Wait for the chunks of the other processes.

    **Raises:** `RuntimeError` where one of them has stopped before its share was done.
    """
    if processes == 1:
        return
    gone: dict[int, float] = {}
    while (left := store.unfinished()).size:
        bar.reach(*store.counts())
        for other in sorted({int(c) % processes for c in left} - {process}):
            if is_held(store.path, other):
                gone.pop(other, None)
            elif time.monotonic() - gone.setdefault(other, time.monotonic()) > PATIENCE / 10:
                raise RuntimeError(
                    f"process {other} of {processes} has stopped before its share of the sweep was "
                    f"done: what is finished is kept in {str(store.path)!r}; run the same sweep "
                    "again to go on."
                )
        time.sleep(_LOOK)
