"""Ratios held against stored ones: what slowed, and by how much.

A ratio counts as slower where it is worse by more than `LEAST`, and by more than the two runs
scatter: `log(worse)` above the sum of both logarithmic interquartile ranges. Absolute times are
never compared: they say what else the machine did. Peers are not ours to keep fast.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._table import Row

LEAST = 1.25


@dataclass(frozen=True)
class Slower:
    """One ratio that got worse by `factor`, more than `threshold`."""

    section: str
    problem: str
    path: str
    of: str
    then: float
    now: float
    factor: float
    threshold: float

    def __str__(self) -> str:
        return (
            f"{self.section}, {self.problem}, {self.path}: {self.factor:.2f} times slower than "
            f"stored ({self.then:.4g} -> {self.now:.4g} of {self.of}; threshold "
            f"{self.threshold:.2f})"
        )


def rows_of(record: dict[str, Any]) -> Iterator[tuple[tuple[str, str, str], Row]]:
    """All rows with a ratio that is ours to keep, by section, problem and path."""
    for section, found in record.get("sections", {}).items():
        for row in found["rows"]:
            if "ratio" in row and not row.get("peer"):
                yield (section, row["problem"], row["path"]), row


def width(row: Row) -> float:
    """`log(high / low)` of the quartiles of a ratio, 0 where there are none."""
    low, high = row.get("ratio_low"), row.get("ratio_high")
    return math.log(high / low) if low and high else 0.0


def slower(now: dict[str, Any], then: dict[str, Any]) -> list[Slower]:
    """What slowed, the worst first."""
    stored, found = dict(rows_of(then)), []
    for key, row in rows_of(now):
        old = stored.get(key)
        if old is None or not (row["ratio"] > 0 and old["ratio"] > 0):
            continue
        factor = row["ratio"] / old["ratio"]
        if row.get("better", "less") == "more":
            factor = 1.0 / factor
        threshold = max(LEAST, math.exp(width(row) + width(old)))
        if factor > threshold:
            where = (*key, row.get("of", ""), old["ratio"], row["ratio"])
            found.append(Slower(*where, factor, threshold))
    return sorted(found, key=lambda each: -each.factor)


def missing(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Ratios stored of sections that ran, and not measured now."""
    ran, measured = now.get("sections", {}), {key for key, _ in rows_of(now)}
    return [", ".join(key) for key, _ in rows_of(then) if key[0] in ran and key not in measured]


def not_comparable(now: dict[str, Any], then: dict[str, Any]) -> str | None:
    """Why two records cannot be held against each other, in a sentence, or `None`."""
    if not isinstance(then.get("sections"), dict):
        return "it holds no results of the suite: write them with `--json` or `--save`."
    if then.get("quick") != now["quick"]:
        with_, run = ("with", "without") if then.get("quick") else ("without", "with")
        return f"it was made {with_} `--quick`, and this run is {run}: ratios depend on the length."
    return None
