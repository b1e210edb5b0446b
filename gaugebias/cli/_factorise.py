"""`gaugebias factorise`: a table as a mixture of components, and how far they can move."""

import contextlib
import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ._factorise_report import Solution, print_solution
from ._options import parse

if TYPE_CHECKING:
    from ..factor import CountTable, Fit

_DESCRIPTION = """Write a table of counts as a mixture of K components (latent budgets, end \
members, topics, latent classes or non-negative factors), and say whether it is the only one and, \
if not, how far every share can move while the fitted table stays the same. The first column holds \
row names, the first line column names. Tables and figures go into the folder of --out.

Examples:
  gaugebias factorise budgets.csv --components 3
  gaugebias factorise sediments.csv --components 3 --model ema --identify outer
  gaugebias factorise budgets.csv --components 3 --json

Exit codes: 0 the question of uniqueness is answered, 2 bad input, 3 it is undecided or no start \
converged, 130 interrupted."""

_SOLVERS = {
    "lba": "em",
    "plsa": "em",
    "lca": "em",
    "ema": "end-members",
    "nmf": "nmf",
}

_TABLES = ("columns.csv", "rows.csv", "starts.csv")
_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Options:
    file: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help_behavior_hint="")
    ]
    """The table, comma-separated."""
    components: Annotated[int, tyro.conf.arg(metavar="K", help_behavior_hint="(required)")]
    """Number of components."""
    model: Literal["lba", "ema", "plsa", "lca", "nmf"] = "lba"
    """Latent budgets, end members, topics, latent classes, non-negative factors: one model in five
    notations."""
    solver: Annotated[
        Literal["em", "least-squares", "minimum-volume", "end-members", "nmf", "nmf-kl"] | None,
        tyro.conf.arg(
            metavar="{em,least-squares,minimum-volume,end-members,nmf,nmf-kl}",
            help_behavior_hint="",
        ),
    ] = None
    """How to fit: by default em for lba, plsa and lca, end-members for ema, nmf for nmf."""
    identify: Literal["none", "inner", "outer", "minimum-volume"] = "inner"
    """Which of the solutions with the same fitted table to show."""
    starts: int = 20
    """Random starts of the solver."""
    seed: int = 0
    """Seed of the starts and of the walk through the solutions."""
    out: Path = Path("gaugebias-factors")
    """Folder for the tables and figures; made if it does not exist."""
    json: _Flag = False
    """Print one JSON object instead of text: what summary.json holds, and the tables."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, fit, print and write; return the exit code."""
    options = parse(Options, argv, prog="gaugebias factorise", description=_DESCRIPTION)
    _check(options)
    import jax
    from rich.console import Console

    from .._files import writable_folder
    from ..factor import identify, load_counts, uniqueness
    from ..factor._counts import check_components

    table = load_counts(options.file)
    check_components(table, options.components)
    folder = writable_folder(options.out)
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        with _working(f"fitting from {options.starts} starts"):
            fit = _fit(options, table)
        found, chosen = fit.factorisation, None
        if options.identify != "none":
            with _working(f"looking for the {options.identify} solution"):
                chosen = identify(found, options.identify, seed=options.seed)
            found = chosen.factorisation
        with _working("testing whether it is the only one"):
            answer = uniqueness(found, fit, seed=options.seed)
    finally:
        jax.config.update("jax_enable_x64", before)
    solution = Solution(table, options.model, fit, found, chosen, answer)
    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    if not options.json:
        print_solution(console, solution)
    summary = {**_settings(options), **solution.summary()}
    _write(folder, solution, summary)
    converged = (fit.results[fit.agreeing] == 0).any()
    code = 0 if converged and answer.verdict != "undecided" else 3
    if options.json:
        tables = {name.removesuffix(".csv"): t for name, t in solution.tables().items()}
        said = {"exit_code": code, **summary, "tables": tables}
        print(json.dumps(said, indent=1, allow_nan=False))
    else:
        console.print(f"Tables and figures: {folder}", highlight=False, markup=False)
    return code


def _working(text: str) -> Any:
    """A line with a moving mark on a terminal, while the work lasts; nothing elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        return contextlib.nullcontext()
    return console.status(f"gaugebias factorise: {text}")


def _check(options: Options) -> None:
    for name in ("file", "out"):
        if str(getattr(options, name)) == ".":
            what = "a file" if name == "file" else "a folder of its own"
            raise ValueError(f"`{name}` is the current folder: name {what}.")
    written = options.out / options.file.name
    if options.file.name in _TABLES and written.exists() and written.samefile(options.file):
        raise ValueError(
            f"`out`: the tables written there would replace {str(options.file)!r}: choose another "
            "folder."
        )
    if options.starts < 1:
        raise ValueError(f"`starts` is {options.starts}: give a whole number of at least 1.")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"`seed` is {options.seed}: give an integer from 0 to 4294967295.")


def _fit(options: Options, table: "CountTable") -> "Fit":
    import jax

    from .. import factor

    solvers: dict[str, Any] = {
        "em": factor.expectation_maximisation,
        "least-squares": factor.alternating_least_squares,
        "minimum-volume": factor.minimum_volume,
        "end-members": factor.end_member_analysis,
        "nmf": factor.nonnegative,
        "nmf-kl": lambda *args, **kw: factor.nonnegative(*args, **kw, loss="kullback-leibler"),
    }
    solve = solvers[options.solver or _SOLVERS[options.model]]
    key = jax.random.key(options.seed)
    return solve(table, options.components, key=key, starts=options.starts)


def _settings(options: Options) -> dict[str, Any]:
    return {
        "file": str(options.file),
        "components": options.components,
        "model": options.model,
        "identify": options.identify,
        "starts": options.starts,
        "seed": options.seed,
    }


def _write(folder: Path, solution: Solution, summary: dict[str, Any]) -> None:
    from .._files import replace_text, written_whole

    for name, lines in solution.tables().items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        replace_text(folder / name, text.getvalue())
    whole = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    replace_text(folder / "summary.json", whole)
    for name, draw in solution.figures().items():
        with written_whole(folder / name) as part:
            _page(draw).savefig(part, format="png", dpi=160)


def _page(draw: Any) -> Any:
    """The figure that `draw(ax)` fills, not registered with pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size, fill = draw
    page = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(page)
    fill(page.subplots())
    return page
