"""What a solver found from each of its starts, and the best of them."""

from typing import final

import equinox as eqx
import numpy as np

from ._counts import CountTable
from ._factorisation import Factorisation
from ._measures import deviance, residual_sum_of_squares

CONVERGED, MAX_STEPS, NOT_FINITE, COLLAPSED = range(4)
RESULTS: dict[int, str] = {
    CONVERGED: "converged",
    MAX_STEPS: "stopped at the most steps allowed",
    NOT_FINITE: "met values that are not finite",
    COLLAPSED: "lost a component (no weight, or equal to a mixture of the others)",
}
"""Result code -> what it means."""


@final
class Fit(eqx.Module):
    """The starts of one solver on one table; S starts, K components.

    - `factorisation`: the best start, components in falling order of their share of the table.
    - `best`: its number.
    - `solver`, `objective`: names. The objective is least at the best start.
    - `objectives`: (S,), final values, NaN where the start failed.
    - `mixing`, `basis`: (S, I, K) and (S, K, J), what each start found.
    - `iterations`, `results`: (S,) integers; codes as in `RESULTS`.
    - `trace`: (S, m), the objective every `every` iterations from the start, NaN afterwards.
    - `every`: iterations between two values of the trace.
    - `normalised`: (S,), how far a row of the solver's product was from summing to 1 before it was
      divided by its sum; 0 for solvers that keep the sums.
    - `row_totals`: (I,), of the table.
    - `one_component`: the deviance, or else the residual sum of squares, of the best fit with one
      component: what there is to explain.
    """

    factorisation: Factorisation
    best: int
    solver: str
    objective: str
    objectives: np.ndarray
    mixing: np.ndarray
    basis: np.ndarray
    iterations: np.ndarray
    results: np.ndarray
    trace: np.ndarray
    every: int
    normalised: np.ndarray
    row_totals: np.ndarray
    one_component: float

    @property
    def determinants(self) -> np.ndarray:
        """det(G G^T) of each start, (S,), NaN where it failed."""
        return np.linalg.det(self.basis @ np.swapaxes(self.basis, 1, 2))

    @property
    def margin(self) -> float:
        """How far above the best objective a start still agrees with it: 1e-4 of it, or 1e-6 of the
        distance from it to the fit of one component where that is more (an exact fit).
        """
        best = float(self.objectives[self.best])
        return max(1e-4 * abs(best), 1e-6 * max(self.one_component - best, 0.0))

    @property
    def agreeing(self) -> np.ndarray:
        """(S,) booleans: the objective is the best one, to within `margin`."""
        with np.errstate(invalid="ignore"):
            return self.objectives <= self.objectives[self.best] + self.margin

    def start(self, number: int | np.integer) -> Factorisation:
        """What start `number`, from 0, found. Raises `ValueError` where it failed."""
        if not 0 <= number < len(self.objectives):
            raise ValueError(f"`number` is {number}: the starts are 0 to {len(self.results) - 1}.")
        if not np.isfinite(self.objectives[number]):
            raise ValueError(f"start {number} {RESULTS[int(self.results[number])]}.")
        return Factorisation(self.mixing[number], self.basis[number], self.row_totals)


def collect(
    table: CountTable,
    solver: str,
    objective: str,
    *,
    mixing: np.ndarray,
    basis: np.ndarray,
    objectives: np.ndarray,
    iterations: np.ndarray,
    results: np.ndarray,
    trace: np.ndarray,
    every: int = 1,
    normalised: np.ndarray | None = None,
) -> Fit:
    """A `Fit` from what the starts returned, each failure kept as its code.

    **Raises:** `ValueError` where every start failed, with the codes.
    """
    mixing, basis = np.array(mixing, np.float64), np.array(basis, np.float64)
    objectives = np.array(objectives, np.float64)
    results = np.array(results, np.int64)
    finite = np.isfinite(objectives)
    finite &= np.isfinite(mixing).all(axis=(1, 2)) & np.isfinite(basis).all(axis=(1, 2))
    results[~finite] = NOT_FINITE
    lost = finite.copy()
    for number in np.flatnonzero(finite):
        dead = not (mixing[number].sum(axis=0) > 1e-12).all()
        scaled = np.linalg.svd(basis[number], compute_uv=False)
        lost[number] = dead or scaled[-1] < 1e-10 * scaled[0]
    results[lost] = COLLAPSED
    usable = finite & ~lost
    objectives[~usable] = np.nan
    mixing[~usable] = basis[~usable] = np.nan
    if not usable.any():
        said = "; ".join(RESULTS[code] for code in sorted(set(results.tolist())))
        raise ValueError(
            f"`starts`: none of the {len(results)} starts of {solver} gave a solution ({said}): "
            "give more starts, another seed or fewer components."
        )
    # Rows sum to 1 to float64, also where the solver ran in float32.
    mixing /= mixing.sum(axis=2, keepdims=True)
    basis /= basis.sum(axis=2, keepdims=True)
    best = int(np.nanargmin(objectives))
    found = Factorisation(mixing[best], basis[best], table.row_totals)
    return Fit(
        factorisation=found.permuted(np.argsort(-found.proportions, kind="stable")),
        best=best,
        solver=solver,
        objective=objective,
        objectives=objectives,
        mixing=mixing,
        basis=basis,
        iterations=np.asarray(iterations, np.int64),
        results=results,
        trace=np.asarray(trace, np.float64),
        every=every,
        normalised=np.zeros(len(results)) if normalised is None else np.asarray(normalised),
        row_totals=table.row_totals,
        one_component=_one_component(table, objective),
    )


def _one_component(table: CountTable, objective: str) -> float:
    likelihood = objective == "deviance"
    margin = table.values.sum(axis=0) / table.total if likelihood else table.profiles.mean(axis=0)
    one = Factorisation(np.ones((len(table.values), 1)), margin[None], table.row_totals)
    return (deviance if likelihood else residual_sum_of_squares)(table, one)


def check_starts(starts: int, max_steps: int, tol: float) -> None:
    """`ValueError` naming the argument where one of them is out of range."""
    for name, value in (("starts", starts), ("max_steps", max_steps)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` is {value!r}: give a whole number of at least 1.")
    if not 0 < tol < 1:
        raise ValueError(f"`tol` is {tol}: give a number between 0 and 1.")
