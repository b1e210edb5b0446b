"""How far each component can move while the fitted table stays the same."""

from typing import final

import equinox as eqx
import numpy as np

from ._factorisation import Factorisation
from ._identify import extremes
from ._nested import apply, interval, outer_extreme, require_full_rank, segment
from ._walk import push, walk


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
    - `transforms`: (S, K, K), admissible matrices, the identity first: the corners of the set for
      K = 2, the places of a search otherwise. Component k of each is the one matched to component
      k of the factorisation, in the order with the least sum of squared differences of shares.
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
    of these polytopes and part of the way, and the rules of [`gaugebias.factor.identify`][] are
    followed. Then each share of each component, and its proportion, is pushed up and down from the
    best place seen, by the same linear programs and by SLSQP over all of T (shares up to K = 5,
    proportions up to K = 10; above, the ranges may be far from the whole). What is returned is
    attained, hence a lower bound of the freedom; `bound_low` and `bound_high` are an upper bound.
    Shares of the rows are those of the places seen.

    **Arguments:** `effort` (K >= 3): rounds of the walk, each K linear programs; for K = 3 SLSQP
    starts from one more place for every ten of them. `seed`: of the directions of the walk.

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
        seen = walk(factorisation, effort=effort, seed=seed)
        seen = np.concatenate([seen, *([end] for end in extremes(factorisation))])
        transforms = push(factorisation, seen, effort=effort)
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
