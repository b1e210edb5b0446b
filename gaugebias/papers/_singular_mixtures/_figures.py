"""The panels of the figure."""

import numpy as np

from ...plot import CurveData
from ._collisions import Curve
from ._run import Result
from ._speed import CLOSE, Race


def figures(result: Result) -> tuple[CurveData, ...]:
    """Collisions with their laws, steps of trainers, generalisation and Fisher spectrum, iris."""
    curves = result.curves
    mixtures = [e for e in curves if e.what == "mixture" and not np.isnan(e.law_half)]
    return (
        _collision("Two components: plateaus", [e for e in mixtures if _plain(e)], "log"),
        _collision("One component too many", [e for e in curves if np.isnan(e.law_half)], "log"),
        _collision("Two neurons: the same law", [e for e in curves if _neurons(e)], "log"),
        _natural([e for e in curves if e.natural]),
        *(_steps(result, trainer) for trainer in ("em", "descent", "network")),
        _generalisation(result),
        _spectrum(result),
        _iris(result),
    )


def _plain(curve: Curve) -> bool:
    return curve.chart == "centred" and not curve.natural


def _neurons(curve: Curve) -> bool:
    return curve.what == "network" and not curve.natural


def _collision(title: str, curves: list[Curve], xscale: str) -> CurveData:
    shown = {f"from {e.start:g}": (e.times[1:], e.difference[1:]) for e in curves}
    shown["reduced law"] = _laws([(e.times[1:], e.law[1:]) for e in curves])
    return CurveData(
        title,
        "time of gradient flow",
        "difference",
        shown,
        dashed=("reduced law",),
        xscale=xscale,
        yscale="log",
    )


def _natural(curves: list[Curve]) -> CurveData:
    shown = {f"{e.what}, from {e.start:g}": (e.times, e.difference / e.law[-1]) for e in curves}
    shown["reduced law"] = _laws([(e.times, e.law / e.law[-1]) for e in curves])
    return CurveData(
        "Natural gradient: no plateau",
        "time of natural gradient flow",
        "difference / its last",
        shown,
        dashed=("reduced law",),
    )


def _laws(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Curves as one, with gaps between them."""
    x = [np.append(each, each[-1]) for each, _ in parts]
    y = [np.append(each, np.nan) for _, each in parts]
    return np.concatenate(x), np.concatenate(y)


def _share(race: Race) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and the share of pairs done by then."""
    steps = np.unique(np.concatenate([np.geomspace(1, race.limit, 200).astype(int), [race.limit]]))
    done = np.sort(np.where(race.steps > race.limit, np.iinfo(np.int64).max, race.steps))
    return steps, np.searchsorted(done, steps, side="right") / len(done)


def _steps(result: Result, trainer: str) -> CurveData:
    title = {"em": "EM", "descent": "Gradient descent", "network": "Two neurons, descent"}[trainer]
    shown = {f"{e.chart}, {e.start}": _share(e) for e in result.races if e.trainer == trainer}
    goal = f"{CLOSE:g} of the best" if trainer != "network" else "the goal"
    return CurveData(
        f"{title}: share of starts done",
        f"step (done: within {goal})" if trainer != "network" else "step (done: loss at the goal)",
        "share",
        shown,
        xscale="log",
        limits=(0.0, 1.05),
    )


def _generalisation(result: Result) -> CurveData:
    settings = result.settings
    floors = np.asarray(settings.floors)
    shown = {}
    for truth in settings.truths:
        losses = [np.mean(result.fit(truth, f).divergence) for f in settings.floors]
        shown[f"true difference {truth:g}"] = (floors, 2 * settings.set_size * np.array(losses))
    return CurveData(
        "Test log-likelihood lost, by floor",
        "floor",
        "2n x mean divergence",
        shown,
        levels={"2 parameters": 2.0, "3/2": 1.5},
        yscale="log",
    )


def _spectrum(result: Result) -> CurveData:
    settings = result.settings
    floors = np.asarray(settings.floors)
    shown = {}
    for truth in settings.truths:
        least = [np.median(result.fit(truth, f).spectrum[:, 1].clip(1e-9)) for f in settings.floors]
        shown[f"true difference {truth:g}"] = (floors, np.array(least))
    return CurveData(
        "Least Fisher eigenvalue at the fit (median)",
        "floor",
        "eigenvalue",
        shown,
        yscale="log",
    )


def _iris(result: Result) -> CurveData:
    names = {"em": "EM", "descent": "gradient", "natural": "natural"}
    shown = {}
    for each in result.iris:
        if each.trainer != "em" or each.chart == "absolute":
            name = f"{names[each.trainer]}, {each.chart}"
            shown[name] = (each.steps + 1, np.maximum(each.distance, 1e-3))
    return CurveData(
        "Iris: Fisher distance to the maximum",
        "step + 1",
        "distance",
        shown,
        xscale="log",
        yscale="log",
    )
