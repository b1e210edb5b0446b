"""How far each component can move while the fitted table stays the same."""

from typing import final

import equinox as eqx
import numpy as np

from ._factorisation import Factorisation
from ._nested import (
    apply,
    farthest,
    interval,
    one_component,
    outer_extreme,
    require_full_rank,
    segment,
)

_VIOLATION = 1e-8  # shares down to minus this are rounding of the linear programs


@final
class Movement(eqx.Module):
    r"""The ranges of a factorisation over the admissible matrices T.

    - `exact`: whether the ranges are exact (K = 2) or only attained (K >= 3: every end belongs to
      an explicit T, and there may be solutions farther out).
    - `basis_low`, `basis_high`: (K, J), shares of the columns in each component.
    - `mixing_low`, `mixing_high`: (I, K), shares of the components in each row.
    - `proportions_low`, `proportions_high`: (K,), of the whole table.
    - `bound_low`, `bound_high`: (J,): no component of any admissible solution leaves these; exact
      bounds of the outer polytope by linear programming, the same for all components.
    - `transforms`: (S, K, K), admissible matrices, the identity first: the four corners of the
      set for K = 2, a walk through it otherwise. All are connected to the identity, so that
      component k of each is component k of the factorisation, moved.
    - `determinants`: (S,), det(G G^T) of each.

    All of this is about the *fitted* table: the sampling error of the counts comes on top.
    """

    exact: bool
    basis_low: np.ndarray
    basis_high: np.ndarray
    mixing_low: np.ndarray
    mixing_high: np.ndarray
    proportions_low: np.ndarray
    proportions_high: np.ndarray
    bound_low: np.ndarray
    bound_high: np.ndarray
    transforms: np.ndarray
    determinants: np.ndarray

    @property
    def size(self) -> float:
        """The longest range of a share, in a component or in a row."""
        basis = np.max(self.basis_high - self.basis_low, initial=0.0)
        return float(max(basis, np.max(self.mixing_high - self.mixing_low, initial=0.0)))


def movement(factorisation: Factorisation, *, effort: int = 20, seed: int = 0) -> Movement:
    r"""How far each component can move: the ranges over all T with T 1 = 1, A T^-1, T G >= 0.

    K = 2: closed form, exact. The components move independently on a line between the farthest
    fitted row and the point where a share becomes 0.

    K >= 3: the set of admissible T is not convex, and describing it is as hard as non-negative
    factorisation itself. The places of *one* component while the others stay are a polytope, in
    which linear programs go as far as possible. A walk moves the components in turn, to vertices
    of these polytopes and part of the way; then each share of each component is pushed up and down
    from the best places seen. What is returned is attained, hence a lower bound of the freedom;
    `bound_low` and `bound_high` are an upper bound.

    **Arguments:** `effort`: rounds of the walk (K >= 3), each K linear programs of about a
    millisecond; `seed`: of its directions.

    **Returns:** a [`gaugebias.factor.Movement`][].

    **Raises:** `ValueError` where A or G has rank below K (then T is not determined), or `effort`
    is below 1.

    Source: re-derived; the conditions on T are those of arXiv 2512.22282.
    """
    if isinstance(effort, bool) or not isinstance(effort, int) or effort < 1:
        raise ValueError(f"`effort` is {effort!r}: give a whole number of at least 1.")
    mixing, basis = factorisation.mixing, factorisation.basis
    require_full_rank(mixing, basis)
    k = basis.shape[0]
    if k == 1:
        transforms = np.ones((1, 1, 1))
    elif k == 2:
        outer_low, inner_low, inner_high, outer_high = interval(mixing, basis)
        corners = [
            segment(first, second)
            for first in (outer_low, inner_low)
            for second in (inner_high, outer_high)
        ]
        transforms = np.stack([np.eye(2), *corners])
    else:
        transforms = _Walk(mixing, basis, seed).run(effort)
    moved = [apply(matrix, mixing, basis) for matrix in transforms]
    mixings = np.maximum(np.stack([pair[0] for pair in moved]), 0.0)
    bases = np.maximum(np.stack([pair[1] for pair in moved]), 0.0)
    weights = factorisation.row_totals / factorisation.total
    proportions = np.einsum("i,sik->sk", weights, mixings)
    low, high = _bounds(basis)
    return Movement(
        exact=k <= 2,
        basis_low=bases.min(axis=0),
        basis_high=bases.max(axis=0),
        mixing_low=mixings.min(axis=0),
        mixing_high=mixings.max(axis=0),
        proportions_low=proportions.min(axis=0),
        proportions_high=proportions.max(axis=0),
        bound_low=low,
        bound_high=high,
        transforms=transforms,
        determinants=np.linalg.det(bases @ np.swapaxes(bases, 1, 2)),
    )


def _bounds(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest share of each column in the outer polytope, (J,) each."""
    if len(basis) == 1:
        return basis[0].copy(), basis[0].copy()
    ends = []
    for sign in (-1.0, 1.0):
        end = []
        for column in basis.T:
            # A column alike in all components is the same everywhere in the plane.
            alike = np.ptp(column) == 0.0
            point = None if alike else outer_extreme(basis, sign * column)
            failed = 0.0 if sign < 0 else 1.0  # still a bound, only a poor one
            end.append(column[0] if alike else failed if point is None else point @ column)
        ends.append(np.clip(end, 0.0, 1.0))
    return ends[0], ends[1]


class _Walk:
    """Admissible matrices reached from the identity by moving one component at a time."""

    def __init__(self, mixing: np.ndarray, basis: np.ndarray, seed: int):
        self.mixing, self.basis = mixing, basis
        self.rng = np.random.default_rng(seed)
        self.seen = [np.eye(basis.shape[0])]

    def run(self, effort: int) -> np.ndarray:
        here = self.seen[0]
        for _ in range(effort):
            here = self._round(here, range(len(here)))
        self._push()
        return np.stack(self.seen)

    def _round(self, here: np.ndarray, order) -> np.ndarray:
        """Move the components in `order`, each to a vertex or part of the way."""
        for k in self.rng.permutation(list(order)):
            profile = self.rng.standard_normal(self.basis.shape[1])
            length = 1.0 if self.rng.random() < 0.5 else self.rng.random()
            here = self._move(here, int(k), here @ self.basis @ profile, length)
        return here

    def _move(
        self, here: np.ndarray, k: int, direction: np.ndarray, length: float = 1.0
    ) -> np.ndarray:
        """Move component k as far as it goes in `direction`, barycentric, or part of the way."""
        mixing, basis = apply(here, self.mixing, self.basis)
        u = farthest(one_component(mixing, basis, k), direction)
        if u is None:
            return here
        there = here.copy()
        there[k] += length * (u @ here)
        if not self._admissible(there):
            return here
        self.seen.append(there)
        return there

    def _admissible(self, matrix: np.ndarray) -> bool:
        if np.linalg.cond(matrix) > 1e8:
            return False
        mixing, basis = apply(matrix, self.mixing, self.basis)
        return mixing.min() >= -_VIOLATION and basis.min() >= -_VIOLATION

    def _push(self) -> None:
        """Every share up and down from the best place seen, with the other components moved too.

        Shares of columns are linear in the place of a component. Its shares of the rows are
        A_ik / (1 + u_k), all least or greatest with u_k.
        """
        for k in range(len(self.basis)):
            for column in self.basis.T:
                for signed in (-column, column):
                    self._climb(
                        k,
                        lambda here, signed=signed: here @ signed,
                        lambda here, signed=signed: here[k] @ signed,
                    )
            own = np.eye(len(self.basis))[k]
            for sign in (-1.0, 1.0):
                self._climb(
                    k,
                    lambda here, sign=sign, own=own: sign * own,
                    lambda here, sign=sign: -sign * float(self._share(here, k)),
                )

    def _share(self, here: np.ndarray, k: int) -> float:
        return float(self.mixing.mean(axis=0) @ np.linalg.inv(here)[:, k])

    def _climb(self, k: int, direction, value) -> None:
        others = [index for index in range(len(self.basis)) if index != k]
        best = max(self.seen, key=value)
        best = self._move(best, k, direction(best))
        for _ in range(1):
            trial = self._round(best, others)
            trial = self._move(trial, k, direction(trial))
            best = max(best, trial, key=value)
