"""What a case reports, how its rows are judged, and the table and JSON made of them."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..plot import FigureData

if TYPE_CHECKING:
    from rich.table import Table as RichTable

EXPECTED_LEVEL = 1e-3
RIVAL_LEVEL = 1e-6
ROLES = ("expected", "rival", "refusal", "report")


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison of a simulated process with a law.

    **Fields:**

    - `test`: identifies the row within its case and is the same when the case is run again.
    - `case`, `dynamics`, `law`, `reference`: the columns of the table, as text; `reference` is the
      reference measure of the law.
    - `role`: `"expected"` (the law should hold), `"rival"` (it should be rejected), `"refusal"`
      (the law should refuse to be built; `holds` says whether it did) or `"report"` (a number to
      show, without a verdict).
    - `draws`: independent draws that entered the test.
    - `statistic`, `p_value`: of the test; NaN where there is none. A NaN p-value of an expected
      law counts as a failure.
    - `detail`: one clause shown under the table when the row is not as expected.
    - `detectable`: the deviation that would have been rejected below 1e-6 with probability 0.9, in
      the units of `statistic` (that of [`gaugebias.verdicts.Row`][]), or `None`.
    - `converged`: False where the run had not forgotten its start, or cannot be judged for another
        reason (`reason` of [`gaugebias.verdicts.Row`][]): the row is then undecided.
    - `combined`: number of tests whose least p-value, times that number, is `p_value`.
    - `kind`: `"ks"` if `statistic` is a Kolmogorov-Smirnov distance: those rows make the power in
      the header.

    Raises `ValueError` for an unknown role, a p-value outside [0, 1], and a refusal without
    `holds`.
    """

    test: str
    case: str
    dynamics: str
    law: str
    reference: str
    role: str
    draws: int = 0
    statistic: float = math.nan
    p_value: float = math.nan
    detail: str = ""
    detectable: float | None = None
    holds: bool | None = None
    kind: str = "ks"
    converged: bool = True
    combined: int = 1

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"`role` is {self.role!r}: give one of {', '.join(ROLES)}.")
        if self.role == "refusal" and self.holds is None:
            raise ValueError("`holds` is missing: a refusal row says whether the law refused.")
        for name, kind in (("draws", int), ("statistic", float), ("p_value", float)):
            object.__setattr__(self, name, kind(getattr(self, name)))
        if self.detectable is not None:
            object.__setattr__(self, "detectable", float(self.detectable))
        if self.holds is not None:
            object.__setattr__(self, "holds", bool(self.holds))
        if self.p_value < 0 or self.p_value > 1:
            raise ValueError(f"`p_value` is {self.p_value}: give a probability or NaN.")


@dataclasses.dataclass(frozen=True)
class CaseResult:
    """The rows, figures and notes that one attempt at a case gives.

    `notes` are sentences printed under the table. Raises `ValueError` when two rows have the same
    `test`.
    """

    rows: tuple[Row, ...]
    figures: tuple[FigureData, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rows", "figures", "notes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        tests = [row.test for row in self.rows]
        if repeated := {test for test in tests if tests.count(test) > 1}:
            raise ValueError(f"`rows` has several tests called {min(repeated)!r}: name them apart.")


@dataclasses.dataclass(frozen=True)
class Judged:
    """A row with its verdict; `first` is the failed first attempt where there was a second."""

    row: Row
    verdict: str
    first: Row | None = None

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the one that the row's role asks for."""
        return self.verdict in ("consistent", "rejected", "refused", "reported")


def rows_of(
    verdict: Any, *, case: str, dynamics: str, expected: Collection[str]
) -> tuple[Row, ...]:
    """The rows of a [`gaugebias.verdicts.Verdict`][] as rows of a case.

    **Arguments:** `case`, `dynamics`: the columns of the table; `expected`: names of the laws that
    should hold, all the others are rivals. The test of a row is called "dynamics: law".

    Raises `ValueError` when `expected` names no row.
    """
    laws = [row.law for row in verdict.rows]
    if unknown := [name for name in expected if name not in laws]:
        raise ValueError(f"`expected` names {unknown[0]!r}, but the verdict has the laws {laws}.")
    return tuple(
        Row(
            test=f"{dynamics}: {row.law}",
            case=case,
            dynamics=dynamics,
            law=row.law,
            reference=row.reference,
            role="expected" if row.law in expected else "rival",
            draws=row.draws,
            statistic=row.statistic,
            p_value=row.p_value,
            detail=row.detail,
            detectable=row.detectable.get("distance"),
            converged=not row.reason,
            combined=len(row.tests),
        )
        for row in verdict.rows
    )


def fails(row: Row) -> bool:
    """Whether an expected law is below the level (or has no p-value at all)."""
    return row.role == "expected" and not row.p_value >= EXPECTED_LEVEL


def judge(first: CaseResult, retest: CaseResult | None = None) -> tuple[Judged, ...]:
    """Verdicts of a case, from one attempt or two.

    An expected law is *consistent* at p >= 1e-3. One that fails is judged by `retest` and
    *differs* only if it fails there too; without `retest` its verdict is `"retest"`. All other
    rows are judged by the first attempt, so that a second one cannot add false alarms: a rival is
    *rejected* below 1e-6 and else *undecided*; a refusal is *refused* or *not refused*; a report
    is *reported*.
    """
    second = {row.test: row for row in retest.rows} if retest is not None else {}
    judged = []
    for row in first.rows:
        if fails(row) and retest is None:
            judged.append(Judged(row, "retest"))
        elif fails(row):
            again = second.get(row.test)
            if again is None:
                lost = dataclasses.replace(row, detail=f"{row.detail} (not tested again)".strip())
                judged.append(Judged(lost, _again(lost), row))
            else:
                judged.append(Judged(again, _again(again), row))
        else:
            judged.append(Judged(row, _verdict(row)))
    return tuple(judged)


def _again(row: Row) -> str:
    if not row.converged:
        return "undecided"
    return "differs" if fails(row) else "consistent"


def _verdict(row: Row) -> str:
    if not row.converged:
        return "undecided"
    if row.role == "expected":
        return "consistent"
    if row.role == "rival":
        return "rejected" if row.p_value < RIVAL_LEVEL else "undecided"
    if row.role == "refusal":
        return "refused" if row.holds else "not refused"
    return "reported"


def exit_code(judged: Sequence[Judged], errors: int = 0) -> int:
    """0 all as expected, 1 a verdict differs, 2 a case could not be run, 3 undecided."""
    verdicts = {each.verdict for each in judged}
    if errors:
        return 2
    if verdicts & {"differs", "not refused", "retest"}:
        return 1
    return 3 if "undecided" in verdicts else 0


@dataclasses.dataclass(frozen=True)
class Power:
    """What a run could have got wrong and what it could have seen.

    `tests` counts rows by role; `false_alarm` is the probability that any expected law is called
    different although all of them hold; `distance` is the (smallest, largest) over the expected
    laws of the Kolmogorov-Smirnov distance that one pass sees with 99% power at level 1e-3, shared
    by the tests of the row.
    """

    tests: Mapping[str, int]
    false_alarm: float
    distance: tuple[float, float] | None


def power_of(judged: Sequence[Judged]) -> Power:
    """The `Power` of a run, from the draws of its first attempts."""
    from ..stats import ks_detectable
    from ..verdicts import family_false_alarm

    tests = {role: sum(each.row.role == role for each in judged) for role in ROLES}
    false_alarm = 0.0
    if tests["expected"]:
        false_alarm = float(family_false_alarm(tests["expected"], EXPECTED_LEVEL, EXPECTED_LEVEL))
    rows = [each.first or each.row for each in judged if each.row.role == "expected"]
    sizes = {(row.draws, row.combined) for row in rows if row.kind == "ks" and row.draws > 0}
    seen = [float(ks_detectable(n, level=EXPECTED_LEVEL / k, power=0.99)) for n, k in sizes]
    return Power(tests, false_alarm, (min(seen), max(seen)) if seen else None)


def header(power: Power) -> str:
    """The lines above the table: number of tests, false-alarm rate and power."""
    names = {"expected": "expected law", "rival": "rival", "refusal": "refusal"}
    counts = ", ".join(
        f"{count} {name}{'s' * (count != 1)}"
        for role, name in names.items()
        if (count := power.tests[role])
    )
    lines = [
        f"{sum(power.tests[role] for role in names)} tests: {counts or 'none'}.",
        f"False-alarm rate of the run: {power.false_alarm:.1g} (an expected law differs if it "
        f"fails at {EXPECTED_LEVEL:g}, and again on fresh noise with twice the chains and half the "
        "step).",
    ]
    if power.distance is not None:
        low, high = (f"{value:.2g}" for value in power.distance)
        reach = low if low == high else f"{low} to {high} (by the draws of the row)"
        lines.append(f"Power: a Kolmogorov-Smirnov distance of {reach} is seen with 99% power.")
    return "\n".join(lines)


_STYLES = {
    "consistent": "green",
    "rejected": "green",
    "refused": "green",
    "reported": "dim",
    "undecided": "yellow",
    "differs": "bold red",
    "not refused": "bold red",
    "retest": "yellow",
}


def rich_table(judged: Sequence[Judged]) -> "RichTable":
    """The table of the run, one line a row; a section ends with its case."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("case", "dynamics", "law", "reference measure"):
        table.add_column(name, overflow="fold")
    for name in ("draws", "statistic", "p-value"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for index, each in enumerate(judged):
        row = each.row
        last = index + 1 == len(judged) or judged[index + 1].row.case != row.case
        verdict = Text(each.verdict, style=_STYLES[each.verdict])
        if each.first is not None:
            verdict.append(" (second run)", style="dim")
        cells = (row.case, row.dynamics, row.law, row.reference)
        numbers = (str(row.draws) if row.draws else "-", _number(row.statistic), _p(row.p_value))
        table.add_row(*(Text(cell) for cell in (*cells, *numbers)), verdict, end_section=last)
    return table


def row_dict(judged: Judged) -> dict[str, Any]:
    """The row as JSON: numbers that are not finite become null."""
    values = {"verdict": judged.verdict, **dataclasses.asdict(judged.row)}
    if judged.first is not None:
        values["first"] = dataclasses.asdict(judged.first)
    return _finite(values)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    if value < 1e-300:
        return "<1e-300"
    return f"{value:.3f}" if value >= 1e-3 else f"{value:.0e}"
