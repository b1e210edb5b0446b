"""Runs cases one after the other, tests failures again, and writes what is known at every step."""

import dataclasses
import json
import os
import platform
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._report import (
    CaseResult,
    Judged,
    exit_code,
    fails,
    header,
    judge,
    power_of,
    rich_table,
    row_dict,
)

if TYPE_CHECKING:
    from rich.console import Console

_RECORD = "verdicts.json"
_PACKAGES = ("gaugebias", "jax", "jaxlib", "equinox", "diffrax", "numpy", "scipy", "blackjax")


@dataclasses.dataclass(frozen=True)
class Context:
    """What a case is given for one attempt.

    - `key`: its jax key; it depends on the seed, the name of the case and the attempt only.
    - `chains`: number of chains asked for (the second attempt has twice the first).
    - `dt_scale`: factor on every step size: 1.0, or 0.5 on the second attempt.
    - `quick`: whether a short run is wanted.
    - `x64`: whether float64 is on.
    - `progress(text, fraction)`: says what is being done and which fraction of the attempt, in
      [0, 1], is behind.
    """

    key: Any
    chains: int
    dt_scale: float = 1.0
    quick: bool = False
    x64: bool = True
    progress: Callable[[str, float], None] = lambda text, fraction: None

    @property
    def dtype(self) -> Any:
        """The floating dtype of the run."""
        import jax.numpy as jnp

        return jnp.float64 if self.x64 else jnp.float32


@dataclasses.dataclass(frozen=True)
class Case:
    """A named comparison: `run(context)` returns a `CaseResult`.

    `chains` and `quick_chains` are used unless the user asks for another number. Raises
    `ValueError` when `name` cannot be the name of a file.
    """

    name: str
    title: str
    run: Callable[[Context], CaseResult]
    chains: int = 4096
    quick_chains: int = 2048

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "-_" for c in self.name):
            raise ValueError(f"`name` is {self.name!r}: use letters, digits, '-' and '_' only.")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one case: `status` is "done", "error" or "interrupted"."""

    case: Case
    status: str
    judged: tuple[Judged, ...]
    seconds: float
    chains: int
    notes: tuple[str, ...] = ()
    figure: str | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """A finished or interrupted run."""

    outcomes: tuple[Outcome, ...]
    settings: Mapping[str, Any]
    interrupted: bool = False
    complete: bool = True

    @property
    def judged(self) -> tuple[Judged, ...]:
        """All rows of the run with their verdicts."""
        return tuple(each for outcome in self.outcomes for each in outcome.judged)

    @property
    def errors(self) -> tuple[str, ...]:
        """One sentence for each case that could not be run."""
        return tuple(f"{o.case.name}: {o.error}" for o in self.outcomes if o.error is not None)

    @property
    def exit_code(self) -> int:
        """0 all as expected, 1 a verdict differs, 2 a case failed, 3 undecided, 130 interrupted."""
        return 130 if self.interrupted else exit_code(self.judged, len(self.errors))

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON."""
        power = power_of(self.judged)
        return {
            "complete": self.complete and not self.interrupted,
            "interrupted": self.interrupted,
            "exit_code": self.exit_code,
            "settings": dict(self.settings),
            "versions": _versions(),
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
    settings: Mapping[str, Any] | None = None,
    progress_console: "Console | None" = None,
) -> Report:
    """Run `cases` in order and write `verdicts.json` and a figure a case into the folder `out`.

    An expected law that fails at 1e-3 sends its case through a second attempt with a fresh key,
    twice the chains and half the step. A case that raises is recorded as an error (with its
    traceback in a file beside it) and the others go on; Ctrl-C ends the run. In each event
    everything known so far is in `out`: files are replaced whole, after every attempt. The record
    of an earlier run is kept as `verdicts.previous.json`.

    **Arguments:** `chains` overrides the number of every case; `settings` are recorded;
    `progress_console` is a rich console for the progress bar, or `None` for silence.

    **Returns:** a [`Report`][]. Raises `ValueError` before any work when `cases` is empty or `out`
    cannot be written.
    """
    if not cases:
        raise ValueError("`cases` is empty: there is nothing to run.")
    folder = writable_folder(out)
    record = folder / _RECORD
    if record.exists():
        os.replace(record, folder / "verdicts.previous.json")
    recorded = {"seed": seed, "chains": chains, "quick": quick, "x64": x64, **(settings or {})}
    outcomes: list[Outcome] = []

    def save(current: Outcome | None = None, **flags: bool) -> Report:
        known = (*outcomes, current) if current is not None else tuple(outcomes)
        report = Report(known, recorded, **flags)
        _replace(record, json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
        return report

    with _Progress(progress_console, len(cases)) as meter:
        for case in cases:
            attempt = _Attempt(case, folder, seed, chains, quick, x64, meter)
            try:
                attempt.run(lambda current: save(current, complete=False))
            except KeyboardInterrupt:
                outcomes.append(attempt.outcome("interrupted"))
                return save(interrupted=True)
            except Exception as error:  # noqa: BLE001 - one bad case must not lose the others
                (folder / f"{case.name}-error.txt").write_text(traceback.format_exc())
                outcomes.append(attempt.outcome("error", sentence(error)))
            else:
                outcomes.append(attempt.outcome("done"))
            meter.finish(outcomes[-1])
            save(complete=False)
    return save()


class _Attempt:
    """The state of one case while it runs, so that an interruption can report what there is."""

    def __init__(
        self,
        case: Case,
        folder: Path,
        seed: int,
        chains: int | None,
        quick: bool,
        x64: bool,
        meter: "_Progress",
    ) -> None:
        self.case, self.folder, self.seed, self.meter = case, folder, seed, meter
        self.quick, self.x64 = quick, x64
        self.chains = chains or (case.quick_chains if quick else case.chains)
        self.started = time.monotonic()
        self.results: list[CaseResult] = []
        self.figure: str | None = None

    def run(self, save: Callable[[Outcome], Any]) -> None:
        self._once()
        save(self.outcome("done"))
        if any(fails(row) for row in self.results[0].rows):
            self._once()

    def _once(self) -> None:
        import jax

        number = len(self.results)
        key = jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(self.case.name.encode()))
        context = Context(
            key=jax.random.fold_in(key, number),
            chains=self.chains * 2**number,
            dt_scale=0.5**number,
            quick=self.quick,
            x64=self.x64,
            progress=self.meter.start(self.case, second=number > 0),
        )
        result = self.case.run(context)
        self.results.append(result)
        if result.figures:
            from ..plot import save_case_page

            self.figure = save_case_page(result.figures, self.folder / f"{self.case.name}.png").name

    def outcome(self, status: str, error: str | None = None) -> Outcome:
        judged = judge(*self.results) if self.results else ()
        notes = self.results[-1].notes if self.results else ()
        seconds = time.monotonic() - self.started
        return Outcome(self.case, status, judged, seconds, self.chains, notes, self.figure, error)


class _Progress:
    """A bar for the run and one for the current case; a line a case where there is no terminal."""

    def __init__(self, console: "Console | None", total: int) -> None:
        self.console, self.total, self.done = console, total, 0
        self.bars: Any = None

    def __enter__(self) -> "_Progress":
        if self.console is not None and self.console.is_terminal:
            from rich import progress

            self.bars = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TaskProgressColumn(),
                progress.TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self.bars.start()
            self.all = self.bars.add_task("all cases", total=float(self.total))
            self.one = self.bars.add_task("", total=1.0)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def start(self, case: Case, second: bool) -> Callable[[str, float], None]:
        name = f"{case.name} (second run)" if second else case.name

        def update(text: str, fraction: float) -> None:
            if self.bars is not None:
                fraction = min(max(float(fraction), 0.0), 1.0)
                self.bars.update(self.one, description=f"{name}: {text}", completed=fraction)
                self.bars.update(self.all, completed=self.done + fraction)

        update("starting", 0.0)
        if second and self.console is not None:
            self.console.print(
                f"{case.name}: an expected law failed; running it again with twice the chains and "
                "half the step",
                highlight=False,
                markup=False,
            )
        return update

    def finish(self, outcome: Outcome) -> None:
        self.done += 1
        if self.bars is not None:
            self.bars.update(self.all, completed=self.done)
        if self.console is not None:
            text = f"[{self.done}/{self.total}] {outcome.case.name}: {outcome.status} in "
            self.console.print(f"{text}{outcome.seconds:.0f} s", highlight=False, markup=False)


def writable_folder(out: str | Path) -> Path:
    """`out` as a folder that exists and takes files; `ValueError` saying why when it does not."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(
            f"`out`: cannot write into {str(folder)!r} ({reason}): choose another folder."
        ) from None
    return folder


def sentence(error: BaseException) -> str:
    """What an exception says, on one line; the class is named unless it is a plain refusal."""
    text = str(error).strip()
    if isinstance(error, ValueError):
        return " ".join(text.split()) or type(error).__name__
    first = text.splitlines()[0] if text else "no message"
    return f"{type(error).__name__}: {first}"


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
