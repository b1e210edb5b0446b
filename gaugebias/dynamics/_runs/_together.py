"""A run of several processes: what they agree on before it, and what all of them know after it."""

import json
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ..._differences import differences
from ...distributed._bus import connected
from ._devices import Layout
from ._engine import UNKNOWN
from ._ensemble import OK
from ._failures import undefined_message
from ._progress import Position, gathered
from ._reductions import AbstractReduction, finish_reductions


class Collected(NamedTuple):
    """What every process knows at the end of a run: all chains, on the host, chains first."""

    values: PyTree
    results: np.ndarray
    failed_by: np.ndarray
    last: PyTree
    reductions: dict[str, PyTree]


def check_others(layout: Layout) -> None:
    """Raise [`gaugebias.distributed.ProcessLost`][] where one of the run's processes is lost."""
    if layout.processes > 1:
        bus = connected()
        assert bus is not None
        bus.check()


def reporting(layout: Layout, progress: Callable[[float], None] | None, steps: int) -> Callable:
    """What is done after each chunk of a run: the others are looked at, and `progress` is told."""

    def report(position: Position) -> None:
        check_others(layout)
        if progress is not None:
            progress(position.steps / steps)

    return report


def agree(layout: Layout, run: dict[str, Any], problem: str | None, position: int) -> int:
    """Whether all processes may start: `ValueError` on each of them where one may not.

    `run`: what must be the same on all, its `process` by name; `problem`: what is wrong on this
    one. Returns the largest `position` of any.

    Of the run's `functions` the source code is compared, where both processes can read it. Names
    are not: what is `__main__` here may be a module there. Nor is what functions close over.
    """
    if layout.processes > 1:
        bus = connected()
        assert bus is not None
        mine = json.dumps({"run": run, "problem": problem, "position": position})
        all_ = [json.loads(said) for said in bus.gather("start of a run", mine.encode())]
        problem = next((said["problem"] for said in all_ if said["problem"]), None)
        position = max(said["position"] for said in all_)
        for number, said in enumerate(all_):
            found = differences(*_known(all_[0]["run"], said["run"]))
            if found and problem is None:
                problem = (
                    f"processes were given different runs: `here` is process 0 and `there` "
                    f"process {number}: {found}. Start the same program with the same arguments."
                )
    if problem is not None:
        raise ValueError(problem)
    return position


def _known(here: dict[str, Any], there: dict[str, Any]) -> list[dict[str, Any]]:
    """Two runs, with those functions whose source code is known on both, by its digest."""
    two = [run.get("functions", {}) for run in (here, there)]
    names = [
        name
        for name in two[0]
        if all(name in some and some[name]["sha256"] != UNKNOWN for some in two)
    ]
    return [
        {**run, "functions": {name: {"sha256": some[name]["sha256"]} for name in names}}
        for run, some in zip((here, there), two, strict=True)
    ]


def whole(layout: Layout, tree: PyTree, axis: int = 0) -> PyTree:
    """The arrays of all chains, on the host, from those of this process's; without padding.

    `axis` is the chain axis. Nothing is computed: bytes go from host to host, in the order of the
    chains, whatever the number of processes.
    """

    def mine(x) -> np.ndarray:
        return np.moveaxis(np.asarray(x), axis, 0)[: layout.real]

    leaves, treedef = jax.tree.flatten(jax.tree.map(mine, tree))
    if layout.processes > 1 and leaves:
        bus = connected()
        assert bus is not None
        data = b"".join(np.ascontiguousarray(x).tobytes() for x in leaves)
        parts = bus.gather(f"arrays of {str(treedef)[:200]}", data)
        leaves = _joined(leaves, parts)
    return jax.tree.unflatten(treedef, [np.moveaxis(x, 0, axis) for x in leaves])


def _joined(leaves: list[np.ndarray], parts: list[bytes]) -> list[np.ndarray]:
    """Arrays from the bytes of all processes; only their first axes differ."""
    row = [x.dtype.itemsize * int(np.prod(x.shape[1:], dtype=np.int64)) for x in leaves]
    out: list[list[np.ndarray]] = [[] for _ in leaves]
    for part in parts:
        chains, at = len(part) // max(1, sum(row)), 0
        for i, (x, size) in enumerate(zip(leaves, row, strict=True)):
            piece = np.frombuffer(part, x.dtype, chains * size // x.dtype.itemsize, at)
            out[i].append(piece.reshape(chains, *x.shape[1:]))
            at += chains * size
    return [np.concatenate(pieces) for pieces in out]


def collected(
    layout: Layout, end: Position, reductions: dict[str, AbstractReduction], axis: int
) -> Collected:
    """The end of a run whose state has the chain axis at `axis`, the same on all processes.

    Warns, to whoever called the engine, where draws on the way were not finite.
    """
    values, results, failed_by = whole(layout, (gathered(end), end.results, end.failed_by))
    last = jax.tree.map(
        lambda x: np.ascontiguousarray(np.moveaxis(x, axis, 0)), whole(layout, end.y, axis)
    )
    states = {
        name: whole(layout, state, reductions[name].chain_axis)
        for name, state in end.states.items()
    }
    reduced = finish_reductions(reductions, states, results == OK, end.drawn)
    undefined = undefined_message(reduced)
    if undefined is not None:
        warnings.warn(undefined, RuntimeWarning, stacklevel=3)
    return Collected(values, results, failed_by, last, reduced)
