"""Tables whose factorisations are known, and two published ones."""

import itertools

import numpy as np

from ...factor import CountTable, Factorisation, load_counts

HEALTH = CountTable(
    [[448, 369], [1789, 1753], [636, 859], [177, 237], [39, 64]],
    ("very good", "good", "regular", "bad", "very bad"),
    ("male", "female"),
    name="self-assessed health",
)
"""Self-assessed health of men and women (Greenacre, Biplots in Practice, Exhibit 16.1)."""

KINDS: dict[str, bool] = {"separable": True, "scattered": True, "half": False, "open": False}
"""Kind of a known table -> whether its factorisation is unique.

"separable": pure rows and anchor columns; "scattered": rows and columns on hexagons that reach out
beyond the inscribed cone, with none pure; "half": the rows of "scattered", and columns without any
zero; "open": no zeros anywhere.
"""

BUDGETS = {
    "shape": (30, 18),
    "total": 302390.0,
    "deviance": (63459.9, 26378.9, 10331.2, 3398.9),
    "dissimilarity": (0.130, 0.086, 0.051, 0.029),
    "degrees": (493, 448, 405, 364),
}
"""The time-budget table of 2512.22282, and maximum-likelihood fits of 1 to 4 components to it.

Independent fits of our own: the publication's printed tables were not available.
"""


def known(
    kind: str, rows: int, columns: int, total: int, rng: np.random.Generator
) -> Factorisation:
    """A random factorisation of one of `KINDS`, three components."""
    mixing, basis = _KINDS[kind](rows, columns, rng)
    return Factorisation(mixing, basis, np.full(rows, float(total)))


def _hexagon(alpha: float) -> np.ndarray:
    """(alpha, 1 - alpha, 0) in all orders: scattered from alpha > 2/3."""
    return np.array(sorted(set(itertools.permutations((alpha, 1.0 - alpha, 0.0)))))


def _scattered_rows(size: int, rng: np.random.Generator) -> np.ndarray:
    inside = 0.7 * rng.dirichlet(np.ones(3), size - 6) + 0.1
    return np.concatenate([_hexagon(rng.uniform(0.75, 0.9)), inside])


def _open_columns(size: int, rng: np.random.Generator) -> np.ndarray:
    return 0.9 * rng.dirichlet(np.full(size, 0.4), 3) + 0.1 / size


def _separable(rows: int, columns: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    mixing = np.concatenate([np.eye(3), rng.dirichlet(np.full(3, 0.7), rows - 3)])
    rest = 0.6 * rng.dirichlet(np.ones(columns - 3), 3)
    return mixing, np.concatenate([0.4 * np.eye(3), rest], axis=1)


def _scattered(rows: int, columns: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    # The same points in all cyclic orders, so that every component has the same sum.
    turns = (rng.dirichlet(np.ones(3)) for _ in range((columns - 6) // 3))
    points = [0.7 * np.roll(point, i) + 0.1 for point in turns for i in range(3)]
    centre = np.full(((columns - 6) % 3, 3), 1.0 / 3.0)
    points = np.concatenate([_hexagon(rng.uniform(0.75, 0.9)), np.reshape(points, (-1, 3)), centre])
    return _scattered_rows(rows, rng), (points / points.sum(axis=0)).T


def _half(rows: int, columns: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return _scattered_rows(rows, rng), _open_columns(columns, rng)


def _open(rows: int, columns: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return 0.9 * rng.dirichlet(np.full(3, 0.5), rows) + 0.1 / 3, _open_columns(columns, rng)


_KINDS = {"separable": _separable, "scattered": _scattered, "half": _half, "open": _open}


def noisy(truth: Factorisation, rng: np.random.Generator) -> CountTable:
    """Multinomial rows with the totals and the profiles of `truth`; empty columns get a count."""
    totals = truth.row_totals.astype(int)
    counts = np.stack([rng.multinomial(n, p) for n, p in zip(totals, truth.profiles, strict=True)])
    counts[0, counts.sum(axis=0) == 0] = 1
    return CountTable(counts)


def budgets(path: str) -> CountTable:
    """The time-budget table of the publication, from the reader's own copy.

    **Raises:** `ValueError` where the file cannot be read, or holds another table.
    """
    try:
        table = load_counts(path)
    except ValueError as error:
        raise ValueError(str(error).replace("`file`", "`table`", 1)) from None
    shape, total = table.values.shape, table.total
    if shape != BUDGETS["shape"] or total != BUDGETS["total"]:
        raise ValueError(
            f"`table` is {path!r}, {shape[0]} x {shape[1]} with total {total:.10g}, not the 30 x "
            "18 time-budget table with total 302390 that the claims are about: for any other "
            "table use `gaugebias factorise`."
        )
    return table
