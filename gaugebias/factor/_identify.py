"""One solution out of the admissible ones, by a rule: inner, outer, minimum volume."""

import itertools
from typing import final

import equinox as eqx
import numpy as np

from ._factorisation import Factorisation
from ._nested import interval, require_full_rank, segment
from ._scattered import sufficiently_scattered
from ._search import essential, local_minimum, matched
from ._walk import walk

RULES: dict[str, str] = {
    "inner": "the components as near to each other as the fitted rows allow",
    "outer": "the components as far from each other as non-negative shares allow",
    "minimum-volume": "the simplex of components with the least volume around the fitted rows",
}
"""Rule -> what it asks for."""

_MANY = 10


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
    quadratic programming (SLSQP) from the identity and from the best places of the walk of
    [`gaugebias.factor.movement`][]. The time of a search grows as K^6: all eight take about 2 s for
    K = 6, 7 s for K = 10 and two minutes for K = 17.

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
    pool = walk(factorisation, effort=effort, seed=seed)
    order = np.argsort([objective(matrix)[0] for matrix in pool])
    chosen = [pool[0], *(pool[index] for index in order[: starts - 1])]
    conditions = essential(mixing, basis)
    found = [local_minimum(start, objective, *conditions) for start in chosen]
    # The best place of the walk is a solution too, should every search have failed.
    ends = [*(end for end in found if end is not None), pool[order[0]]]
    values = np.array([objective(end)[0] for end in ends])
    agreeing = int(np.sum(values[:-1] <= values.min() + 1e-4 * max(1.0, abs(values.min()))))
    best = ends[int(values.argmin())]
    return _result(factorisation, best, objective, False, len(ends) - 1, agreeing)


def extremes(factorisation: Factorisation) -> list[np.ndarray]:
    """For each rule the matrix T, (K, K), that a search from the identity finds (K <= 10)."""
    if factorisation.components > _MANY:
        return []
    conditions = essential(factorisation.mixing, factorisation.basis)
    start = np.eye(factorisation.components)
    found = [
        local_minimum(start, _Objective(rule, factorisation), *conditions, steps=100)
        for rule in RULES
    ]
    return [matched(end, factorisation.basis) for end in found if end is not None]


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
