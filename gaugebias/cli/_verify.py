"""`gaugebias verify`: which law does the simulated process follow?"""

import dataclasses
import difflib
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._options import parse

if TYPE_CHECKING:
    from ..verify import Case

_DESCRIPTION = """Simulate each case and say which law (isotropic push-forward, projected noise, \
horizontal noise, slice-conditioned) the process follows. Prints one table and writes a figure a \
case and verdicts.json into the folder of --out.

Examples:
  gaugebias verify --quick --json
  gaugebias verify --csv houses.csv --target price --depth 3
  srun --ntasks=8 gaugebias verify --distributed

Exit codes: 0 all as expected, 1 a verdict differs, 2 bad input, 3 undecided, 130 interrupted."""

_KIND = {"out": "folder of its own", "csv": "file"}
_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]


def _optional(constructor: Any, metavar: str) -> Any:
    """An option that is absent by default: the help line says what happens then."""
    return tyro.conf.arg(constructor=constructor, metavar=metavar, help_behavior_hint="")


@dataclasses.dataclass(frozen=True)
class Options:
    cases: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="", metavar="NAME ...")] = ()
    """Names of the cases to run (all by default); --list shows them."""
    chains: Annotated[int | None, _optional(int, "INT")] = None
    """Number of independent chains, for every case (each has its own by default)."""
    quick: _Flag = False
    """Fewer chains and shorter runs: a rough answer."""
    seed: int = 0
    """Seed of every random number of the run."""
    x64: bool = True
    """Compute in float64."""
    out: Path = Path("gaugebias-report")
    """Folder for the figures and verdicts.json; made if it does not exist."""
    csv: Annotated[Path | None, _optional(Path, "FILE")] = None
    """Your own regression table instead of the built-in cases; needs --target."""
    target: Annotated[str | None, _optional(str, "COLUMN")] = None
    """The column of the table to predict by all the others."""
    depth: Annotated[int | None, _optional(int, "N")] = None
    """Number of factors of the Hadamard parametrisation of the table's coefficients (default 2)."""
    temperature: Annotated[float | None, _optional(float, "T")] = None
    """Temperature of the noise in the table's case (default 0.01)."""
    workers: Annotated[int | None, _optional(int, "N")] = None
    """Processes that run cases side by side (default 2, on an accelerator or one core 1)."""
    distributed: Annotated[
        tuple[int, ...] | None, tyro.conf.arg(help_behavior_hint="", metavar="[N]")
    ] = None
    """Share the cases between processes, of many hosts: start the same command in each under \
SLURM, Open MPI, on a TPU pod, or with the next three options. With a number: start N here."""
    coordinator_address: Annotated[str | None, _optional(str, "HOST:PORT")] = None
    """Where process 0 is, for --distributed (or JAX_COORDINATOR_ADDRESS)."""
    num_processes: Annotated[int | None, _optional(int, "N")] = None
    """How many processes there are (or JAX_NUM_PROCESSES)."""
    process_id: Annotated[int | None, _optional(int, "I")] = None
    """The number of this process, from 0 (or JAX_PROCESS_ID)."""
    list: _Flag = False
    """Show the names of the cases and stop."""
    json: _Flag = False
    """Print one JSON object instead of the table: what verdicts.json holds."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, run the cases and return the exit code."""
    options = parse(Options, argv, prog="gaugebias verify", description=_DESCRIPTION)
    if "--cases" in argv and not any(word.strip(",") for word in options.cases):
        raise ValueError("`cases` names none: give one or more, or leave the option out for all.")
    _check(options)
    from rich.console import Console

    # Results go to stdout; tables are not squeezed where there is no terminal to fit.
    stdout = Console()
    if not stdout.is_terminal:
        stdout = Console(width=160)
    if options.list:
        from ..verify import cases

        known = cases()
        if options.json:
            listed = [{"name": case.name, "title": case.title} for case in known]
            print(json.dumps({"cases": listed}, indent=1))
            return 0
        width = max((len(case.name) for case in known), default=0)
        for case in known:
            stdout.print(f"{case.name:<{width}}  {case.title}", highlight=False, markup=False)
        return 0

    import jax

    jax.config.update("jax_enable_x64", options.x64)
    if options.distributed == (1,) and _local(options):
        options = dataclasses.replace(options, distributed=None)  # nothing to share
    if options.distributed is not None:
        if _local(options):
            return _launch(argv, options)
        from ..distributed import initialize

        number = options.distributed[0] if options.distributed else options.num_processes
        initialize(options.coordinator_address, number, options.process_id)
    chosen = _chosen(options)
    if options.distributed is not None and jax.process_index() > 0:
        return _help(options, chosen)
    from ..distributed import ProcessLost
    from ..verify import run_cases

    stderr = Console(stderr=True)
    try:
        report = run_cases(
            chosen,
            out=options.out,
            seed=options.seed,
            chains=options.chains,
            quick=options.quick,
            x64=options.x64,
            workers=_default_workers() if options.workers is None else options.workers,
            distributed=options.distributed is not None,
            settings={
                "csv": None if options.csv is None else str(options.csv),
                "target": options.target,
                "depth": options.depth,
                "temperature": options.temperature,
            },
            progress_console=stderr,
        )
    except ProcessLost as error:  # before there was anything to report
        stderr.print(f"gaugebias verify: {error}", highlight=False, markup=False, soft_wrap=True)
        return 2
    if options.json:
        print(json.dumps(report.to_dict(), indent=1, allow_nan=False))
    else:
        report.print(stdout)
        stdout.print(f"Figures and verdicts.json: {options.out}", highlight=False, markup=False)
    for error in report.errors:
        stderr.print(f"gaugebias verify: {error}", highlight=False, markup=False, soft_wrap=True)
    if report.interrupted:
        stderr.print("gaugebias verify: interrupted; what was finished is kept", highlight=False)
    return report.exit_code


def _local(options: Options) -> bool:
    """Whether the processes asked for are to be started here."""
    address = options.coordinator_address or os.environ.get("JAX_COORDINATOR_ADDRESS")
    return bool(options.distributed) and address is None


def _launch(argv: Sequence[str], options: Options) -> int:
    """The same command in several processes of this host."""
    from ..distributed._bus import GRACE, TIMEOUT
    from ..distributed._launch import launch

    def command(address: str, index: int) -> list[str]:
        where = ["--coordinator-address", address, "--process-id", str(index)]
        return [sys.executable, "-m", "gaugebias.cli", "verify", *argv, *where]

    assert options.distributed
    return launch(options.distributed[0], command, TIMEOUT + GRACE)


def _help(options: Options, chosen: "tuple[Case, ...]") -> int:
    """The part of the processes that are not process 0, which says all there is to say."""
    from ..distributed import ProcessLost
    from ..verify import help_run_cases

    try:
        return help_run_cases(
            chosen,
            seed=options.seed,
            chains=options.chains,
            quick=options.quick,
            x64=options.x64,
        )
    except ProcessLost as error:
        print(f"gaugebias verify: {error}", file=sys.stderr)
        return 2


def _default_workers() -> int:
    """Two processes where there are two cores; an accelerator is not shared."""
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 2 if (cores or 1) > 1 and jax.default_backend() == "cpu" else 1


def _check(options: Options) -> None:
    for name in ("out", "csv"):
        if str(getattr(options, name)) == "." and getattr(options, name) is not None:
            raise ValueError(f"`{name}` is the current folder: name a {_KIND[name]}.")
    if options.chains is not None and options.chains < 64:
        raise ValueError(f"`chains` is {options.chains}: no verdict is possible below 64.")
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"`workers` is {options.workers}: at least one process must run cases.")
    if options.distributed is None:
        for name in ("coordinator_address", "num_processes", "process_id"):
            if getattr(options, name) is not None:
                raise ValueError(f"`{name}` belongs to several processes: give `distributed` too.")
    elif len(options.distributed) > 1 or any(n < 1 for n in options.distributed):
        raise ValueError("`distributed` is one number of processes, at least 1, or none.")
    elif options.distributed and options.num_processes not in (None, *options.distributed):
        raise ValueError(
            f"`distributed` says {options.distributed[0]} processes and `num_processes` "
            f"{options.num_processes}: give one of them."
        )
    elif options.workers is not None:
        raise ValueError("`workers` and `distributed` exclude each other: choose one.")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"`seed` is {options.seed}: give an integer from 0 to 4294967295.")
    if options.csv is None:
        for name in ("target", "depth", "temperature"):
            if getattr(options, name) is not None:
                raise ValueError(f"`{name}` belongs to a table: give `csv` too.")
        return
    if options.target is None:
        raise ValueError("`target` is missing: name the column of `csv` to predict.")
    if options.cases:
        raise ValueError("`cases` and `csv` exclude each other: run the command twice.")
    if options.depth is not None and options.depth < 2:
        raise ValueError(f"`depth` is {options.depth}: a product has at least 2 factors.")
    temperature = options.temperature
    if temperature is not None and not (math.isfinite(temperature) and temperature >= 1e-12):
        raise ValueError(f"`temperature` is {temperature}: give a number of at least 1e-12.")


def _chosen(options: Options) -> "tuple[Case, ...]":
    from ..verify import cases, csv_case, load_table

    if options.csv is not None and options.target is not None:
        table = load_table(options.csv, options.target)
        depth = 2 if options.depth is None else options.depth
        temperature = 0.01 if options.temperature is None else options.temperature
        return (csv_case(table, depth, temperature),)
    known = {case.name: case for case in cases()}
    names = [name for word in options.cases for name in word.split(",") if name]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean {near[0]!r}?" if near else "`--list` shows the names."
            raise ValueError(f"`cases`: there is no case {name!r}: {cure}")
    return tuple(case for name, case in known.items() if name in names or not names)
