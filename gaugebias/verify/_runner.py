"""Runs cases, alone or side by side, and writes what is known at every step."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import replace_text, writable_folder
from .._versions import versions
from ..distributed._bus import ProcessLost, connected
from ._attempt import Known, Message, Settings, attempt
from ._case import Case, Outcome
from ._progress import Meter
from ._report import Judged, exit_code, header, power_of, rich_table, row_dict
from ._together import help_with, lead
from ._workers import can_travel, run_in_workers

if TYPE_CHECKING:
    from rich.console import Console

_RECORD = "verdicts.json"


@dataclasses.dataclass(frozen=True)
class Report:
    """A finished or interrupted run."""

    outcomes: tuple[Outcome, ...]
    settings: Mapping[str, Any]
    interrupted: bool = False
    complete: bool = True
    lost: str | None = None  # which process of several, if one was

    @property
    def judged(self) -> tuple[Judged, ...]:
        """All rows of the run with their verdicts."""
        return tuple(each for outcome in self.outcomes for each in outcome.judged)

    @property
    def errors(self) -> tuple[str, ...]:
        """One sentence for each case that could not be run, and for a process that was lost."""
        found = [f"{o.case.name}: {o.error}" for o in self.outcomes if o.error is not None]
        if self.lost is not None:
            found.append(f"{self.lost}; what was finished is kept")
        return tuple(found)

    @property
    def exit_code(self) -> int:
        """0 all as expected, 1 a verdict differs, 2 a case failed, 3 undecided, 130 interrupted."""
        return 130 if self.interrupted else exit_code(self.judged, len(self.errors))

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON."""
        power = power_of(self.judged)
        return {
            "complete": self.complete and not self.interrupted and self.lost is None,
            "interrupted": self.interrupted,
            "exit_code": self.exit_code,
            "settings": dict(self.settings),
            "versions": versions(),
            "tests": dict(power.tests),
            "false_alarm_rate": power.false_alarm,
            "ks_distance_seen_with_99_percent_power": power.distance,
            "cases": [
                {
                    "name": o.case.name,
                    "title": o.case.title,
                    "status": o.status,
                    "seconds": round(o.seconds, 2),
                    "chains": o.chains,
                    "figure": o.figure,
                    "notes": list(o.notes),
                    "error": o.error,
                    "rows": [row_dict(each) for each in o.judged],
                }
                for o in self.outcomes
            ],
        }

    def print(self, console: "Console") -> None:
        """The header, the table, and what needs saying about rows and cases."""
        console.print(header(power_of(self.judged)), highlight=False, markup=False)
        console.print(rich_table(self.judged))
        for each in self.judged:
            if not each.as_expected and each.row.detail:
                row = each.row
                text = f"{each.verdict}: {row.case}, {row.dynamics}, {row.law}: {row.detail}"
                console.print(text, highlight=False, markup=False)
        for outcome in self.outcomes:
            for note in outcome.notes:
                console.print(f"{outcome.case.name}: {note}", highlight=False, markup=False)


def run_cases(
    cases: Sequence[Case],
    *,
    out: str | Path,
    seed: int = 0,
    chains: int | None = None,
    quick: bool = False,
    x64: bool = True,
    workers: int = 1,
    distributed: bool = False,
    settings: Mapping[str, Any] | None = None,
    progress_console: "Console | None" = None,
) -> Report:
    """Run `cases` and write `verdicts.json` and a figure a case into the folder `out`.

    An expected law that fails at 1e-3 sends its case through a second attempt with a fresh key,
    twice the chains and half the step. A case that raises is recorded as an error (with its
    traceback in a file beside it) and the others go on; Ctrl-C ends the run. In each event
    everything known so far is in `out`: files are replaced whole, after every attempt. The record
    of an earlier run is kept as `verdicts.previous.json`. Results do not depend on `workers`.

    **Arguments:** `chains` overrides the number of every case; `workers` is the number of
    processes that run cases side by side (cases made of local functions run in this one);
    with `distributed` the processes of [`gaugebias.distributed.initialize`][] share the cases: this
    is process 0, and the others call [`gaugebias.verify.help_run_cases`][];
    `settings` are recorded; `progress_console` is a rich console for the progress bar, or `None`
    for silence.

    **Returns:** a `Report`. Raises `ValueError` before any work when `cases` is empty or `out`
    cannot be written.
    """
    if not cases:
        raise ValueError("`cases` is empty: there is nothing to run.")
    if workers < 1:
        raise ValueError(f"`workers` is {workers}: at least one process must run the cases.")
    folder = writable_folder(out)
    record = folder / _RECORD
    if record.exists():
        os.replace(record, folder / "verdicts.previous.json")
    recorded = {"seed": seed, "chains": chains, "quick": quick, "x64": x64, **(settings or {})}
    shared = Settings(folder, seed, chains, quick, x64)
    known: dict[str, Outcome] = {}

    def save(**flags: Any) -> Report:
        ordered = tuple(known[case.name] for case in cases if case.name in known)
        report = Report(ordered, recorded, **flags)
        replace_text(record, json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
        return report

    with Meter(progress_console, len(cases)) as meter:

        def tell(message: Message) -> None:
            if isinstance(message, Known):
                known[message.outcome.case.name] = message.outcome
                save(complete=False)
            meter.tell(message)

        def finished(outcome: Outcome) -> None:
            known[outcome.case.name] = outcome
            if outcome.status != "interrupted":
                meter.finish(outcome)
                save(complete=False)

        bus, missing = connected() if distributed else None, None
        if bus is not None:
            whole, missing = lead(bus, cases, shared, tell, finished)
        elif min(workers, len(cases)) > 1 and can_travel(cases):
            whole = run_in_workers(cases, shared, workers, tell, finished)
        else:
            whole = True
            for case in cases:
                outcome = attempt(case, shared, tell)
                finished(outcome)
                if outcome.status == "interrupted":
                    whole = False
                    break
    if missing is not None:
        return save(lost=missing)
    report = save() if whole else save(interrupted=True)
    if bus is not None and whole:
        try:
            bus.gather("end of verify", str(report.exit_code).encode())
        except ProcessLost as error:
            return save(lost=str(error))
    return report


def help_run_cases(
    cases: Sequence[Case],
    *,
    seed: int = 0,
    chains: int | None = None,
    quick: bool = False,
    x64: bool = True,
) -> int:
    """The part of the other processes in `run_cases(..., distributed=True)` of process 0.

    **Returns:** the exit code of the run. Raises [`gaugebias.distributed.ProcessLost`][] where a
    process of the run is lost, `ValueError` where process 0 was given other options.
    """
    bus = connected()
    if bus is None:
        raise ValueError("`distributed`: this is the only process: call `run_cases`.")
    return help_with(bus, cases, Settings(Path(), seed, chains, quick, x64))
