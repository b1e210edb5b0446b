"""The panels of the figure."""

from ...plot import CurveData
from ._experiments import EXPERIMENTS
from ._run import Result


def figures(result: Result) -> tuple[CurveData, ...]:
    """The panels of every experiment that came to its end."""
    panels: list[CurveData] = []
    for each in EXPERIMENTS:
        if each.name in result.parts:
            panels += each.figures(getattr(result.settings, each.name), result.parts[each.name])
    return tuple(panels)
