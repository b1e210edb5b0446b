"""One case from its first attempt to its figure: run, judged, run again where a law failed."""

import dataclasses
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..distributed import ProcessLost
from ._case import Case, Context, Outcome
from ._report import CaseResult, fails, judge


class Settings(NamedTuple):
    """What the cases of a run have in common; `chains` is `None` for each case's own."""

    folder: Path
    seed: int
    chains: int | None
    quick: bool
    x64: bool


class Started(NamedTuple):
    """An attempt at a case begins."""

    name: str
    second: bool


class Reached(NamedTuple):
    """What an attempt is doing, and which fraction of it is behind."""

    name: str
    text: str
    fraction: float


class Known(NamedTuple):
    """What the first attempt found, while a second one is to follow."""

    outcome: Outcome


Message = Started | Reached | Known


def attempt(case: Case, settings: Settings, tell: Callable[[Message], None]) -> Outcome:
    """Run a case, again if an expected law failed; errors and interruptions are outcomes too."""
    progress = _Attempts(case, settings, tell)
    try:
        progress.run()
    except (KeyboardInterrupt, ProcessLost):
        return progress.outcome("interrupted")
    except Exception as error:  # noqa: BLE001 - one bad case must not lose the others
        (settings.folder / f"{case.name}-error.txt").write_text(traceback.format_exc())
        return progress.outcome("error", sentence(error))
    return progress.outcome("done")


class _Attempts:
    """The state of a case while it runs, so that an interruption can report what there is."""

    def __init__(self, case: Case, settings: Settings, tell: Callable[[Message], None]) -> None:
        self.case, self.settings, self.tell = case, settings, tell
        self.chains = settings.chains or (case.quick_chains if settings.quick else case.chains)
        self.started = time.monotonic()
        self.results: list[CaseResult] = []
        self.figure: str | None = None

    def run(self) -> None:
        self._once()
        self.tell(Known(self.outcome("done")))
        if any(fails(row) for row in self.results[0].rows):
            self._once()

    def _once(self) -> None:
        import jax

        number, name, settings = len(self.results), self.case.name, self.settings
        self.tell(Started(name, number > 0))
        key = jax.random.fold_in(jax.random.key(settings.seed), zlib.crc32(name.encode()))
        context = Context(
            key=jax.random.fold_in(key, number),
            chains=self.chains * 2**number,
            dt_scale=0.5**number,
            quick=settings.quick,
            x64=settings.x64,
            progress=lambda text, fraction: self.tell(Reached(name, text, float(fraction))),
        )
        result = self.case.run(context)
        self.results.append(result)
        if result.figures:
            from ..plot import save_case_page

            self.figure = save_case_page(result.figures, settings.folder / f"{name}.png").name

    def outcome(self, status: str, error: str | None = None) -> Outcome:
        judged = judge(*self.results) if self.results else ()
        notes = self.results[-1].notes if self.results else ()
        return Outcome(
            self.case,
            status,
            judged,
            time.monotonic() - self.started,
            self.chains,
            notes,
            self.figure,
            error,
        )


def lost(case: Case, settings: Settings, known: Outcome | None, status: str, error: str | None):
    """The outcome of a case that did not finish by itself, with what was known of it."""
    empty = _Attempts(case, settings, lambda message: None).outcome(status, error)
    return empty if known is None else dataclasses.replace(known, status=status, error=error)


def sentence(error: BaseException) -> str:
    """What an exception says, on one line; the class is named unless it is a plain refusal."""
    text = str(error).strip()
    if isinstance(error, ValueError):
        return " ".join(text.split()) or type(error).__name__
    first = text.splitlines()[0] if text else "no message"
    return f"{type(error).__name__}: {first}"
