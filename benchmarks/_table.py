"""Rows of all benchmarks as one table.

A row has a `problem`, a `path` and a figure `value` in `unit`, where timed with quartiles
`value_low` and `value_high`; a `ratio` with its quartiles `of` something, of which less or more is
`better`; `peer` where it is not this library's; or `absent` where it cannot be measured.
"""

from typing import Any

Row = dict[str, Any]


def spread(row: Row, name: str) -> float | None:
    """Interquartile range over the median, or `None` where it was measured once."""
    low, middle, high = (row.get(key) for key in (f"{name}_low", name, f"{name}_high"))
    if low is None or high is None or not middle:
        return None
    return (high - low) / abs(middle)


def text(section: str, rows: list[Row]) -> str:
    """The rows of one benchmark; spreads are interquartile ranges over medians."""
    lines = [f"{section:16} {'path':34} {'figure':>10} {'':20} {'spread':>6} {'ratio':>9} spread"]
    for row in rows:
        head = f"{row['problem']:16} {row['path']:34}"
        if row.get("absent"):
            lines.append(f"{head} {'absent':>10}")
            continue
        line = head
        if "value" in row:
            line += f" {row['value']:10.5g} {row['unit']:20} {_percent(spread(row, 'value')):>6}"
        else:
            line += f" {'':10} {'':20} {'':6}"
        if "ratio" in row:
            line += f" {row['ratio']:9.4g} {_percent(spread(row, 'ratio')):>6} of {row['of']}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _percent(number: float | None) -> str:
    return "" if number is None else f"{100 * number:.0f}%"
