"""Cells without a good result, computed again on request; those that are done are kept."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from ._definition import provenance
from ._groups import PADDING
from ._job import Job
from ._store import FAILED, NOT_FINITE, PENDING, STATUS, Store, check_same

_AGAIN = {STATUS[code]: code for code in (FAILED, NOT_FINITE)}


def statuses(retry: Any) -> tuple[int, ...]:
    """What `retry` names, in numbers; `ValueError` where it names anything else."""
    words = (retry,) if isinstance(retry, str) else retry
    named: tuple[Any, ...] = tuple(words) if isinstance(words, Iterable) else (None,)
    if not all(isinstance(each, str) and each in _AGAIN for each in named):
        raise ValueError(f"`retry` is {retry!r}: give 'failed', 'not finite', or a list of both.")
    if named and jax.process_count() > 1:
        raise ValueError(
            f"`retry` is for a run of one process, but there are {jax.process_count()}: run the "
            "sweep with it in one process, or leave it out."
        )
    return tuple(sorted({_AGAIN[each] for each in named}))


def reopen(job: Job, store: Store, definition: dict[str, Any], again: Sequence[int]) -> None:
    """Make the cells whose status is one of `again` unfinished, and write down that they were.

    What a group computes may have changed since it was defined where none of its cells is kept:
    a fault of the code that all of them met is then mended. Only programs tell, so that with
    `stack=False` the source of `experiment` must be the one of the definition.

    **Raises:** `ValueError` where cells that are kept would stand beside those of another code.
    """
    layout, status = store.layout, store.status()
    real = layout.slots != PADDING
    chosen = real & np.isin(status, again)
    kept = (real & ~chosen & (status != PENDING)).reshape(-1, store.size).any(axis=1)
    free = set(range(len(job.groups))) - {layout.group_of[c] for c in np.flatnonzero(kept)}
    known = dict(store.record["definition"])
    if job.stack:
        known["experiment"] = definition["experiment"]
    check_same(store.path, definition, known)
    programs = job.resume(store.path, store.record["programs"], free)
    changed = {"definition": known, "programs": programs}
    if chosen.any():
        note = {"status": [STATUS[code] for code in again], "cells": int(chosen.sum())}
        changed["retries"] = [*store.record.get("retries", []), note | provenance()]
    if any(store.record.get(name) != value for name, value in changed.items()):
        store.note(changed)
    store.forget(chosen)
