"""`gaugebias reproduce`: the claims of a publication, measured."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._options import parse

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..papers import Claim, Publication

_DESCRIPTION = """Run the experiments of publications again, with controls, and say of each claim \
whether the numbers support it. Prints a table and writes NAME/claims.json and NAME/figure.png \
into the folder of --out.

Examples:
  gaugebias reproduce --list
  gaugebias reproduce deep-matrix-factorisation --quick
  gaugebias reproduce --all --quick --json
  gaugebias reproduce nonnegative-factorisation --set table=time_budget.csv --set starts=40

Exit codes: 0 all verdicts as expected, 1 one differs, 2 bad input, 3 undecided, 130 interrupted."""

_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]
_WIDTH = 130


@dataclasses.dataclass(frozen=True)
class Options:
    publications: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[NAME ...]", help_behavior_hint=""),
    ] = ()
    """Names of the publications to run; --list shows them."""
    all: _Flag = False
    """Run every publication."""
    quick: _Flag = False
    """A smaller version of each."""
    seed: int = 0
    """Seed of every random number of the run."""
    set: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="NAME=VALUE", help_behavior_hint=""),
    ] = ()
    """A setting of the publication to change, as its `Settings` calls it; may be given again. The
    claims then are about those settings, and need not hold for all of them."""
    out: Path = Path("gaugebias-reproduced")
    """Folder for the claims and figures; made if it does not exist."""
    list: _Flag = False
    """Show the names with their expected run times and stop."""
    json: _Flag = False
    """Print one JSON object instead of tables: what the `claims.json` of each holds."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, run the publications and return the exit code."""
    options = parse(Options, argv, prog="gaugebias reproduce", description=_DESCRIPTION)
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"`seed` is {options.seed}: give an integer from 0 to 4294967295.")
    if str(options.out) == ".":
        raise ValueError("`out` is the current folder: name a folder of its own.")
    from rich.console import Console

    from .. import papers

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    if options.list and options.json:
        known = [dataclasses.asdict(each) for each in papers.publications()]
        print(json.dumps({"publications": known}, indent=1))
        return 0
    if options.list:
        _print_list(console, papers.publications())
        return 0
    chosen = _chosen(options, papers)
    return _reproduce(chosen, options, console)


def _chosen(options: Options, papers: Any) -> "tuple[Publication, ...]":
    known = {each.name: each for each in papers.publications()}
    if options.all and options.publications:
        raise ValueError("`all` and names exclude each other: give one of them.")
    if options.set and (options.all or len(set(options.publications)) > 1):
        raise ValueError("`set` changes the settings of one publication: name that one alone.")
    if options.all:
        return tuple(known.values())
    if not options.publications:
        raise ValueError(f"name a publication, or give `--all`: there is {', '.join(known)}.")
    for name in options.publications:
        if name not in known:
            papers.load(name)  # says which name is near
    return tuple(each for name, each in known.items() if name in options.publications)


def _reproduce(chosen: "tuple[Publication, ...]", options: Options, console: "Console") -> int:
    import jax
    from rich.console import Console

    from ..papers import exit_code, reproduce

    jax.config.update("jax_enable_x64", True)
    stderr = Console(stderr=True)
    rows: list[Claim] = []
    records: list[Any] = []
    errors: list[str] = []
    interrupted = False
    for publication in chosen:
        try:
            with _Progress(stderr, publication.name) as progress:
                done = reproduce(
                    publication,
                    out=options.out,
                    seed=options.seed,
                    quick=options.quick,
                    options=options.set,
                    progress=progress.tell,
                )
        except KeyboardInterrupt:
            said = "gaugebias reproduce: interrupted; what was finished is kept"
            stderr.print(said, highlight=False, markup=False, soft_wrap=True)
            interrupted = True
            break
        except (ValueError, OSError) as error:
            # The others still run; what they find is kept.
            errors.append(f"{publication.name}: {' '.join(str(error).split())}")
            said = f"gaugebias reproduce: {errors[-1]}"
            stderr.print(said, highlight=False, markup=False, soft_wrap=True)
            continue
        rows += done.rows
        records.append(done.record)
        if options.json:
            continue
        text = f"{publication.title} ({publication.arxiv}), {done.seconds:.0f} s"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        console.print(_table(done.rows), markup=False, highlight=False)
        folder = options.out / publication.name
        console.print(f"claims.json and figure.png: {folder}", highlight=False, markup=False)
    code = 130 if interrupted else 2 if errors else exit_code(rows)
    if options.json:
        run = {"exit_code": code, "publications": records, "errors": errors}
        print(json.dumps(run, indent=1, allow_nan=False))
    return code


def _table(rows: "Sequence[Claim]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("claim", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("measured", ratio=2)
    table.add_column("statement", ratio=3)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        verdict = row.verdict
        if not row.as_expected:
            verdict += " (!)"
        table.add_row(row.name, row.kind, row.measured, row.statement, verdict)
    return table


def _print_list(console: "Console", publications: "Sequence[Publication]") -> None:
    width = max((len(each.name) for each in publications), default=0)
    for each in publications:
        times = f"{each.seconds:.0f} s, --quick {each.quick_seconds:.0f} s"
        line = f"{each.name:<{width}}  {each.arxiv}  {times}  {each.title}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print("Times on two busy cores, with compilation.", highlight=False, markup=False)


class _Progress:
    """A bar on a terminal; elsewhere a line for each new stage."""

    def __init__(self, console: "Console", name: str) -> None:
        self.console, self.name, self.last = console, name, ""
        self.bar: Any = None

    def __enter__(self) -> "_Progress":
        if self.console.is_terminal:
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=1.0)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def tell(self, text: str, fraction: float) -> None:
        """What is being done, and the part of the whole that is behind."""
        line = f"{self.name}: {text}"
        if self.bar is not None:
            self.bar.update(self.task, description=line, completed=fraction)
        elif line != self.last:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self.last = line
