"""Comma-separated files of numbers, read on the host; what is wrong with one, in one sentence."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-", "."})


class Cells(NamedTuple):
    """The cells of a file as text.

    - `file`: what the file is called in messages, with the name of the argument.
    - `header`: the names in its first line.
    - `lines`: the other lines that are not empty, each with its number in the file.
    """

    file: str
    header: list[str]
    lines: list[tuple[int, list[str]]]


def read_cells(path: str | Path, argument: str, *, unnamed_first: bool = False) -> Cells:
    """Read a file with a header line.

    **Arguments:** `path`: the file (comma-separated, UTF-8); `argument`: what the caller calls it
    in messages; `unnamed_first`: whether the first column may be without a name.

    **Raises:** `ValueError`, naming the file, when there is no such file, it is no text, it is
    empty, or a column has no name or the name of another.
    """
    path = Path(path)
    file = f"`{argument}`: {str(path)!r}"
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist: check the path.") from None
    except IsADirectoryError:
        raise ValueError(f"{file} is a folder: give the file in it.") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"{file} cannot be read ({reason}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{file} is not comma-separated text in UTF-8 ({error}): save it as CSV in UTF-8."
        ) from None
    if not rows:
        raise ValueError(f"{file} is empty: give a header line and rows of numbers.")
    header = [cell.strip() for cell in rows[0][1]]
    if len(header) == 1 and (hint := next((c for c in ";\t|" if c in header[0]), None)):
        raise ValueError(f"{file} is separated by {hint!r}: separate its cells by commas.")
    named = header[1:] if unnamed_first else header
    if "" in named:
        column = named.index("") + 1 + (len(header) - len(named))
        raise ValueError(
            f"{file} has no name for column {column}: name every column in the first line."
        )
    if len(rows) == 1:
        raise ValueError(f"{file} has a header and no rows.")
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"{file} has several columns called {repeated[0]!r}: rename them apart.")
    return Cells(file, header, rows[1:])


def numbers(cells: Cells, columns: Sequence[int] | None = None) -> np.ndarray:
    """The numbers in `columns` (all by default), shape (lines, columns), float64.

    **Raises:** `ValueError`, naming the file, the line and the column, where a line has not as
    many cells as the header, and where a cell is missing, text or not finite.
    """
    file, header, lines = cells
    columns = range(len(header)) if columns is None else columns
    values = np.empty((len(lines), len(columns)))
    missing: list[tuple[int, str]] = []
    for index, (line, row) in enumerate(lines):
        if len(row) != len(header):
            raise ValueError(
                f"{file}, line {line}, has {len(row)} cells where the header has {len(header)}."
            )
        for place, column in enumerate(columns):
            text = row[column].strip()
            if text.lower() in _MISSING:
                missing.append((line, header[column]))
                continue
            try:
                values[index, place] = float(text)
            except ValueError:
                raise ValueError(
                    f"{file}: column {header[column]!r} holds text ({_short(text)!r} in line "
                    f"{line}): encode it as numbers or drop the column."
                ) from None
            if not np.isfinite(values[index, place]):
                raise ValueError(
                    f"{file}: column {header[column]!r} holds {text!r} in line {line}, which is "
                    "not finite."
                )
    if missing:
        line, name = missing[0]
        count = "1 missing value" if len(missing) == 1 else f"{len(missing)} missing values"
        raise ValueError(
            f"{file} has {count} (the first in line {line}, column {name!r}): fill in or drop "
            "those rows."
        )
    return values


def is_number(text: str) -> bool:
    """Whether a cell reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:21] + "..."
