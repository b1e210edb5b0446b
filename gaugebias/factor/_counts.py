"""Contingency tables: from a CSV file or an array, checked before anything is fitted."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._csv import is_number, numbers, read_cells


@dataclasses.dataclass(frozen=True)
class CountTable:
    """A table of counts (or amounts: minutes, grams) with named rows and columns.

    - `values`: (I, J) float64, non-negative, no empty row and no empty column.
    - `rows`, `columns`: I and J different names; by default "row 1", ... and "column 1", ...
    - `name`: of the table, for titles.

    **Raises:** `ValueError` when `values` is no matrix of finite numbers that are not negative, a
    row or a column holds only zeros, there are fewer than two of either, or names are missing or
    repeated.
    """

    values: Any
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    name: str = "table"

    def __post_init__(self) -> None:
        try:
            values = np.array(self.values, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError("`values` must hold numbers: encode text as counts.") from None
        if values.ndim != 2 or min(values.shape) < 2:
            raise ValueError(
                f"`values` has shape {values.shape}: give a table of at least two rows and two "
                "columns."
            )
        rows = tuple(self.rows) or tuple(f"row {i + 1}" for i in range(values.shape[0]))
        columns = tuple(self.columns) or tuple(f"column {j + 1}" for j in range(values.shape[1]))
        for argument, names, size in (
            ("rows", rows, values.shape[0]),
            ("columns", columns, values.shape[1]),
        ):
            if len(names) != size:
                raise ValueError(f"`{argument}` has {len(names)} names for {size} of them.")
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"`{argument}` has {repeated[0]!r} twice: rename them apart.")
        _check(values, rows, columns, "`values`")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "columns", columns)

    @property
    def total(self) -> float:
        """The sum of all counts."""
        return float(self.values.sum())

    @property
    def row_totals(self) -> np.ndarray:
        """Shape (I,)."""
        return self.values.sum(axis=1)

    @property
    def profiles(self) -> np.ndarray:
        """The rows divided by their totals, shape (I, J): a row-stochastic matrix."""
        return self.values / self.row_totals[:, None]

    @property
    def rank(self) -> int:
        """Numerical rank of the profiles: no exact factorisation has fewer components."""
        return int(np.linalg.matrix_rank(self.profiles))


def load_counts(path: str | Path, *, row_names: bool | None = None) -> CountTable:
    """Read a contingency table from a CSV file with a header line.

    **Arguments:** `path`: the file (comma-separated, UTF-8), one line a row; `row_names`: whether
    the first column holds names. By default it does if any cell in it is no number or its heading
    is empty.

    **Raises:** `ValueError`, in one sentence with the name of the file, for what
    [`gaugebias.factor.CountTable`][] refuses, for cells that are missing, text or not finite, for
    lines longer or shorter than the header, and where the first column has a heading and nothing
    but numbers, so that it may be names or counts.
    """
    cells = read_cells(path, "file", unnamed_first=row_names is not False)
    first = [line[0].strip() if line else "" for _, line in cells.lines]
    if row_names is None:
        row_names = not cells.header[0] or not all(map(is_number, first))
        if not row_names:
            raise ValueError(
                f"{cells.file}: the first column {cells.header[0]!r} holds only numbers, which may "
                "be names or counts: put names there, or leave its heading empty if they are names."
            )
    start = int(row_names)
    if len(cells.header) < 2 + start:
        raise ValueError(f"{cells.file} has fewer than two columns of counts.")
    if len(cells.lines) < 2:
        raise ValueError(f"{cells.file} has fewer than two rows of counts.")
    values = numbers(cells, range(start, len(cells.header)))
    if row_names:
        if "" in first:
            line = cells.lines[first.index("")][0]
            raise ValueError(f"{cells.file}, line {line}, has no row name: name every row.")
        if repeated := sorted({name for name in first if first.count(name) > 1}):
            raise ValueError(
                f"{cells.file} has several rows called {repeated[0]!r}: rename them apart."
            )
    rows = tuple(first) if row_names else tuple(f"row {i + 1}" for i in range(len(values)))
    columns = tuple(cells.header[start:])
    _check(values, rows, columns, cells.file)
    return CountTable(values, rows, columns, name=Path(path).stem)


def as_counts(table: Any) -> CountTable:
    """A `CountTable` from one, or from anything that reads as a matrix."""
    return table if isinstance(table, CountTable) else CountTable(table)


def check_components(table: CountTable, components: Any) -> int:
    """`components` as an integer from 1 to the rank of `table`; `ValueError` otherwise."""
    whole = isinstance(components, int | np.integer) and not isinstance(components, bool)
    if not whole or components < 1:
        raise ValueError(f"`components` is {components!r}: give a whole number of at least 1.")
    if components > table.rank:
        size = " x ".join(map(str, table.values.shape))
        raise ValueError(
            f"`components` is {components}, but the table ({size}) has rank {table.rank}: nothing "
            f"identifies more components than that, so give at most {table.rank}."
        )
    return int(components)


def _check(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], where: str) -> None:
    def cell(bad: np.ndarray) -> str:
        i, j = np.argwhere(bad)[0]
        return f"row {rows[i]!r}, column {columns[j]!r}"

    if not (finite := np.isfinite(values)).all():
        raise ValueError(
            f"{where} is not finite in {cell(~finite)}: fill in or drop what is missing."
        )
    if (negative := values < 0).any():
        i, j = np.argwhere(negative)[0]
        raise ValueError(
            f"{where} has a negative count, {values[i, j]:g} in {cell(negative)}: counts are 0 or "
            "more."
        )
    if values.max() > 1e300 / values.size:
        raise ValueError(f"{where} holds numbers too large to be added up: rescale it.")
    for kind, names, sums in (
        ("row", rows, values.sum(axis=1)),
        ("column", columns, values.sum(axis=0)),
    ):
        if (sums < 1e-300).any():
            name = names[int(np.argmin(sums))]
            raise ValueError(f"{where}: the {kind} {name!r} holds only zeros: drop it.")
