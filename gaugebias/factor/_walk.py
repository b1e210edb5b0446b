"""A walk through the admissible matrices T, and how far each share can be pushed from it."""

import numpy as np

from ._factorisation import Factorisation
from ._nested import apply, farthest, one_component
from ._search import admissible, essential, local_minimum, matched

_EACH = 10  # rounds of the walk for each further start of a push
_SHARES, _PROPORTIONS = 5, 10  # components up to which SLSQP pushes them: its cost grows as K^6


def walk(factorisation: Factorisation, *, effort: int, seed: int) -> np.ndarray:
    """Admissible matrices reached from the identity by moving one component at a time, (S, K, K).

    Each move goes in a random direction of the space of profiles, to a vertex of the polytope
    that the other components leave, or a random part of the way there. The rows of each matrix are
    in the order that is nearest to that of the factorisation.
    """
    conditions = essential(factorisation.mixing, factorisation.basis)
    rng = np.random.default_rng(seed)
    k, columns = factorisation.basis.shape
    here = np.eye(k)
    seen = [here]
    for _ in range(effort):
        for component in rng.permutation(k):
            direction = here @ factorisation.basis @ rng.standard_normal(columns)
            length = 1.0 if rng.random() < 0.5 else rng.random()
            there = _move(here, int(component), direction, conditions, length)
            if there is not None:
                here = matched(there, factorisation.basis)
                seen.append(here)
    return np.stack(seen)


def push(factorisation: Factorisation, seen: np.ndarray, *, effort: int) -> np.ndarray:
    """`seen` and the matrices where shares of columns and proportions are least and greatest.

    Each is pushed from the best place seen so far: its own component by a linear program, then all
    of them by SLSQP where they are not too many. A local search: there may be places farther out.
    """
    conditions = essential(factorisation.mixing, factorisation.basis)
    weights = factorisation.row_totals @ factorisation.mixing / factorisation.total
    places = list(seen)
    more = effort // _EACH if factorisation.components == 3 else 0
    others = seen[1 :: max(1, len(seen) // max(1, more))][:more]
    for k in range(factorisation.components):
        aims: list[_Aim] = [_Share(k, sign * g) for g in factorisation.basis.T for sign in (-1, 1)]
        aims += [_Proportion(k, sign, weights) for sign in (-1, 1)]
        for aim in aims:
            best = _least(places, aim)
            there = _move(best, k, aim.direction(best), conditions)
            if there is not None:
                places.append(matched(there, factorisation.basis))
            if factorisation.components > (_SHARES if isinstance(aim, _Share) else _PROPORTIONS):
                continue
            # The set is not convex: other places may lead to other optima.
            for start in (_least(places, aim), *others):
                there = local_minimum(start, aim, *conditions, steps=50, ftol=1e-9)
                if there is not None:
                    places.append(matched(there, factorisation.basis))
    return np.stack(places)


def _least(places: list[np.ndarray], aim: "_Aim") -> np.ndarray:
    return min(places, key=lambda matrix: aim(matrix)[0])


class _Share:
    """A signed share of a column in component k, to be made small: linear in the row k of T."""

    def __init__(self, k: int, signed: np.ndarray):
        self.k, self.signed = k, signed

    def __call__(self, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.zeros_like(matrix)
        gradient[self.k] = self.signed
        return float(matrix[self.k] @ self.signed), gradient

    def direction(self, here: np.ndarray) -> np.ndarray:
        return -here @ self.signed


class _Proportion:
    """The signed proportion of component k, w^T T^-1 e_k: it falls with u_k alone."""

    def __init__(self, k: int, sign: float, weights: np.ndarray):
        self.k, self.sign, self.weights = k, sign, weights

    def __call__(self, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        inverse = np.linalg.inv(matrix)
        pulled = self.sign * self.weights @ inverse
        gradient = -np.outer(pulled, inverse[:, self.k])
        return float(pulled[self.k]), gradient

    def direction(self, here: np.ndarray) -> np.ndarray:
        return self.sign * np.eye(len(here))[self.k]


_Aim = _Share | _Proportion


def _move(
    here: np.ndarray,
    k: int,
    direction: np.ndarray,
    conditions: tuple[np.ndarray, np.ndarray],
    length: float = 1.0,
) -> np.ndarray | None:
    """Move component k as far as it goes in `direction`, barycentric, or part of the way."""
    u = farthest(one_component(*apply(here, *conditions), k), direction)
    if u is None:
        return None
    there = here.copy()
    there[k] += length * (u @ here)
    return there if admissible(there, *conditions) else None
