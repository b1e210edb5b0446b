"""Cells of equal shape, stacked in chunks of one size; every chunk is computed whole."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._written import text_of

PADDING = -1
LEAST, MOST = 16, 256  # cells in a chunk, where nobody says otherwise and there are so many
PARTS = 8  # chunks that a large group is cut into, so that little is lost and much is seen early


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point of the design with one seed."""

    number: int
    point: int
    seed: int
    values: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Group:
    """Cells that differ in stacked settings and seeds alone."""

    static: dict[str, Any]
    cells: tuple[Cell, ...]


def cells_of(points: Sequence[dict[str, Any]], seeds: Sequence[int]) -> list[Cell]:
    """All cells; the seed runs fastest."""
    many = len(seeds)
    return [
        Cell(i * many + j, i, seed, values)
        for i, values in enumerate(points)
        for j, seed in enumerate(seeds)
    ]


def cached(fn: Callable[[Any], str]) -> Callable[[Any], str]:
    """`fn`, called once for each object: points share the values of an axis."""
    known: dict[int, tuple[Any, str]] = {}  # with the object, whose number is then not given again

    def found(value: Any) -> str:
        if id(value) not in known:
            known[id(value)] = (value, fn(value))
        return known[id(value)][1]

    return found


def groups_of(cells: Sequence[Cell], stacked: Sequence[str]) -> list[Group]:
    """Cells by their values of the settings that are not stacked, in order of appearance."""
    found: dict[tuple[str, ...], tuple[dict[str, Any], list[Cell]]] = {}
    text = cached(text_of)
    for cell in cells:
        static = {k: v for k, v in cell.values.items() if k not in stacked}
        key = tuple(map(text, static.values()))
        found.setdefault(key, (static, []))[1].append(cell)
    return [Group(static, tuple(members)) for static, members in found.values()]


def default_chunk(groups: Sequence[Group]) -> int:
    """Cells in a chunk: one size for all groups, so that little is computed for nothing."""
    largest = max(len(group.cells) for group in groups)
    most = min(largest, MOST, max(LEAST, -(-largest // PARTS)))
    sizes = range(max(1, most // 2), most + 1)
    return min(sizes, key=lambda c: (sum(-(-len(g.cells) // c) * c for g in groups), -c))


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where cells stand in the store: chunk by chunk, group by group, with padding.

    - `slots`: for every slot the number of its cell, or -1. Shape `(chunks * size,)`.
    - `group_of`: for every chunk the number of its group.
    """

    size: int
    slots: np.ndarray
    group_of: tuple[int, ...]

    @property
    def chunks(self) -> int:
        return len(self.group_of)

    def chunk(self, index: int) -> np.ndarray:
        """The cells of a chunk, -1 where it is padded."""
        return self.slots[index * self.size : (index + 1) * self.size]


def lay_out(groups: Sequence[Group], size: int) -> Layout:
    """The cells of all groups in chunks of `size`."""
    slots: list[int] = []
    group_of: list[int] = []
    for g, group in enumerate(groups):
        chunks = -(-len(group.cells) // size)
        numbers = [cell.number for cell in group.cells]
        slots += numbers + [PADDING] * (chunks * size - len(numbers))
        group_of += [g] * chunks
    return Layout(size, np.asarray(slots, np.int64), tuple(group_of))
