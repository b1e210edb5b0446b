"""What `gaugebias factorise` prints and writes, from the results alone."""

import dataclasses
import math
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from ..factor import CountTable, Factorisation, Fit, Identified, Uniqueness

_NAMES = {
    "lba": ("budget", "latent budget analysis", "shares of the budgets in each row"),
    "ema": ("end member", "end-member analysis", "shares of the end members in each sample"),
    "plsa": ("topic", "probabilistic latent semantic analysis", "P(topic | row)"),
    "lca": ("class", "latent class analysis", "P(row | class)"),
    "nmf": ("factor", "non-negative matrix factorisation", "left factor, in units of the table"),
}


@dataclasses.dataclass(frozen=True)
class Solution:
    """A fit, the solution chosen, and what is known about the others."""

    table: "CountTable"
    model: str
    fit: "Fit"
    found: "Factorisation"
    chosen: "Identified | None"
    answer: "Uniqueness"

    @property
    def names(self) -> list[str]:
        """What the components are called."""
        noun = _NAMES[self.model][0]
        return [f"{noun} {k + 1}" for k in range(self.found.components)]

    def rows(self) -> "tuple[np.ndarray, np.ndarray | None, np.ndarray | None]":
        """The rows in the model's own units, and their ranges where these are known."""
        found, moves = self.found, self.answer.movement
        if self.model == "lca":
            return found.lca().rows, None, None
        if self.model == "nmf":
            totals = found.row_totals[:, None]
            return found.nmf().left, totals * moves.mixing_low, totals * moves.mixing_high
        return found.mixing, moves.mixing_low, moves.mixing_high

    def measures(self) -> dict[str, float | int | None]:
        """Fit of the solution, and of one component."""
        import numpy as np

        from ..factor import (
            Factorisation,
            degrees_of_freedom,
            deviance,
            dissimilarity,
            residual_sum_of_squares,
        )

        values, totals = self.table.values, self.table.row_totals
        i, j = values.shape
        margin = values.sum(axis=0, keepdims=True) / self.table.total
        one = Factorisation(np.ones((len(values), 1)), margin, totals)
        try:
            size: float | None = deviance(self.table, self.found)
        except ValueError:  # a cell that was observed has probability 0
            size = None
        return {
            "G2": size,
            "G2_of_one_component": deviance(self.table, one),
            "degrees_of_freedom": degrees_of_freedom(i, j, self.found.components),
            "residual_sum_of_squares": residual_sum_of_squares(self.table, self.found),
            "dissimilarity": dissimilarity(self.table, self.found),
        }

    def summary(self) -> dict[str, Any]:
        """All of it but the tables, for JSON."""
        fit, answer = self.fit, self.answer
        return {
            "solver": fit.solver,
            "objective": fit.objective,
            "starts_agreeing": int(fit.agreeing.sum()),
            **self.measures(),
            "proportions": self.found.proportions.tolist(),
            "proportions_low": answer.movement.proportions_low.tolist(),
            "proportions_high": answer.movement.proportions_high.tolist(),
            "determinant": self.found.determinant,
            "identification": None
            if self.chosen is None
            else {
                "value": self.chosen.value,
                "exact": self.chosen.exact,
                "transform": self.chosen.transform.tolist(),
            },
            "unique": answer.verdict,
            "reason": answer.reason,
            "ranges_exact": answer.movement.exact,
            "checks": [check._asdict() for check in answer.checks],
        }

    def tables(self) -> dict[str, list[list[Any]]]:
        """File name -> lines, header first."""
        from ..factor import RESULTS, rescaled_basis

        found, moves, fit = self.found, self.answer.movement, self.fit
        ranged = [x for name in self.names for x in (name, f"{name} low", f"{name} high")]
        rescaled = rescaled_basis(found)
        columns = [
            [
                "column",
                *ranged,
                "bound low",
                "bound high",
                *(f"P({n} | column)" for n in self.names),
            ]
        ]
        for j, name in enumerate(self.table.columns):
            line: list[Any] = [name]
            for k in range(found.components):
                line += [found.basis[k, j], moves.basis_low[k, j], moves.basis_high[k, j]]
            columns.append([*line, moves.bound_low[j], moves.bound_high[j], *rescaled[:, j]])
        shares, low, high = self.rows()
        rows = [["row", *(self.names if low is None else ranged)]]
        for i, name in enumerate(self.table.rows):
            if low is None or high is None:
                rows.append([name, *shares[i]])
                continue
            line = [name]
            for k in range(found.components):
                line += [shares[i, k], low[i, k], high[i, k]]
            rows.append(line)
        starts: list[list[Any]] = [["start", fit.objective, "determinant", "iterations", "result"]]
        for s, size in enumerate(fit.objectives):
            said = RESULTS[int(fit.results[s])]
            starts.append([s, size, fit.determinants[s], fit.iterations[s], said])
        return {
            "columns.csv": [[_plain(x) for x in line] for line in columns],
            "rows.csv": [[_plain(x) for x in line] for line in rows],
            "starts.csv": [[_plain(x) for x in line] for line in starts],
        }

    def figures(self) -> dict[str, Any]:
        """File name -> (size in inches, function that fills axes)."""
        from .. import plot
        from ..factor import component_region

        found, table, names = self.found, self.table, self.names
        moves = self.answer.movement
        i, j = table.values.shape
        k = found.components

        def columns(ax: Any) -> None:
            plot.components(found, columns=table.columns, names=names, movement=moves, ax=ax)

        def rows(ax: Any) -> None:
            plot.mixtures(found, rows=table.rows, names=names, ax=ax)

        def triangle(ax: Any) -> None:
            region = component_region(found, resolution=250)
            plot.ternary(found, names=table.rows, components=names, region=region, ax=ax)

        drawn: dict[str, Any] = {
            "columns.png": ((4.8, min(40.0, 0.9 + 0.13 * j * max(2, k))), columns),
            "rows.png": ((4.8, min(40.0, 0.9 + 0.16 * i)), rows),
        }
        if k == 3:
            drawn["ternary.png"] = ((4.8, 4.2), triangle)
        return drawn


def print_solution(console: "Console", solution: Solution) -> None:
    """Print the fit, the components, the rows and whether the solution is unique."""

    def say(text: str = "") -> None:
        further = "    " if text.startswith("  ") else ""
        lines = textwrap.wrap(text, console.width, subsequent_indent=further) or [""]
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)

    _print_fit(say, solution)
    say()
    _print_components(console, solution)
    say()
    _print_rows(console, solution)
    say()
    _print_uniqueness(say, solution)


def _print_fit(say: Any, solution: Solution) -> None:
    table, fit, numbers = solution.table, solution.fit, solution.measures()
    size = " x ".join(map(str, table.values.shape))
    say(
        f"{table.name}: {size}, total {table.total:g}; {_NAMES[solution.model][1]} with "
        f"{_count(solution.found.components, 'component')} by {fit.solver}."
    )
    one = numbers["G2_of_one_component"]
    deviance = numbers["G2"]
    if deviance is None:
        say("G^2 is infinite: a cell with a count has probability 0 in the model.")
    else:
        less = ""
        if solution.found.components > 1 and one:
            less = f", {1 - deviance / one:.1%} less than with one component ({one:.6g})"
        say(f"G^2 {deviance:.6g} on {numbers['degrees_of_freedom']} degrees of freedom{less}.")
    say(
        f"Residual sum of squares of the profiles {numbers['residual_sum_of_squares']:.4g}; "
        f"dissimilarity {numbers['dissimilarity']:.4f}."
    )
    finished = int((fit.results == 0).sum())
    agreeing = int(fit.agreeing.sum())
    say(
        f"Starts: {len(fit.results)}, of which {finished} converged and {agreeing} reached the "
        f"best {fit.objective} ({fit.objectives[fit.best]:.6g}) to within {fit.margin:.2g}."
    )
    off = float(fit.normalised[fit.best])
    if off > 1e-8:
        say(f"The solver's rows were off a sum of 1 by up to {off:.2g}, and divided by their sums.")
    if solution.chosen is not None:
        from ..factor import RULES

        chosen = solution.chosen
        how = "exact" if chosen.exact else f"{chosen.agreeing} of {chosen.starts} searches agree"
        say(f"Identified by {chosen.rule!r}: {RULES[chosen.rule]} ({how}).")


def _print_components(console: "Console", solution: Solution) -> None:
    found, moves = solution.found, solution.answer.movement
    pairs = [
        (
            solution.table.columns[j],
            found.basis[:, j],
            moves.basis_low[:, j],
            moves.basis_high[:, j],
        )
        for j in range(found.basis.shape[1])
    ]
    whole = "of the table", found.proportions, moves.proportions_low, moves.proportions_high
    tolerance = 100 * solution.answer.atol
    lines = [
        [name, *_cells(100 * shares, 100 * low, 100 * high, tolerance)]
        for name, shares, low, high in (whole, *pairs)
    ]
    console.print("Percent, and in brackets how far it can move:", markup=False, highlight=False)
    _print_blocks(console, [["column", *solution.names], *lines])


def _print_rows(console: "Console", solution: Solution) -> None:
    shares, low, high = solution.rows()
    percent = 1.0 if solution.model == "nmf" else 100.0
    unit = "" if solution.model == "nmf" else ", percent"
    lines = [["row", *solution.names]]
    for i, name in enumerate(solution.table.rows):
        if low is None or high is None:
            lines.append([name, *(f"{percent * x:.1f}" for x in shares[i])])
        else:
            tolerance = percent * solution.answer.atol
            if solution.model == "nmf":
                tolerance *= float(solution.found.row_totals[i])
            cells = _cells(percent * shares[i], percent * low[i], percent * high[i], tolerance)
            lines.append([name, *cells])
    heading = _NAMES[solution.model][2]
    console.print(f"{heading[0].upper()}{heading[1:]}{unit}:", markup=False, highlight=False)
    _print_blocks(console, lines)


def _print_uniqueness(say: Any, solution: Solution) -> None:
    answer = solution.answer
    moves = answer.movement
    verdict = {"unique": "yes", "not unique": "no", "undecided": "undecided"}[answer.verdict]
    say(f"Unique: {verdict}; {answer.reason}")
    if answer.verdict == "not unique":
        say(
            "The ranges are exact."
            if moves.exact
            else "The ends of the ranges are attained by explicit solutions; there may be others "
            "farther out, within the bounds in columns.csv."
        )
    for check in answer.checks:
        held = {True: "yes", False: "no", None: "undecided"}[check.holds]
        say(f"  {check.name} ({check.kind}): {held}; {check.detail}")
    say("All of this holds for the fitted table; the sampling error of the counts comes on top.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_blocks(console: "Console", lines: list[list[str]]) -> None:
    """Cells in columns, header first; as many blocks side by side as the width takes, whole."""
    lines = [[_short(line[0]), *line[1:]] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    start = 1
    while start < len(widths):
        stop, width = start + 1, widths[0] + 2 + widths[start]
        while stop < len(widths) and width + 2 + widths[stop] <= console.width:
            width += 2 + widths[stop]
            stop += 1
        if start > 1:
            console.print()
        for line in lines:
            cells = [f"{line[at]:>{widths[at]}}" for at in range(start, stop)]
            text = "  ".join([f"{line[0]:<{widths[0]}}", *cells])
            console.print(text.rstrip(), markup=False, highlight=False, soft_wrap=True)
        start = stop


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:21] + "..."


def _cells(shares: Any, low: Any, high: Any, tolerance: float) -> list[str]:
    return [
        f"{x:.1f}" + (f" [{a:.1f}, {b:.1f}]" if b - a > tolerance else "")
        for x, a, b in zip(shares, low, high, strict=True)
    ]


def _plain(value: Any) -> Any:
    """A cell of a table: a number as Python writes it whole, `None` for what is not finite."""
    if isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
