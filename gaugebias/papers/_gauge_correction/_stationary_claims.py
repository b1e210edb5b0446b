"""What the runs with noise say: claims, controls, panels."""

import math

import numpy as np

from ...plot import CurveData
from ...verdicts import Row
from .._claim import Claim, judge
from ._ratios import median_text
from ._stationary import (
    CONDITIONED,
    FLAT,
    HADAMARD,
    LAW,
    StationaryResult,
    StationarySettings,
    law_in_roots,
)


def _verdict(row: Row, wanted: str) -> str:
    """Whether the row is what is said of it: `wanted` is "consistent" or "rejected"."""
    if row.verdict == wanted:
        return "supported"
    return "undecided" if row.verdict == "undecided" else "not supported"


def _numbers(row: Row) -> str:
    why = f" ({row.reason})" if row.reason else ""
    return f"{row.verdict}{why}, p = {row.p_value:.2g}, {row.draws:,} draws"


def claims_stationary(settings: StationarySettings, result: StationaryResult) -> tuple[Claim, ...]:
    """Which law the noise has, model by model."""
    rows = []
    for name, each in result.models.items():
        prefix = f"stationary-{name.lower()}"
        variable = "w_i" if name == HADAMARD else "d_t"
        rows += [
            Claim(
                f"{prefix}-law",
                f"Noise across the orbits, {name.lower()} model, T = {each.temperature:g}: "
                f"stationary with the horizontal law exp(-l/T) prod |{variable}|^-1/2 (tested at "
                "1e-3; simulated again once if it fails).",
                "derived",
                f"{_numbers(each.rows[LAW])}; simulated {each.attempts} times",
                _verdict(each.rows[LAW], "consistent"),
            ),
            Claim(
                f"{prefix}-gauge",
                "Its law is that of the gauge correction, conditioned on balance, "
                f"exp(-l/T) prod |{variable}|^-1 (on entries of size {settings.cut:g} or more: it "
                "is not normalisable at 0).",
                "published",
                f"{_numbers(each.restricted[CONDITIONED])}; there the horizontal law is "
                f"{_numbers(each.restricted[LAW])}",
                _verdict(each.restricted[CONDITIONED], "consistent"),
                "not supported",
            ),
        ]
    return tuple(rows)


def controls_stationary(
    settings: StationarySettings, result: StationaryResult
) -> tuple[Claim, ...]:
    """A rival that the tests reject; whether the runs have settled; a problem without a law."""
    rows = [
        Claim(
            f"stationary-{name.lower()}-flat",
            f"The same tests reject exp(-l/T) flat in {'w' if name == HADAMARD else 'd'}, the "
            "formal density with s = 1 (below 1e-6).",
            "control",
            _numbers(each.rows[FLAT]),
            _verdict(each.rows[FLAT], "rejected"),
        )
        for name, each in result.models.items()
    ]
    for name, each in result.models.items():
        ratio, reach = each.settled
        rows.append(
            Claim(
                f"stationary-{name.lower()}-settled",
                "The run has settled: the mean of the entries' |.|_1 at its end is that at half "
                "time within 5%.",
                "control",
                f"ratio {ratio:.3f} +- {reach:.3f}; entry by entry "
                + ", ".join(median_text(column**2) for column in each.roots.T),
                judge(ratio, 0.95, 1.05, error=reach),
            )
        )
    ratio, reach = result.growth
    rows.append(
        Claim(
            "stationary-valley",
            "With half as many rows as entries or fewer, as in both published problems, there is "
            "no stationary law: with one row for three entries |w|_1 still grows by a tenth or "
            "more over the second half of the run.",
            "control",
            f"ratio {ratio:.3f} +- {reach:.3f}",
            judge(ratio, 1.1, math.inf, error=reach),
        )
    )
    return tuple(rows)


def figures_stationary(
    settings: StationarySettings, result: StationaryResult
) -> tuple[CurveData, ...]:
    """The entry whose true value is 0, in roots, against the laws."""
    panels = []
    for name, each in result.models.items():
        truth = settings.coefficients if name == HADAMARD else settings.jumps
        index = int(np.argmin(np.abs(truth)))
        draws = each.roots[:, index]
        edges = np.linspace(0.0, float(np.quantile(draws, 0.998)), 26)
        middles = 0.5 * (edges[1:] + edges[:-1])
        curves = {"simulated": (middles, np.histogram(draws, edges)[0] / (len(draws) * edges[1]))}
        for law, s in ((LAW, 0.0), (FLAT, 1.0)):
            density = law_in_roots(each.problem, each.temperature, s, law)
            cdf = np.asarray(density.coordinate((index,)).cdf(edges))
            curves[f"{law}, s = {s:g}"] = (middles, np.diff(cdf) / edges[1])
        symbol = "w" if name == HADAMARD else "d"
        panels.append(
            CurveData(
                f"{name}, T = {each.temperature:g}: entry {index + 1}, true value 0",
                f"root of |{symbol}_{index + 1}|",
                "density",
                curves,
                dashed=tuple(list(curves)[1:]),
            )
        )
    return tuple(panels)
