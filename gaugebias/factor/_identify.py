"""One solution out of the admissible ones, by a rule: inner, outer, minimum volume."""

import itertools
from collections.abc import Callable
from typing import final

import equinox as eqx
import numpy as np

from ._factorisation import Factorisation
from ._movement import movement
from ._nested import apply, interval, require_full_rank, segment
from ._region import hull_rows
from ._scattered import sufficiently_scattered

RULES: dict[str, str] = {
    "inner": "the components as near to each other as the fitted rows allow",
    "outer": "the components as far from each other as non-negative shares allow",
    "minimum-volume": "the simplex of components with the least volume around the fitted rows",
}
"""Rule -> what it asks for."""

_FEASIBLE = 1e-8


@final
class Identified(eqx.Module):
    """The factorisation that a rule picks.

    - `factorisation`: with the fitted table unchanged.
    - `transform`: T, (K, K), that leads to it.
    - `rule`: its name.
    - `value`: of the objective: the sum of chi-squared distances between components ("inner",
      "outer"), or det(G G^T).
    - `exact`: whether it is known to be the global optimum: K <= 2 (closed form), or minimum
      volume with a sufficiently scattered mixing. Otherwise it is the best local one found.
    - `starts`, `agreeing`: searches that ended admissibly, and those of them within 1e-4 of the
      best value.
    """

    factorisation: Factorisation
    transform: np.ndarray
    rule: str
    value: float
    exact: bool
    starts: int
    agreeing: int


def identify(
    factorisation: Factorisation, rule: str, *, starts: int = 8, effort: int = 10, seed: int = 0
) -> Identified:
    r"""Choose T with T 1 = 1, A T^-1 >= 0, T G >= 0 by a rule.

    - "inner": least \(\sum_{k<l} \delta_{kl}\), with \(\delta_{kl}^2 = \sum_j (G_{kj} - G_{lj})^2
      / c_j\) the squared chi-squared distance and c_j the column sums of the fitted profiles;
    - "outer": the greatest such sum;
    - "minimum-volume": least \(\det(G G^\top) \propto \det(T)^2\).

    K = 2: closed form: the two farthest fitted rows for "inner" and "minimum-volume", the two
    points where a share becomes 0 for "outer". K >= 3: the problem is not convex; sequential
    quadratic programming (SLSQP) from the identity and from the best of the matrices that
    [`gaugebias.factor.movement`][] walks through.

    **Arguments:** `rule`; `starts` of the search; `effort`, `seed` of the walk.

    **Returns:** a [`gaugebias.factor.Identified`][].

    **Raises:** `ValueError` for an unknown rule, `starts` below 1, or factors of rank below K.

    Source: re-derived, the rules being those of latent budget analysis (arXiv 2512.22282);
    protocol ours: shares are kept non-negative to rounding, not to -1e-3.
    """
    if rule not in RULES:
        raise ValueError(f"`rule` is {rule!r}: choose from {', '.join(RULES)}.")
    if isinstance(starts, bool) or not isinstance(starts, int) or starts < 1:
        raise ValueError(f"`starts` is {starts!r}: give a whole number of at least 1.")
    mixing, basis = factorisation.mixing, factorisation.basis
    require_full_rank(mixing, basis)
    objective = _Objective(rule, factorisation)
    k = factorisation.components
    if k == 1:
        return _result(factorisation, np.ones((1, 1)), objective, True, 1, 1)
    if k == 2:
        outer_low, inner_low, inner_high, outer_high = interval(mixing, basis)
        ends = (outer_low, outer_high) if rule == "outer" else (inner_low, inner_high)
        return _result(factorisation, segment(*ends), objective, True, 1, 1)
    pool = movement(factorisation, effort=effort, seed=seed).transforms
    order = np.argsort([objective(matrix)[0] for matrix in pool])
    chosen = [pool[0], *(pool[index] for index in order[: starts - 1])]
    hull = mixing[hull_rows(mixing)]
    ends = [_search(start, objective, hull, basis) for start in chosen]
    # A start that the search did not improve is still a solution.
    ends = [end for end in ends if end is not None] or [pool[order[0]]]
    best_start = pool[order[0]]
    values = np.array([objective(end)[0] for end in ends])
    best = ends[int(values.argmin())]
    if objective(best_start)[0] < values.min():
        best = best_start
    agreeing = int(np.sum(values <= values.min() + 1e-4 * max(1.0, abs(values.min()))))
    return _result(factorisation, best, objective, False, len(ends), agreeing)


def _result(
    factorisation: Factorisation,
    transform: np.ndarray,
    objective: "_Objective",
    exact: bool,
    starts: int,
    agreeing: int,
) -> Identified:
    found = factorisation.transformed(transform)
    if objective.rule == "minimum-volume" and not exact:
        exact = sufficiently_scattered(found.mixing).holds is True
    value = found.determinant if objective.rule == "minimum-volume" else objective.spread(found)
    return Identified(found, transform, objective.rule, value, exact, starts, agreeing)


class _Objective:
    """What a rule minimises, as a function of T, with its gradient."""

    def __init__(self, rule: str, factorisation: Factorisation):
        self.rule = rule
        sums = factorisation.profiles.sum(axis=0)
        self.weights = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
        self.metric = (factorisation.basis * self.weights) @ factorisation.basis.T
        self.pairs = list(itertools.combinations(range(factorisation.components), 2))

    def __call__(self, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        if self.rule == "minimum-volume":
            sign, size = np.linalg.slogdet(matrix)
            if sign == 0:
                return -np.inf, np.zeros_like(matrix)
            return float(size), np.linalg.inv(matrix).T
        sign = 1.0 if self.rule == "inner" else -1.0
        total, gradient = 0.0, np.zeros_like(matrix)
        for k, other in self.pairs:
            apart = matrix[k] - matrix[other]
            pull = self.metric @ apart
            distance = float(np.sqrt(max(apart @ pull, 0.0)))
            total += distance
            if distance > 0:
                gradient[k] += pull / distance
                gradient[other] -= pull / distance
        return sign * total, sign * gradient

    def spread(self, found: Factorisation) -> float:
        """The sum of the chi-squared distances between the components."""
        apart = [found.basis[k] - found.basis[other] for k, other in self.pairs]
        return float(sum(np.sqrt(np.sum(x**2 * self.weights)) for x in apart))


def _search(
    start: np.ndarray, objective: Callable, hull: np.ndarray, basis: np.ndarray
) -> np.ndarray | None:
    """A local optimum near `start`, or `None` where the search ends outside."""
    from scipy.optimize import minimize

    k = len(basis)

    def full(z: np.ndarray) -> np.ndarray:
        free = z.reshape(k, k - 1)
        return np.column_stack([free, 1.0 - free.sum(axis=1)])

    def reduced(gradient: np.ndarray) -> np.ndarray:
        """From derivatives by T, (..., k, k), to those by its first k - 1 columns."""
        return (gradient[..., :-1] - gradient[..., -1:]).reshape(*gradient.shape[:-2], -1)

    def value(z: np.ndarray) -> tuple[float, np.ndarray]:
        size, gradient = objective(full(z))
        return size, reduced(gradient)

    def shares(z: np.ndarray) -> np.ndarray:
        mixing, moved = apply(full(z), hull, basis)
        return np.concatenate([mixing.ravel(), moved.ravel()])

    def slopes(z: np.ndarray) -> np.ndarray:
        # d(A T^-1) = -A T^-1 dT T^-1 and d(T G) = dT G.
        matrix = full(z)
        inverse = np.linalg.inv(matrix)
        first = -np.einsum("ia,bl->ilab", hull @ inverse, inverse).reshape(-1, k, k)
        second = np.einsum("ka,bj->kjab", np.eye(k), basis).reshape(-1, k, k)
        return reduced(np.concatenate([first, second]))

    try:
        with np.errstate(all="ignore"):
            found = minimize(
                value,
                start[:, :-1].ravel(),
                jac=True,
                method="SLSQP",
                constraints=[{"type": "ineq", "fun": shares, "jac": slopes}],
                options={"maxiter": 200, "ftol": 1e-12},
            )
    except (np.linalg.LinAlgError, ValueError):  # it stepped onto a singular T
        return None
    matrix = full(found.x)
    if not np.isfinite(matrix).all() or np.linalg.cond(matrix) > 1e8:
        return None
    return matrix if shares(found.x).min() >= -_FEASIBLE else None
