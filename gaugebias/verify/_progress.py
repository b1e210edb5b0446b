"""A bar for the run and one for each case under way; a line a case where there is no terminal."""

from typing import TYPE_CHECKING, Any

from ._attempt import Message, Reached, Started
from ._case import Outcome

if TYPE_CHECKING:
    from rich.console import Console


class Meter:
    """What is under way, on a rich console or (`None`) nowhere."""

    def __init__(self, console: "Console | None", total: int) -> None:
        self.console, self.total, self.done = console, total, 0
        self.bars: Any = None
        self.fractions: dict[str, float] = {}
        self.tasks: dict[str, Any] = {}
        self.titles: dict[str, str] = {}

    def __enter__(self) -> "Meter":
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
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def tell(self, message: Message) -> None:
        """Show what a message says."""
        if isinstance(message, Started):
            name = message.name
            self.titles[name] = f"{name} (second run)" if message.second else name
            if message.second:
                self._print(
                    f"{name}: an expected law failed; running it again with twice the chains and "
                    "half the step"
                )
            self._show(name, "starting", 0.0)
        elif isinstance(message, Reached):
            self._show(message.name, message.text, message.fraction)

    def finish(self, outcome: Outcome) -> None:
        """A case is over."""
        self.done += 1
        self.fractions.pop(outcome.case.name, None)
        task = self.tasks.pop(outcome.case.name, None)
        if self.bars is not None:
            if task is not None:
                self.bars.remove_task(task)
            self.bars.update(self.all, completed=self.done + sum(self.fractions.values()))
        self._print(
            f"[{self.done}/{self.total}] {outcome.case.name}: {outcome.status} in "
            f"{outcome.seconds:.0f} s"
        )

    def _show(self, name: str, text: str, fraction: float) -> None:
        fraction = min(max(fraction, 0.0), 1.0)
        self.fractions[name] = fraction
        if self.bars is None:
            return
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task("", total=1.0)
        description = f"{self.titles.get(name, name)}: {text}"
        self.bars.update(self.tasks[name], description=description, completed=fraction)
        self.bars.update(self.all, completed=self.done + sum(self.fractions.values()))

    def _print(self, text: str) -> None:
        if self.console is not None:
            self.console.print(text, highlight=False, markup=False)
