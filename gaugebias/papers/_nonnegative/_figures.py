"""The panels of the figure."""

import numpy as np

from ...factor import component_region, ternary_coordinates
from ...plot import CurveData
from ._run import Noisy, Result
from ._tables import KINDS


def figures(result: Result) -> tuple[CurveData, ...]:
    """Traces, nested polygons, determinants, spreads, and the table if it was given."""
    shown = max(result.noisy, key=lambda each: each.before)
    panels = (
        _traces("Counts: one G^2 from all starts", shown),
        _polygons("Counts: solutions between two polygons", shown),
        _determinants(result),
        _spreads(result),
    )
    if result.budgets is None:
        return panels
    three = result.budgets.three
    return (
        *panels,
        _traces("Time budgets, K = 3: one G^2", three),
        _polygons("Time budgets, K = 3: solutions", three),
    )


def _traces(title: str, noisy: Noisy) -> CurveData:
    fit = noisy.fit
    curves = {}
    best = float(fit.objectives[fit.best])
    for s in np.flatnonzero(fit.agreeing)[:4]:
        kept = np.isfinite(fit.trace[s])
        kept[0] = False
        steps = fit.every * np.arange(len(kept))
        det = fit.determinants[s]
        curves[f"start {s + 1}, det {det:.2e}"] = (steps[kept], fit.trace[s][kept])
    return CurveData(
        title, "iteration", "G^2", curves, levels={f"{best:.2f}": best}, xscale="log", yscale="log"
    )


def _polygons(title: str, noisy: Noisy) -> CurveData:
    """Every start as a triangle, in the plane of the best one's components."""
    found = noisy.fit.factorisation
    region = component_region(found, resolution=2)
    curves = {
        "non-negative shares": _closed(region.outer),
        "hull of the rows": _closed(region.inner),
    }
    for s in np.flatnonzero(noisy.fit.agreeing)[:3]:
        basis = noisy.fit.start(s).matched(found).basis
        corners = np.linalg.lstsq(found.basis.T, basis.T, rcond=None)[0].T
        curves[f"components of start {s + 1}"] = _closed(corners / corners.sum(1, keepdims=True))
    return CurveData(title, "ternary x", "ternary y", curves, dashed=("non-negative shares",))


def _closed(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = ternary_coordinates(np.concatenate([corners, corners[:1]]))
    return points[:, 0], points[:, 1]


def _determinants(result: Result) -> CurveData:
    curves = {}
    chosen = sorted(result.noisy, key=lambda each: -each.before)[:3]
    for i, each in enumerate(chosen):
        order = np.linspace(0.0, 1.0, len(each.determinants))
        curves[f"table {i + 1}, as found"] = (order, np.sort(each.determinants))
    for i, each in enumerate(chosen):
        order = np.linspace(0.0, 1.0, len(each.inner))
        curves[f"table {i + 1}, inner"] = (order, np.sort(each.inner))
    return CurveData(
        "Before and after identification",
        "fraction of the starts",
        "det(G G^T)",
        curves,
        dashed=tuple(name for name in curves if name.endswith("inner")),
        yscale="log",
    )


def _spreads(result: Result) -> CurveData:
    """Budgets and factors of each known table, in the order of the kinds."""
    curves, unique = {}, sum(KINDS[each.kind] for each in result.known)
    for label, name in (
        ("latent budgets (EM)", "budgets"),
        ("NMF (coordinate descent)", "factors"),
    ):
        values = np.array([getattr(each, name) for each in _ordered(result)])
        curves[label] = (np.arange(1.0, len(values) + 1), np.maximum(values, 1e-12))
    return CurveData(
        "Unique together (shaded: one solution)",
        "number of the table: separable, scattered, half, open",
        "difference between starts",
        curves,
        yscale="log",
        ranges=((0.5, unique + 0.5),),
    )


def _ordered(result: Result):
    kinds = list(dict.fromkeys(each.kind for each in result.known))
    return sorted(result.known, key=lambda each: kinds.index(each.kind))
