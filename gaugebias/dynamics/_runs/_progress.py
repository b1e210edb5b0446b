"""A simulation chunk by chunk: what is known after each, and which chains have failed."""

from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from ._ensemble import DIVERGED, LEFT_DOMAIN, OK, SINGULAR


class Position(eqx.Module):
    """Everything that a simulation knows between two chunks.

    `y` and `states` stay on the devices; the rest is on the host. `values` holds the draws of each
    chunk that kept some, draw axis first, then chains.
    """

    chunks: int
    steps: int
    drawn: int
    y: PyTree
    states: dict[str, PyTree]
    results: np.ndarray
    failed_by: np.ndarray
    values: tuple[PyTree, ...]
    at: tuple[int, ...]


def beginning(y: PyTree, states: dict[str, PyTree], chains: int) -> Position:
    """The position before the first step."""
    return Position(0, 0, 0, y, states, np.full(chains, OK), np.full(chains, -1), values=(), at=())


def judged(
    position: Position, end: int, finite: np.ndarray, left: np.ndarray | None, singular: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Result codes and first failures after a chunk that ended with step `end`."""
    results, failed_by = position.results.copy(), position.failed_by.copy()

    def mark(which, code, when):
        new = which & (results == OK)
        results[new] = code
        failed_by[new] = np.broadcast_to(when, results.shape)[new]

    if left is not None:  # it is known to the step, so it comes first
        mark(left >= 0, LEFT_DOMAIN, left)
    mark(~finite, DIVERGED, end)
    mark(singular, SINGULAR, end)
    return results, failed_by


def drive(
    chunk: Callable,
    position: Position,
    plan: list[tuple[int, int, bool]],
    *,
    start: int,
    last_only: bool,
    after: Callable[[Position], None],
    enough: Callable[[Position], bool],
) -> Position:
    """The chunks of a run that are left, one after the other.

    - `chunk(position, length, records, keep)` gives the state, the reductions' states, the draws
        and the masks of `judged`.
    - `after` is told of every new position; `enough(position)` ends the run early. It depends on
        the position alone, so that a run that was cut ends where the whole one does.
    """
    while position.chunks < len(plan) and not enough(position):
        length, records, keep = plan[position.chunks]
        y, states, values, finite, left, singular = chunk(position, length, records, keep)
        steps = position.steps + length * records
        end = start + steps
        results, failed_by = judged(position, end, finite, left, singular)
        kept, at = position.values, position.at
        if keep and last_only:
            kept, at = (values,), (end,)
        elif keep:
            kept = (*kept, values)
            at = (*at, *range(start + position.steps + length, end + 1, length))
        drawn = position.drawn + (records if keep else 0)
        position = Position(
            position.chunks + 1, steps, drawn, y, states, results, failed_by, kept, at
        )
        after(position)
    return position


def gathered(position: Position) -> PyTree:
    """The draws of all chunks together, `(chains, draws, *shape)`."""
    return jax.tree.map(lambda *xs: np.moveaxis(np.concatenate(xs), 0, 1), *position.values)
