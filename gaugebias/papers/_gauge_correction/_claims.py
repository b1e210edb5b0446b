"""The claims of all experiments, held against the numbers."""

from .._claim import Claim
from ._experiments import EXPERIMENTS
from ._run import Result


def claims(result: Result) -> tuple[Claim, ...]:
    """What the publication says, and what we derived."""
    rows: list[Claim] = []
    for each in EXPERIMENTS:
        if each.name in result.parts:
            rows += each.claims(getattr(result.settings, each.name), result.parts[each.name])
    return tuple(rows)


def controls(result: Result) -> tuple[Claim, ...]:
    """What rival explanations would show; and a row for each experiment that failed."""
    rows: list[Claim] = []
    for each in EXPERIMENTS:
        if each.name in result.parts:
            rows += each.controls(getattr(result.settings, each.name), result.parts[each.name])
    for name, said in result.failures.items():
        statement = "The experiment runs to its end."
        rows.append(Claim(f"{name}-ran", statement, "control", said, "not supported"))
    return tuple(rows)
