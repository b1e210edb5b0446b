"""`gaugebias design`: a penalty in, a parametrisation that has it out."""

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._options import parse

if TYPE_CHECKING:
    from rich.console import Console

    from ..design import Design, Validation

_DESCRIPTION = """Design a parametrisation whose bias under noise at temperature T is a penalty R: \
the law of w is exp(-(l + R)/T) dw. Prints it (its closed form where it is recognised), simulates \
it with the loss curvature/2 |w - target|^2 and says whether the process follows the law, draws \
w(u), R and the density, and writes a module to import.

Penalties: log, l1, lp, barrier, tv, group, nuclear, schatten, with numbers as in \
"lp(p=0.5, weight=0.2, scale=0.05)", or "file.py:name", a function R(w) of one entry (the file is \
run) or a penalty made there, as gb.design.Penalty(function, lower=-5, upper=5). Weights are in \
units of the loss.

Examples:
  gaugebias design --penalty "l1(weight=0.1)" --temperature 0.1
  gaugebias design --penalty "log(weight=0.05)" --temperature 0.1 --form product
  gaugebias design --penalty my_penalty.py:penalty --temperature 0.2 --json

Exit codes: 0 the process follows the law, 1 it does not, 2 bad input, 3 undecided, 130 \
interrupted."""

_WIDTH = 100
_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Options:
    penalty: str
    """The penalty R, by name with its numbers, or FILE.py:FUNCTION."""
    temperature: float
    """The temperature T at which R is the bias."""
    form: str = "coordinate"
    """`coordinate`: one parameter a coordinate; `product`: pairs u v with a symmetry."""
    target: float = 0.5
    """Minimum of the loss the design is validated with (of every entry; 0 for matrices)."""
    curvature: float = 1.0
    """Curvature of that loss."""
    chains: int = 4096
    """Number of independent chains of the simulation."""
    seed: int = 0
    """Seed of every random number of the run."""
    unchecked: _Flag = False
    """Do not simulate."""
    out: Path = Path("gaugebias-design")
    """Folder for design.py and design.png; made if it does not exist."""
    json: _Flag = False
    """Print one JSON object instead of text."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, design, validate, write, and return the exit code."""
    options = parse(Options, argv, prog="gaugebias design", description=_DESCRIPTION)
    _check(options)
    import jax
    from rich.console import Console

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        console = Console()
        return _run(options, console if console.is_terminal else Console(width=_WIDTH))
    finally:
        jax.config.update("jax_enable_x64", before)


def _check(options: Options) -> None:
    if options.form not in ("coordinate", "product"):
        raise ValueError(f"`form` is {options.form!r}: give coordinate or product.")
    if options.chains < 64:
        raise ValueError(f"`chains` is {options.chains}: no verdict is possible below 64.")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"`seed` is {options.seed}: give an integer from 0 to 4294967295.")
    if not (math.isfinite(options.curvature) and options.curvature > 0):
        raise ValueError(f"`curvature` is {options.curvature}: give a positive number.")
    if not math.isfinite(options.target):
        raise ValueError(f"`target` is {options.target}: give a finite number.")
    if str(options.out) == ".":
        raise ValueError("`out` is the current folder: name a folder of its own.")
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"`out` is {str(options.out)!r}, a file: name a folder.")


def _run(options: Options, console: "Console") -> int:
    from .._files import replace_text, writable_folder, written_whole
    from ..design import from_penalty, named
    from ..dynamics import SimulationError

    penalty, shape = named(options.penalty)
    design = from_penalty(penalty, options.temperature, shape=shape or None, form=options.form)
    module = writable_folder(options.out) / "design.py"
    replace_text(module, _module(options))
    if not options.json:
        _print(console, options, design)
    found: Validation | None = None
    failure = ""
    if not options.unchecked:
        try:
            found = _validate(options, design)
        except (SimulationError, ValueError) as error:
            # The design itself is kept and drawn.
            failure = str(error)
    from ..plot import design_page

    picture = options.out / "design.png"
    with written_whole(picture) as part:
        design_page(design, found).savefig(part, format="png", dpi=160)
    code = 2 if failure else 0 if found is None else found.exit_code
    if options.json:
        said = {"exit_code": code, **_record(options, design, found), "error": failure or None}
        written = {"module": str(module), "figure": str(picture)}
        print(json.dumps({**said, "written": written}, indent=1, allow_nan=False))
    elif found is not None:
        console.print(found.table(), markup=False, highlight=False, soft_wrap=True)
    if not options.json:
        said = f"Written: {module}, {picture}"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    if failure:
        raise ValueError(f"the design is written, but was not validated: {failure}")
    return code


def _record(options: Options, design: "Design", found: "Validation | None") -> dict[str, Any]:
    """Options, design and verdict as plain numbers and strings."""
    chosen = dataclasses.asdict(options)
    del chosen["json"], chosen["out"]
    return {
        "options": chosen,
        "design": {
            "formula": design.formula,
            "closed_form": design.closed_form,
            "parametrisation": design.text,
            "holds_at": design.holds_at,
            "shape": list(design.shape),
            "symmetric": design.action is not None,
            "notes": list(design.notes),
        },
        "validation": None
        if found is None
        else {
            "holds": found.holds,
            "process": found.process,
            "expected": list(found.expected),
            "rivals": list(found.rivals),
            "jumped": float(found.jumped),
            "outside": float(found.outside),
            "statement": found.statement,
            "verdict": found.verdict.to_dict(),
        },
    }


def _validate(options: Options, design: "Design") -> "Validation":
    import jax
    import jax.numpy as jnp

    from ..design import validate

    spectrum = len(design.shape) == 2 and "groups" not in options.penalty and min(design.shape) > 1
    spectrum = spectrum and options.penalty.strip().startswith(("nuclear", "schatten"))
    target = 0.0 if spectrum else options.target

    def potential(w):
        return 0.5 * options.curvature * jnp.sum((w - target) ** 2)

    return validate(
        design,
        potential,
        spectrum=spectrum,
        chains=options.chains,
        key=jax.random.key(options.seed),
    )


def _print(console: "Console", options: Options, design: "Design") -> None:
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    rows = {
        "penalty": f"R = {design.formula}",
        "parametrisation": design.text,
        "holds": design.holds_at,
        "symmetry": "none" if design.action is None else "rescalings u c, v/c of the factors",
    }
    for label, value in rows.items():
        grid.add_row(label, value)
    for note in design.notes:
        grid.add_row("note", note)
    console.print(grid, markup=False, highlight=False)
    console.print()


def _module(options: Options) -> str:
    """A Python module with the design: `phi`, `lift`, `design`."""
    from .. import __version__

    file, colon, function = options.penalty.rpartition(":")
    lines = [
        f'"""The bias {options.penalty!r} at temperature {options.temperature:g}.'.replace(
            "\\", "/"
        ),
        "",
        f"Written by `gaugebias design` {__version__}. Enable float64 before the import for the",
        'accuracy it was validated with: jax.config.update("jax_enable_x64", True).',
        '"""',
        "",
    ]
    if colon and file.strip().endswith(".py"):
        way = os.path.relpath(Path(file.strip()).resolve(), options.out.resolve())
        lines += ["from pathlib import Path", "", "import gaugebias as gb", ""]
        lines += [
            f"file = Path(__file__).parent / {Path(way).as_posix()!r}",
            f'penalty, shape = gb.design.named(f"{{file}}:{function.strip()}")',
        ]
    else:
        lines += ["import gaugebias as gb", ""]
        lines += [f"penalty, shape = gb.design.named({options.penalty!r})"]
    lines += [
        f"temperature = {options.temperature!r}",
        "design = gb.design.from_penalty(",
        f"    penalty, temperature, shape=shape or None, form={options.form!r}",
        ")",
        "phi, lift, action = design.phi, design.lift, design.action",
        "",
    ]
    return "\n".join(lines)
