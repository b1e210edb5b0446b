"""`gaugebias catalogue`: models, their symmetries, closed forms and laws, from the code itself."""

import dataclasses
import difflib
import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._options import parse

if TYPE_CHECKING:
    from rich.console import Console

    from ..catalogue import AbstractModel, Agreement, LawStatement

_DESCRIPTION = """Print the catalogue: every model with its group, moment map and slice, log det S \
(orbits) and log det K (predictor) there, the laws that hold and the conditions that fail. With \
the name of a model, all about that one, with its formulas evaluated at a random point in three \
ways: closed form, automatic differentiation, finite differences.

Examples:
  gaugebias catalogue
  gaugebias catalogue factors-low-rank --seed 1
  gaugebias catalogue --check

Exit codes: 0 all agree, 1 a closed form disagrees, 2 bad input, 130 interrupted."""

_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]
_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Options:
    model: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="MODEL", help_behavior_hint=""),
    ] = None
    """Name of one model, as in the first column of the table (all by default)."""
    check: _Flag = False
    """Evaluate every closed form in the three ways instead; exit 1 if any disagrees."""
    seed: int = 0
    """Seed of the random point."""
    json: _Flag = False
    """Print JSON instead of tables."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, print what is asked for and return the exit code."""
    options = parse(Options, argv, prog="gaugebias catalogue", description=_DESCRIPTION)
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"`seed` is {options.seed}: give an integer from 0 to 4294967295.")
    from rich.console import Console

    from ..catalogue import entries

    known = entries()
    if options.model is not None and options.model not in known:
        near = difflib.get_close_matches(options.model, known, n=1)
        cure = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"there is no model {options.model!r}: {cure}The names are {', '.join(known)}."
        )
    chosen = known if options.model is None else {options.model: known[options.model]}
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    checks: dict[str, tuple[Agreement, ...]] = {}
    if options.check or options.model is not None:
        checks = {name: _agreement(model, options.seed) for name, model in chosen.items()}
    if options.json:
        print(
            json.dumps(
                [_as_dict(name, model, checks.get(name)) for name, model in chosen.items()],
                indent=2,
            )
        )
    elif options.model is not None:
        _print_entry(console, options.model, known[options.model])
        _print_checks(console, checks)
    elif options.check:
        _print_checks(console, checks)
    else:
        _print_table(console, chosen)
    return int(not all(line.holds for lines in checks.values() for line in lines))


def _agreement(model: "AbstractModel", seed: int) -> "tuple[Agreement, ...]":
    import jax

    from ..catalogue import agreement

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        return agreement(model, model.init(jax.random.key(seed), balanced=False))
    finally:
        jax.config.update("jax_enable_x64", before)


_LAWS = {
    ("horizontal", "ito"): "H",
    ("horizontal", "stratonovich"): "S",
    ("pushforward", "any"): "I",
    ("projected", "ito"): "P",
    ("conditioned", "any"): "C",
}
_FAILS = {
    "slice invariance": "s",
    "compactness": "n",
    "stabiliser": "f",
    "full rank": "k",
    "integrability": "0",
    "transpose": "t",
    "moment-map zero": "m",
    "closed orbits": "o",
    "separation": "p",
}
_LEGEND = (
    "On the slice, in the standard basis: S Gram of the orbit, K of the predictor (log V = 1/2 log "
    "det S); s_i singular values, k_ij = sum_(p=1..N) s_i^(2(N-p)/N) s_j^(2(p-1)/N).",
    "Laws that hold: H horizontal Ito noise, S Stratonovich, I isotropic, P projected, C "
    "conditioned on the slice.",
    "What fails: s the slice is not invariant, n not compact, f stabiliser (pseudo-determinant), k "
    "K singular, 0 C not normalisable at 0, t algebra not closed under transpose, m moment map "
    "without zero, o orbits not closed, p the loss sees less than the predictor. Reasons: "
    "gaugebias catalogue MODEL.",
)


def _letters(model: "AbstractModel") -> tuple[str, str]:
    """The laws that hold and the conditions that fail, one letter each."""
    laws = [_LAWS[law.name, law.calculus] for law in model.laws if law.applies]
    fails = dict.fromkeys(_FAILS[failure.condition] for failure in model.failing)
    return " ".join(laws) or "-", " ".join(fails) or "-"


def _print_table(console: "Console", models: "dict[str, AbstractModel]") -> None:
    rows = [("model", "predictor", "group", "laws", "fails")]
    details = ["slice; log det S; log det K"]
    for name, model in models.items():
        text = model.description
        rows.append((name, text.formula, text.group, *_letters(model)))
        if text.gram == text.orbit_gram:
            details.append(f"{text.slice}; log det S = log det K = {text.gram}")
        else:
            details.append(f"{text.slice}; log det S = {text.orbit_gram}; K: {text.gram}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, detail in zip(rows, details, strict=True):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
        lines += _wrapped(detail, console.width, " " * 4)
    for line in _LEGEND:
        lines += _wrapped(line, console.width, "")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    further = 2 * indent or "  "
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=further)


def _print_entry(console: "Console", name: str, model: "AbstractModel") -> None:
    from rich.table import Table

    text, d = model.description, model.dimensions
    grid = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    rows = {
        "model": f"{name}: {model!r}",
        "predictor": text.formula,
        "group": text.group,
        "generators": text.generators,
        "moment map": text.moment_map,
        "slice": text.slice,
        "log det S": f"{text.orbit_gram} (rank {d.orbit} of {d.algebra})",
        "log det K": f"{text.gram} (rank {d.quotient} of {d.predictor})",
        "log V": "1/2 log det S",
        "dimensions": f"{d.parameters} parameters, orbits {d.orbit}, quotient {d.quotient}",
    }
    for law in model.laws:
        rows[_law_name(law)] = _law_text(law)
    for failure in model.failing:
        rows[f"fails: {failure.condition}"] = failure.detail
    for label, value in rows.items():
        grid.add_row(label, value)
    console.print(grid, markup=False, highlight=False)
    console.print()


def _law_name(law: "LawStatement") -> str:
    calculus = {"ito": " (Ito)", "stratonovich": " (Strat.)"}.get(law.calculus, "")
    return f"law: {law.name}{calculus}"


def _law_text(law: "LawStatement") -> str:
    if not law.applies:
        return f"does not hold. {law.reason}"
    density = "e^(-l/T)" if law.density == "1" else f"{law.density} e^(-l/T)"
    return f"{density}. {law.reason}"


def _print_checks(console: "Console", checks: "dict[str, tuple[Agreement, ...]]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("model", "quantity"):
        table.add_column(heading, no_wrap=True)
    for heading in ("closed form", "autodiff", "rel.", "finite diff.", "rel.", "agree"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, lines in checks.items():
        for line in lines:
            by_autodiff, by_difference = line.errors
            table.add_row(
                name,
                line.quantity,
                f"{line.closed:.10f}",
                f"{line.autodiff:.10f}",
                f"{by_autodiff:.0e}",
                f"{line.difference:.10f}",
                f"{by_difference:.0e}",
                "yes" if line.holds else "NO",
            )
    console.print(table, markup=False, highlight=False)
    bad = [name for name, lines in checks.items() if not all(line.holds for line in lines)]
    console.print(
        "All agree: autodiff to 1e-9, finite differences to 1e-6, relative to max(1, |value|)."
        if not bad
        else f"Disagree: {', '.join(bad)} (autodiff above 1e-9 or finite differences above 1e-6).",
        markup=False,
        highlight=False,
    )


def _as_dict(
    name: str, model: "AbstractModel", lines: "tuple[Agreement, ...] | None"
) -> dict[str, Any]:
    text = model.description
    out: dict[str, Any] = {
        "name": name,
        "model": repr(model),
        **{key: value for key, value in text._asdict().items() if key not in ("gauge", "caveats")},
        "dimensions": model.dimensions._asdict(),
        "laws": [law._asdict() for law in model.laws],
        "failing": [failure._asdict() for failure in model.failing],
    }
    if lines is not None:
        out["agreement"] = [{**line._asdict(), "holds": line.holds} for line in lines]
    return out
