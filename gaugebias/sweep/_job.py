"""What a sweep computes: its groups, their programs, and the size of its chunks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from ..dynamics._runs._memory import available
from ._definition import provenance
from ._groups import PADDING, Cell, Group, Layout, default_chunk, lay_out
from ._outputs import Shapes, check_fits, common_shapes, judged, shapes_of
from ._program import Outputs, Program, on_host
from ._settings import replaced, written
from ._store import FAILED, REASON, create

_SHARE = 0.5  # of the free memory that a chunk may take


def _said(error: Exception) -> str:
    """An error on one line that fits; of a long one its two ends, which say most."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    if len(words) <= REASON // 2:
        return words
    return f"{words[: REASON // 4]} ... {words[-REASON // 4 :]}"


class Job:
    """The cells of a sweep, and how they are computed."""

    def __init__(
        self,
        experiment: Callable,
        settings: Any,
        key: jax.Array,
        rows: Sequence[str],
        stack: bool,
        mesh: Mesh | None,
        cells: Sequence[Cell],
        groups: Sequence[Group],
    ) -> None:
        self.experiment, self.settings, self.key = experiment, settings, key
        self.rows, self.stack, self.mesh = tuple(rows), stack, mesh
        self.cells = {cell.number: cell for cell in cells}
        self.groups = tuple(groups)
        self.refused = self._refused()
        self._programs: dict[int, Program | Exception] = {}
        self._seen: dict[int, Outputs | Exception] = {}  # cells run on the host to learn shapes

    def _refused(self) -> dict[int, str]:
        """Cells whose settings the dataclass itself does not take, with its reason."""
        found, last = {}, (-1, "")
        for cell in self.cells.values():
            if cell.point != last[0]:
                try:
                    replaced(self.settings, cell.values)
                    last = (cell.point, "")
                except Exception as error:
                    last = (cell.point, _said(error))
            if last[1]:
                found[cell.number] = last[1]
        if len(found) == len(self.cells):
            raise ValueError(f"no cell has settings that can be: {next(iter(found.values()))}")
        return found

    def _able(self, group: int) -> tuple[Cell, ...]:
        return tuple(c for c in self.groups[group].cells if c.number not in self.refused)

    def program(self, group: int) -> Program:
        """The program of a group; raises what tracing it raised."""
        if group not in self._programs:
            static, able = self.groups[group].static, self._able(group)
            try:
                self._programs[group] = Program(
                    self.experiment, self.settings, Group(static, able), self.rows, self.key
                )
            except Exception as error:
                self._programs[group] = error
        found = self._programs[group]
        if isinstance(found, Exception):
            raise found
        return found

    def resume(self, path: Path, digests: list[str | None]) -> None:
        """Hold programs against those that a sweep was begun with.

        **Raises:** `ValueError` where one computes something else: the source of a function that
        `experiment` calls, or a number it closes over, has changed.
        """
        for group, digest in enumerate(digests):
            if digest is not None and self.program(group).digest != digest:
                raise ValueError(
                    f"`experiment` computes something else than when the sweep in {str(path)!r} "
                    "was defined (a function that it calls or a number that it uses has changed): "
                    "choose another path."
                )

    def _shapes(self) -> tuple[list[Shapes], list[Exception]]:
        """Of the outputs of every group that can be run, and what the others raise."""
        found: list[Shapes] = []
        errors: list[Exception] = []
        for group in range(len(self.groups)):
            able = self._able(group)
            if not able:
                continue
            try:
                if self.stack:
                    found.append(shapes_of(self.program(group).shapes))
                    continue
                return [shapes_of(self._on_host(able[0]))], []  # the others tell when they run
            except Exception as error:
                errors.append(error)
        return found, errors

    def _on_host(self, cell: Cell) -> Outputs:
        """One cell, run once; raises what it raised."""
        if cell.number not in self._seen:
            try:
                done = on_host(self.experiment, self.settings, cell, self.key)
            except Exception as error:
                done = error
            self._seen[cell.number] = done
        found = self._seen[cell.number]
        if isinstance(found, Exception):
            raise found
        return found

    def _size(self) -> int:
        """Cells in a chunk: the default, or what fits into the memory that is free."""
        if not self.stack:
            return 1
        size = self._rounded(default_chunk(self.groups))
        found = available(jax.local_devices()[:1])
        able = [g for g in range(len(self.groups)) if self._traceable(g)]
        if found is None or not able:
            return size
        free, _ = found
        largest = max(able, key=lambda g: self.program(g).bytes)
        need = self.program(largest).memory(size, self.mesh)
        while need > _SHARE * free and size > self._rounded(1):
            size = self._rounded(max(1, min(size // 2, int(size * _SHARE * free / need))))
            need = self.program(largest).memory(size, self.mesh)
        return size

    def _traceable(self, group: int) -> bool:
        return isinstance(self._programs.get(group), Program)

    def _rounded(self, size: int) -> int:
        many = 1 if self.mesh is None else self.mesh.size
        return max(1, -(-size // many)) * many

    def create(
        self, path: Path, definition: dict[str, Any], points: list[dict[str, Any]], size: int | None
    ) -> None:
        """Write the store of a sweep that has not begun."""
        found, errors = self._shapes()
        if not found:
            raise errors[0]
        names = list(points[0])
        shapes = common_shapes(found, names)
        if not self.stack and size not in (None, 1):
            raise ValueError("`chunk` is for stacked cells: leave it out, or leave `stack=False`.")
        size = self._size() if size is None else size
        if self._rounded(size) != size:
            raise ValueError(
                f"`chunk` is {size}, which is no multiple of the {self._rounded(1)} devices: give "
                f"{self._rounded(size)}."
            )
        layout = lay_out(self.groups, size)
        columns, about = self._columns(layout, names)
        units = definition["units"]
        attributes: dict[str, dict[str, Any]] = {n: {"units": u} for n, u in units.items()}
        for name, more in about.items():
            attributes.setdefault(name, {}).update(more)
        record = {
            "definition": definition,
            "layout": {"size": layout.size, "group_of": list(layout.group_of)},
            "provenance": provenance(),
            "outputs": list(shapes),
            "columns": _lists(definition["over"], points),
            "programs": [
                self.program(g).digest if self._traceable(g) else None
                for g in range(len(self.groups))
            ],
        }
        create(path, record, layout, shapes, columns, attributes)

    def _columns(
        self, layout: Layout, names: Sequence[str]
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """The design slot by slot, so that any reader of Zarr sees it: numbers, or codes of what
        is none, with their meanings."""
        slots = [self.cells.get(int(n)) for n in layout.slots]
        first = next(cell for cell in slots if cell is not None)
        filled = [cell or first for cell in slots]
        columns = {"seed": np.asarray([c.seed for c in filled], np.int64)}
        columns["point"] = np.asarray([c.point for c in filled], np.int64)
        about: dict[str, dict[str, Any]] = {}
        for name in names:
            values = [c.values[name] for c in filled]
            if all(isinstance(v, int | float) for v in values):
                columns[name] = np.asarray(values, float if _floats(values) else np.int64)
                continue
            meanings = list(dict.fromkeys(str(written(v)) for v in values))
            columns[name] = np.asarray([meanings.index(str(written(v))) for v in values], np.int64)
            about[name] = {"flag_values": list(range(len(meanings))), "flag_meanings": meanings}
        return columns, about

    def compute(
        self, layout: Layout, shapes: Shapes, chunk: int
    ) -> tuple[Outputs, list[int], list[str]]:
        """The outputs of a chunk, and status and reason of each of its cells.

        `shapes` are those that the store takes of one cell.
        """
        numbers = layout.chunk(chunk)
        cells = [
            None if n == PADDING or int(n) in self.refused else self.cells[int(n)] for n in numbers
        ]
        status, reasons = [FAILED] * layout.size, [""] * layout.size
        for i, n in enumerate(numbers):
            reasons[i] = "padding" if n == PADDING else self.refused.get(int(n), "")
        if not any(cells):
            return {}, status, reasons
        group = layout.group_of[chunk]
        try:
            outputs = self._run(group, cells)
            check_fits(outputs, shapes)
        except Exception as whole:
            return self._one_by_one(group, cells, status, reasons, whole)
        for i, cell in enumerate(cells):
            if cell is not None:
                status[i], reasons[i] = judged(outputs, i)
        return outputs, status, reasons

    def _run(self, group: int, cells: Sequence[Cell | None]) -> Outputs:
        if self.stack:
            return self.program(group).run(cells, self.mesh)
        (cell,) = cells  # chunks of one
        assert cell is not None
        try:
            return {name: x[None] for name, x in self._on_host(cell).items()}
        finally:
            self._seen.pop(cell.number)

    def _one_by_one(
        self, group: int, cells: Sequence[Cell | None], status, reasons, whole: Exception
    ) -> tuple[Outputs, list[int], list[str]]:
        """The cells of a chunk that failed, each by itself; what fails again says why.

        Stacked cells run in chunks of copies, by the program of the whole chunk.
        """
        rows: dict[int, Outputs] = {}
        traced = self.stack and self._traceable(group)
        for i, cell in enumerate(cells):
            if cell is None:
                continue
            try:
                if not traced:
                    raise whole
                rows[i] = self._run(group, [cell] * len(cells))
                status[i], reasons[i] = judged(rows[i], 0)
            except Exception as error:
                status[i], reasons[i] = FAILED, _said(error)
        if not rows:
            return {}, status, reasons
        some = next(iter(rows.values()))
        outputs = {}
        for name, x in some.items():
            floats = np.issubdtype(x.dtype, np.inexact)
            outputs[name] = np.full(x.shape, np.nan if floats else 0, x.dtype)
            for i, row in rows.items():
                outputs[name][i] = row[name][0]
        return outputs, status, reasons


def _floats(values: Sequence[Any]) -> bool:
    return any(isinstance(v, float) for v in values)


def _lists(over: dict[str, Any], points: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The values of every setting along its axis."""
    if "sample" in over and isinstance(over.get("over"), dict):
        return {name: [written(p[name]) for p in points] for name in points[0]}
    return {name: list(dict.fromkeys(_hashable(p[name]) for p in points)) for name in points[0]}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
