"""A user's regression table, read from CSV and standardised; what is wrong with it, in words."""

import dataclasses
import difflib
from pathlib import Path

import numpy as np

from .._csv import numbers, read_cells


@dataclasses.dataclass(frozen=True)
class Table:
    """A regression table with columns and target standardised to mean 0 and variance 1.

    - `name`: of the file, without its folder and suffix.
    - `columns`: names of the p features, in the order of the file; `target`: of the target.
    - `x`: (n, p) float64; `y`: (n,) float64; both standardised with the divisor n.
    - `x_mean`, `x_scale` (p,) and `y_mean`, `y_scale`: what was taken away and divided by, in the
      units of the file: a coefficient w of the standardised problem is w * y_scale / x_scale there.
    """

    name: str
    columns: tuple[str, ...]
    target: str
    x: np.ndarray
    y: np.ndarray
    x_mean: np.ndarray
    x_scale: np.ndarray
    y_mean: float
    y_scale: float


def load_table(path: str | Path, target: str) -> Table:
    """Read a CSV file with a header line and only numbers below it.

    **Arguments:** `path`: the file (comma-separated, UTF-8); `target`: the column to predict; all
    the others are features.

    Raises `ValueError`, in one sentence with the name of the file, when there is no such file, it
    cannot be read as text, it is empty, a name occurs twice in its header, a line has too many or
    too few cells, `target` is not a column, a cell is missing, not a number or not finite, a
    column is constant, there are no more rows than features and one, or the features are collinear.
    """
    cells = read_cells(path, "csv")
    file, header, _ = cells
    if target not in header:
        raise ValueError(_no_target(target, header))
    if len(header) == 1:
        raise ValueError(
            f"{file} has the target {target!r} and no other column: add features to predict it by."
        )
    values = numbers(cells)

    columns = [name for name in header if name != target]
    features = [header.index(name) for name in columns]
    n, p = len(values), len(columns)
    if n < p + 2:
        raise ValueError(
            f"{file} has {n} rows for {p} features: least squares with an intercept needs at least "
            f"{p + 2}, so add rows or drop columns."
        )
    mean = values.mean(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        scale = values.std(axis=0)
    for name, low, high in zip(header, values.min(axis=0), values.max(axis=0), strict=True):
        if low == high:
            what = "target" if name == target else "column"
            cure = "choose another target" if name == target else "drop it"
            raise ValueError(f"{file}: the {what} {name!r} is constant ({low:g}): {cure}.")
    for name, size in zip(header, scale, strict=True):
        if not np.isfinite(size):
            raise ValueError(
                f"{file}: column {name!r} holds numbers too large to be standardised (their "
                "variance overflows): rescale it."
            )
    standard = (values - mean) / scale
    x, y = standard[:, features], standard[:, header.index(target)]
    _check_rank(file, x, columns)
    where = header.index(target)
    return Table(
        name=Path(path).stem,
        columns=tuple(columns),
        target=target,
        x=x,
        y=y,
        x_mean=mean[features],
        x_scale=scale[features],
        y_mean=float(mean[where]),
        y_scale=float(scale[where]),
    )


def _check_rank(file: str, x: np.ndarray, columns: list[str]) -> None:
    _, singular, right = np.linalg.svd(x, full_matrices=False)
    if singular[-1] > 1e-7 * singular[0]:
        return
    weights = np.abs(right[-1])
    involved = [name for name, weight in zip(columns, weights, strict=True) if weight > 1e-3]
    names = ", ".join(repr(name) for name in involved[:6])
    more = f" and {len(involved) - 6} more" if len(involved) > 6 else ""
    raise ValueError(
        f"{file}: the columns {names}{more} are collinear, so that no single least-squares "
        "solution exists: drop one of them."
    )


def _no_target(target: str, header: list[str]) -> str:
    by_lower = {name.lower(): name for name in header}
    near = difflib.get_close_matches(target.lower(), by_lower, n=3, cutoff=0.5)
    if near:
        names = " or ".join(repr(by_lower[name]) for name in near)
        return f"`target`: no column is called {target!r}: did you mean {names}?"
    names = ", ".join(repr(name) for name in header[:8])
    more = f" and {len(header) - 8} more" if len(header) > 8 else ""
    return f"`target`: no column is called {target!r}: the columns are {names}{more}."
