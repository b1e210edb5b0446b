"""The panels of the figure."""

import numpy as np

from ... import flows
from ...plot import CurveData
from ._run import Estimation, Result


def figures(result: Result) -> tuple[CurveData, ...]:
    """Eigenvalues, effective ranks with their windows, depths compared, sensing."""
    return (
        *(_eigenvalues(result, each) for each in result.estimation[:2]),
        _ranks(result),
        *(_windows(each) for each in result.estimation[:2]),
        _separations(result),
        _sensing(result),
    )


def _kept(length: int) -> np.ndarray:
    """Step numbers, evenly spaced in the logarithm."""
    return np.unique(np.geomspace(20, length - 1, 600).astype(int))


def _eigenvalues(result: Result, each: Estimation) -> CurveData:
    steps = _kept(len(each.eigenvalues))
    curves, dashed = {}, []
    positive = [value for value in result.settings.spectrum if value > 0]
    for i, value in enumerate(positive):
        curves[f"eigenvalue {value:g}"] = (steps, each.eigenvalues[steps, i])
    for value in positive:
        root = value ** (1.0 / each.depth)
        a = np.linspace(each.alpha, root, 200)[1:-1]
        times = flows.flow_time(value, each.depth, each.alpha, a) / result.settings.learning_rate
        a, times = a[times >= steps[0]], times[times >= steps[0]]
        name = f"exact flow, {value:g}"
        curves[name] = (times, a**each.depth)
        dashed.append(name)
    return CurveData(
        f"Depth {each.depth}: larger eigenvalues first",
        "step",
        "eigenvalue of the product",
        curves,
        dashed=tuple(dashed),
        xscale="log",
    )


def _levels(each: Estimation) -> dict[str, float]:
    return {f"rank {window.rank}": window.target for window in each.windows}


def _ranks(result: Result) -> CurveData:
    steps = _kept(result.settings.steps + 1)
    curves = {f"N = {e.depth}": (steps, e.effective_rank[steps]) for e in result.estimation}
    return CurveData(
        "Effective rank: a fall, then plateaus",
        "step",
        "nuclear / spectral norm",
        curves,
        levels=_levels(result.estimation[0]),
        xscale="log",
        limits=(0.9, 2.2),
    )


def _windows(each: Estimation) -> CurveData:
    steps = _kept(len(each.effective_rank))
    return CurveData(
        f"Depth {each.depth}: windows (shaded)",
        "step",
        "nuclear / spectral norm",
        {"measured": (steps, each.effective_rank[steps])},
        levels=_levels(each),
        ranges=tuple((w.first, w.last) for w in each.windows if not w.empty),
        xscale="log",
        limits=(0.9, 2.2),
    )


def _separations(result: Result) -> CurveData:
    depths = np.asarray(result.settings.compared_depths, float)
    return CurveData(
        "Depth separates the first two",
        "depth N",
        "second at 10% / first at 90%",
        {
            f"product scale {result.settings.product_scale:g}": (depths, result.separations),
            f"product scale {result.settings.large_scale:g}": (depths, result.large_separations),
        },
        levels={"apart above": 1.0},
    )


def _sensing(result: Result) -> CurveData:
    settings = result.settings
    curves = {}
    for each in result.sensing:
        curves[f"N = {each.depth}"] = (each.steps[1:], np.median(each.trace, axis=0)[1:])
    truth = sum(settings.sensing_spectrum) / settings.sensing_spectrum[0]
    return CurveData(
        f"Sensing, {settings.sensing_measurements} measurements (median)",
        "step",
        "nuclear / spectral norm",
        curves,
        levels={"target": truth},
        xscale="log",
        limits=(0.0, 4.0),
    )
