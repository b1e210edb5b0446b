"""What a sweep computes: its groups, their programs, and the size of its chunks."""

import re
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from ..dynamics._runs._memory import available
from ._definition import provenance
from ._groups import PADDING, Cell, Group, Layout, cached, default_chunk, lay_out
from ._outputs import Shapes, check_fits, common_shapes, judged, shapes_of
from ._program import Outputs, Program, on_host, ran_out, said
from ._settings import check_known, names_of, replaced
from ._store import FAILED, REASON, create
from ._written import written

_RAISED = re.compile(r"^\s*(\w[\w.]*(?:Error|Exception): .+)$", re.MULTILINE)
_SHARE = 0.5  # of the free memory that a chunk may take


def _said(error: Exception) -> str:
    """An error on one line that fits; of a long one its two ends, which say most."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, jax.errors.JaxRuntimeError):
        inside = _RAISED.findall(str(error))  # by a function of the host that jax called
        words = " ".join(inside[-1].split()) if inside else words
    if len(words) <= REASON // 2:
        return words
    return f"{words[: REASON // 4]} ... {words[-REASON // 4 :]}"


class NoMemory(Exception):
    """A chunk did not fit: it says nothing of its cells, which stay unfinished."""


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
            said_first = next(iter(found.values()))
            raise ValueError(
                f"`over`: {type(self.settings).__name__} takes none of the settings ({said_first})."
            )
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

    def resume(
        self, path: Path, digests: list[str | None], changed: Container[int] = ()
    ) -> list[str | None]:
        """Hold programs against those that a sweep was begun with, and return what they are now.

        Groups that `changed` holds may compute something else.

        **Raises:** `ValueError` where another does: the source of a function that `experiment`
        calls, or a number it closes over, has changed.
        """
        if not self.stack:
            return digests
        found = [self._digest(group) for group in range(len(digests))]
        for group, digest in enumerate(digests):
            if found[group] != digest and group not in changed:
                if digest is None:
                    raise ValueError(
                        "`experiment` can be run with settings for which it failed when the sweep "
                        f"in {str(path)!r} was defined: compute those cells again with "
                        "`retry='failed'`, or choose another path."
                    )
                raise ValueError(
                    f"`experiment` computes something else than when the sweep in {str(path)!r} "
                    "was defined (a function that it calls or a number that it uses has changed): "
                    "choose another path; `gb.sweep.load` reads what is there."
                )
        return found

    def _digest(self, group: int) -> str | None:
        """Of what a group computes; `None` where it cannot be traced."""
        try:
            return self.program(group).digest
        except Exception:
            return None

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
        if found is None:
            return size
        free, _ = found
        need = self._largest().memory(size, self.mesh)
        while need > _SHARE * free and size > self._rounded(1):
            size = self._rounded(max(1, min(size // 2, int(size * _SHARE * free / need))))
            need = self._largest().memory(size, self.mesh)
        return size

    def _largest(self) -> Program:
        """The program that needs most; there is one by the time that shapes are known."""
        able = (found for found in self._programs.values() if isinstance(found, Program))
        return max(able, key=lambda program: program.bytes)

    def _stacks(self, group: int, size: int) -> bool:
        """Whether the program of a group can be run in chunks of `size`."""
        try:
            self.program(group).compiled(size, self.mesh)
        except Exception:
            return False
        return True

    def _rounded(self, size: int) -> int:
        many = 1 if self.mesh is None else self.mesh.size
        return max(1, -(-size // many)) * many

    def create(
        self, path: Path, definition: dict[str, Any], points: list[dict[str, Any]], size: int | None
    ) -> None:
        """Write the store of a sweep that has not begun."""
        found, errors = self._shapes()
        if not found:
            raise _unusable(errors[0]) from errors[0]
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
        if self.stack:
            self._largest().compiled(size, self.mesh)  # says whether cells can be stacked
        layout = lay_out(self.groups, size)
        columns, about = self._columns(layout, names)
        units = definition["units"]
        check_known(units, [*shapes, *names_of(self.settings)], "units", "output or setting")
        attributes: dict[str, dict[str, Any]] = {n: {"units": u} for n, u in units.items()}
        for name, more in about.items():
            attributes.setdefault(name, {}).update(more)
        record = {
            "definition": definition,
            "layout": {"size": layout.size, "group_of": list(layout.group_of)},
            "provenance": provenance(),
            "outputs": list(shapes),
            "columns": _lists(definition["over"], points),
            "programs": [self._digest(g) if self.stack else None for g in range(len(self.groups))],
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
            if all(type(v) in (bool, float) or _is_integer(v) for v in values):
                columns[name] = np.asarray(values, float if _floats(values) else np.int64)
                continue
            text = cached(lambda v: str(written(v)))
            meanings = {each: i for i, each in enumerate(dict.fromkeys(map(text, values)))}
            columns[name] = np.asarray([meanings[text(v)] for v in values], np.int64)
            about[name] = {"flag_values": [*meanings.values()], "flag_meanings": [*meanings]}
        return columns, about

    def compute(
        self, layout: Layout, shapes: Shapes, chunk: int, rows: np.ndarray
    ) -> tuple[Outputs, list[int], list[str]]:
        """The outputs of a chunk, and status and reason of each of its cells.

        `shapes` are those that the store takes of one cell; `rows` marks the cells to compute, and
        only those are to be used: each where it is in the chunk, so that its numbers are those of
        the whole.
        """
        numbers = layout.chunk(chunk)
        cells = [
            self.cells[int(n)] if row and int(n) not in self.refused else None
            for n, row in zip(numbers, rows, strict=True)
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
            if self.stack and ran_out(whole):
                raise NoMemory(_said(whole)) from whole
            return self._apart(group, cells, status, reasons, whole)
        for i, cell in enumerate(cells):
            if cell is not None:
                status[i], reasons[i] = judged(outputs, i)
        return (
            _without(outputs, [i for i, cell in enumerate(cells) if cell is None]),
            status,
            reasons,
        )

    def _run(self, group: int, cells: Sequence[Cell | None]) -> Outputs:
        if self.stack:
            return self.program(group).run(cells, self.mesh)
        (cell,) = cells  # chunks of one
        assert cell is not None
        try:
            return {name: x[None] for name, x in self._on_host(cell).items()}
        finally:
            self._seen.pop(cell.number)

    def _apart(
        self, group: int, cells: Sequence[Cell | None], status, reasons, whole: Exception
    ) -> tuple[Outputs, list[int], list[str]]:
        """The cells of a chunk that failed, told apart by halves; one that fails alone says why.

        Halves run by the program of the whole chunk, with their cells where they were in it.
        """
        outputs: Outputs = {}
        todo = [([i for i, cell in enumerate(cells) if cell is not None], whole)]
        tried = self.stack and self._stacks(group, len(cells))
        while todo:
            indices, error = todo.pop()
            if len(indices) == 1 or not tried:
                for i in indices:
                    status[i], reasons[i] = FAILED, _said(error)
                continue
            middle = len(indices) // 2
            for half in (indices[:middle], indices[middle:]):
                try:
                    rows = self._run(group, [c if i in half else None for i, c in enumerate(cells)])
                except Exception as failure:
                    if ran_out(failure):
                        raise NoMemory(_said(failure)) from failure
                    todo.append((half, failure))
                    continue
                for name, x in rows.items():
                    outputs.setdefault(name, np.full_like(x, _blank(x)))[half] = x[half]
                for i in half:
                    status[i], reasons[i] = judged(rows, i)
        return outputs, status, reasons


def _blank(x: np.ndarray) -> float:
    """What stands where there is no result."""
    return np.nan if np.issubdtype(x.dtype, np.inexact) else 0


def _without(outputs: Outputs, empty: list[int]) -> Outputs:
    """Outputs of a chunk without the copies in the places of `empty`."""
    if not empty:
        return outputs
    found = {name: np.array(x) for name, x in outputs.items()}
    for x in found.values():
        x[empty] = _blank(x)
    return found


def _is_integer(value: Any) -> bool:
    """Whether a value is an integer that an array can hold."""
    return type(value) is int and -(2**63) <= value < 2**63


def _floats(values: Sequence[Any]) -> bool:
    return any(isinstance(v, float) for v in values)


def _lists(over: dict[str, Any], points: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The values of every setting along its axis, as JSON holds them."""
    if "sample" in over and isinstance(over.get("over"), dict):
        return {name: [written(p[name]) for p in points] for name in points[0]}
    return over


def _unusable(error: Exception) -> ValueError:
    """What is wrong where no cell can be run, as one sentence."""
    if isinstance(error, ValueError) and str(error).startswith(("`", "the output")):
        return error
    return ValueError(
        f"`experiment` cannot be run with any of the settings ({said(error)}): it is called as "
        "`experiment(settings, key)`."
    )
