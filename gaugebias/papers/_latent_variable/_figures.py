"""The panels of the figure."""

import numpy as np

from ...plot import CurveData
from ._digits import Digits
from ._run import Result


def figures(result: Result) -> tuple[CurveData, ...]:
    """Alignment and kernel along the flow, changes with width, mechanisms, digits."""
    return (
        _along(result, "alignment"),
        _along(result, "kernel"),
        _widths(result),
        _mechanisms(result),
        *(_digits(each) for each in result.digits),
    )


def _along(result: Result, what: str) -> CurveData:
    curves = {}
    for each in result.scaled:
        if what == "kernel" and each.phase.exponent < 0:
            continue  # by orders of magnitude more than the others
        x = each.times / each.times[-1]
        y = getattr(each, what)
        curves[each.name] = (x, y / y[0] if what == "kernel" else y)
    # One that changes by an amount of order one.
    shown = min(result.scaled, key=lambda each: abs(each.phase.exponent))
    exact = getattr(shown, f"exact_{what}")
    curves["closed form"] = (
        shown.times / shown.times[-1],
        exact / exact[0] if what == "kernel" else exact,
    )
    label = {"alignment": "alignment of u and w", "kernel": "tangent kernel / at the start"}
    return CurveData(
        f"Width {result.settings.width}: integrated weights",
        "time / end",
        label[what],
        curves,
        dashed=("closed form",),
    )


def _widths(result: Result) -> CurveData:
    widths = np.asarray(result.settings.widths, float)
    curves = {each.name: (widths, np.mean(np.abs(each.changes), 1)) for each in result.growth}
    return CurveData(
        "Kernel phase and feature learning",
        "width",
        "relative change of the kernel",
        curves,
        xscale="log",
        yscale="log",
    )


def _mechanisms(result: Result) -> CurveData:
    curves = {e.name: (e.times / e.times[-1], e.alignment) for e in result.demonstrations}
    return CurveData("Three mechanisms", "time / 20 time constants", "alignment of u and w", curves)


def _digits(each: Digits) -> CurveData:
    return CurveData(
        f"ReLU network on digits, start x {each.scale:g}",
        "step",
        "alignment with the inputs (mean)",
        {
            "layer 1": (each.steps, np.mean(each.first, axis=0)),
            "layer 2": (each.steps, np.mean(each.second, axis=0)),
        },
        limits=(0.0, 0.6),
    )
