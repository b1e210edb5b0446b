"""What the cases share: runs scaled to the attempt, rows, curves."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ...dynamics import Ensemble, simulate
from ...laws import DensityLaw, LawRefused
from ...plot import FigureData
from ...quotient import Domain
from ...verdicts import compare, virial_terms, virial_test
from .._case import Context
from .._report import Row, rows_of


@dataclasses.dataclass
class Runs:
    """The simulations of one attempt: step sizes and keys of the attempt, shares of its progress.

    `shares`: relative cost of each run, in order.
    """

    context: Context
    shares: Sequence[float]
    done: int = 0

    def __call__(
        self, text: str, sde: Any, init: Any, *, time: float, dt: float, **options: Any
    ) -> Ensemble:
        """`simulate` over `time`, at the attempt's step size and number of chains."""
        total = sum(self.shares)
        before = sum(self.shares[: self.done]) / total
        share = self.shares[self.done] / total
        self.context.progress(text, before)
        dt = dt * self.context.dt_scale
        per = 16 if options.get("every") is None else 1
        steps = per * max(1, round(time / dt / per))
        key = jax.random.fold_in(self.context.key, self.done)
        self.done += 1
        options.setdefault("chains", self.context.chains)
        return simulate(
            sde,
            init,
            key=key,
            steps=steps,
            dt=dt,
            progress=lambda fraction: self.context.progress(text, before + share * fraction),
            **options,
        )

    def steps(self, time: float, dt: float) -> int:
        """Number of steps of a stretch of `time`, at the attempt's step size."""
        return round(time / (dt * self.context.dt_scale))


def density(
    name: str,
    weight: Callable,
    domain: Domain,
    temperature: Any,
    *,
    volume: Callable | None = None,
    exponent: float = 0.0,
) -> DensityLaw:
    """A candidate density: a rival, or a closed form that needs no check of conditions."""
    return DensityLaw(weight, domain, temperature, volume=volume, exponent=exponent, name=name)


def judge_rows(
    source: Any,
    laws: Sequence[Any],
    names: Sequence[str],
    *,
    case: str,
    dynamics: str,
    expected: Sequence[str],
    joint: bool = False,
) -> tuple[Row, ...]:
    """Rows of draws (an ensemble or an array) against laws, the expected ones and the rivals."""
    verdict = compare(source, list(laws), names=list(names), joint=joint)
    return rows_of(verdict, case=case, dynamics=dynamics, expected=expected)


def refusal(
    build: Callable[[], Any],
    *,
    case: str,
    dynamics: str,
    law: str,
    kind: type[LawRefused] = LawRefused,
) -> Row:
    """A row that says whether `build` refuses its law, and with what reason."""
    reference = "lebesgue"
    try:
        build()
    except kind as error:
        holds, detail = True, str(error)
    else:
        holds, detail = False, "the law was built although its conditions fail"
    return Row(
        test=f"{dynamics}: {law}",
        case=case,
        dynamics=dynamics,
        law=law,
        reference=reference,
        role="refusal",
        holds=holds,
        detail=detail,
        kind="refusal",
    )


def virial_row(
    ensemble: Ensemble,
    loss: Callable,
    action: Any,
    temperature: float,
    *,
    case: str,
    dynamics: str,
    alpha: float = 1.0,
    beta: float = 0.0,
    law: str = "virial identity",
) -> Row:
    """`E[theta . grad L] = T (alpha^2 E rank P + beta^2 E rank Q)` on the final parameters."""
    work, expected = virial_terms(loss, action, ensemble.final, temperature, alpha, beta)
    found = virial_test(np.asarray(work), np.asarray(expected))
    return Row(
        test=f"{dynamics}: {law}",
        case=case,
        dynamics=dynamics,
        law=law,
        reference="none",
        role="expected",
        draws=found.n,
        statistic=found.statistic,
        p_value=found.p_value,
        detail=f"ratio of the two sides {found.ratio:.4f} +- {found.ratio_error:.4f}",
        kind="virial",
    )


def curve(law: Any, low: float, high: float, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """The density of a law of one coordinate, by differences of its distribution function."""
    edges = np.linspace(low, high, points + 1)
    return 0.5 * (edges[1:] + edges[:-1]), np.diff(law.cdf(edges)) / np.diff(edges)


def marginal_curve(law: Any, index: int, low: float, high: float, points: int = 120):
    """The density of one coordinate of a law, by differences of its distribution function."""
    edges = np.linspace(low, high, points + 1)
    cdf = law.coordinate((index,)).cdf(edges)
    return 0.5 * (edges[1:] + edges[:-1]), np.diff(cdf) / np.diff(edges)


def figure(
    title: str,
    xlabel: str,
    samples: np.ndarray,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    expected: Sequence[str],
    limits: tuple[float, float] | None = None,
) -> FigureData:
    """One panel of a case's figure."""
    return FigureData(title, xlabel, samples, curves, tuple(expected), limits)
