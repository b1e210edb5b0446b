"""One factorisation, seen as any of the five models."""

from typing import final

import equinox as eqx
import numpy as np

from ._models import EMA, LBA, LCA, MODELS, NMF, PLSA, Model
from ._search import nearest_order

_SUM = 1e-8  # how far sums of given probabilities may be from 1


def _float64(x: object) -> np.ndarray:
    return np.array(x, dtype=np.float64)


@final
class Factorisation(eqx.Module):
    r"""A table as a mixture: \(X = D_r A G\), with A and G row-stochastic.

    **Arguments** (float64 arrays on the host):

    - `mixing`: A, (I, K): the shares of the K components in each row.
    - `basis`: G, (K, J): the distribution over columns of each component.
    - `row_totals`: r, (I,), positive.
    - `scale`: d, (K,), positive; 1 by default. Only the non-negative view has it.

    The views are

    - row-stochastic (latent budgets, end members, asymmetric PLSA): \(P = A G\);
    - joint (latent classes, symmetric PLSA): \(X / n = \sum_k \pi_k a_k b_k^\top\) with
      \(n = \sum_i r_i\), \(\pi = A^\top r / n\), \(a_k = D_r A_k / (n \pi_k)\), \(b_k = G_k\);
    - non-negative: \(X = M H\) with \(M = D_r A D^{-1}\), \(H = D G\), \(D = diag(d)\).

    Row totals are part of the model, and are the row sums of M H, so that each view determines
    all the others: \(d = H 1\), \(r = M d\). The only thing a bare view can lose is d, which
    is a choice of units.

    **Raises:** `ValueError` naming the argument where shapes do not fit, an entry is negative or
    not finite, rows do not sum to 1 to within 1e-8, or `row_totals` or `scale` is not positive.

    Source: re-derived (the correspondence is the subject of arXiv 2512.22282); the formulas are
    standard.

    !!! example

        ```python
        f = Factorisation.of(NMF(left, right))
        weights, rows, columns, total = f.lca()
        ```
    """

    mixing: np.ndarray = eqx.field(converter=_float64)
    basis: np.ndarray = eqx.field(converter=_float64)
    row_totals: np.ndarray = eqx.field(converter=_float64)
    scale: np.ndarray = eqx.field(converter=_float64)

    def __init__(self, mixing, basis, row_totals, scale=None):
        self.mixing = mixing
        self.basis = basis
        self.row_totals = row_totals
        self.scale = np.ones(np.shape(basis)[:1]) if scale is None else scale

    def __check_init__(self) -> None:
        a, g, r, d = self.mixing, self.basis, self.row_totals, self.scale
        if a.ndim != 2 or g.ndim != 2 or a.shape[1] != g.shape[0] or a.shape[1] == 0:
            raise ValueError(
                f"`mixing` has shape {a.shape} and `basis` {g.shape}: give (I, K) and (K, J)."
            )
        if r.shape != a.shape[:1] or d.shape != g.shape[:1]:
            raise ValueError(
                f"`row_totals` has shape {r.shape} and `scale` {d.shape}: give {a.shape[:1]} and "
                f"{g.shape[:1]}."
            )
        for name, value in (("mixing", a), ("basis", g)):
            _nonnegative(value, name)
            off = np.abs(value.sum(axis=1) - 1.0)
            if off.max() > _SUM:
                row = int(off.argmax())
                raise ValueError(
                    f"`{name}`: row {row + 1} sums to {value[row].sum():.9g}, not 1: divide the "
                    "rows by their sums, or use the view that carries other sums."
                )
        for name, value in (("row_totals", r), ("scale", d)):
            if not (np.isfinite(value) & (value > 0)).all():
                raise ValueError(
                    f"`{name}` must be positive and finite, but holds {value.min():g}."
                )

    @property
    def components(self) -> int:
        """K."""
        return self.basis.shape[0]

    @property
    def total(self) -> float:
        """n, the sum of the fitted table."""
        return float(self.row_totals.sum())

    @property
    def profiles(self) -> np.ndarray:
        """A G, (I, J)."""
        return self.mixing @ self.basis

    @property
    def fitted(self) -> np.ndarray:
        """The table that the model stands for, (I, J)."""
        return self.row_totals[:, None] * self.profiles

    @property
    def proportions(self) -> np.ndarray:
        """The share of each component in the whole table, pi = A^T r / n, (K,)."""
        return self.mixing.T @ self.row_totals / self.total

    @property
    def determinant(self) -> float:
        """det(G G^T): the squared volume of the parallelepiped that the components span."""
        return float(np.linalg.det(self.basis @ self.basis.T))

    def lba(self) -> LBA:
        """Latent budgets: A and B = G^T."""
        return LBA(self.mixing.copy(), self.basis.T.copy(), self.row_totals.copy())

    def ema(self) -> EMA:
        """End members: A and G."""
        return EMA(self.mixing.copy(), self.basis.copy(), self.row_totals.copy())

    def plsa(self) -> PLSA:
        """Topics of documents and words of topics: A and G."""
        return PLSA(self.mixing.copy(), self.basis.copy(), self.row_totals.copy())

    def lca(self) -> LCA:
        """Latent classes. Raises `ValueError` where a component has no weight in any row."""
        joint = self.row_totals[:, None] * self.mixing
        sizes = joint.sum(axis=0)
        if not (sizes > 0).all():
            k = int(sizes.argmin())
            raise ValueError(
                f"component {k + 1} has weight 0 in every row, so that no class goes with it: fit "
                "fewer components."
            )
        return LCA(sizes / self.total, joint / sizes, self.basis.T.copy(), self.total)

    def nmf(self) -> NMF:
        """The two factors of the fitted table, in the units of `scale`."""
        left = self.row_totals[:, None] * self.mixing / self.scale
        return NMF(left, self.scale[:, None] * self.basis)

    def view(self, model: str) -> Model:
        """The arrays of one of the models "lba", "ema", "plsa", "lca", "nmf"."""
        if model not in MODELS:
            raise ValueError(f"`model` is {model!r}: choose from {', '.join(MODELS)}.")
        return getattr(self, model)()

    @staticmethod
    def of(model: Model) -> "Factorisation":
        """The factorisation that the arrays of a model stand for.

        **Raises:** `ValueError` where they are none (see the class), a class has no weight, or a
        row of M H is zero, or `model` is none of the five types.
        """
        if isinstance(model, LBA):
            return Factorisation(model.mixing, np.transpose(model.budgets), model.row_totals)
        if isinstance(model, EMA | PLSA):
            return Factorisation(*model)
        if isinstance(model, LCA):
            weights, rows = _float64(model.weights), _float64(model.rows)
            _nonnegative(weights, "weights")
            _nonnegative(rows, "rows")
            _sums_to_one(weights, "weights")
            _sums_to_one(rows, "rows")
            joint = weights * rows
            sizes = _positive(joint.sum(axis=1), "the joint distribution", "row")
            return Factorisation(
                joint / sizes[:, None], np.transpose(model.columns), float(model.total) * sizes
            )
        if isinstance(model, NMF):
            left, right = _float64(model.left), _float64(model.right)
            _nonnegative(left, "left")
            _nonnegative(right, "right")
            scale = _positive(right.sum(axis=1), "`right`", "row")
            weighted = left * scale
            sizes = _positive(weighted.sum(axis=1), "the product of `left` and `right`", "row")
            return Factorisation(weighted / sizes[:, None], right / scale[:, None], sizes, scale)
        raise ValueError(
            f"`model` is a {type(model).__name__}: give one of "
            f"{', '.join(kind.__name__ for kind in MODELS.values())}."
        )

    @staticmethod
    def of_profiles(
        model: NMF, row_totals: np.ndarray, *, normalise: bool = False
    ) -> "Factorisation":
        r"""The factorisation of a non-negative fit M H to the *profiles* P, not to the table.

        There \(M H 1 = 1\) must hold, as it does for an exact fit; a least-squares fit misses it.
        With `normalise` the rows of M H are divided by their sums: the profiles that come out are
        no longer M H, and `nmf()` gives the factors of \(D_r\) times them.

        **Raises:** `ValueError` where a row of M H does not sum to 1 to within 1e-8 and
        `normalise` is false, saying by how much.
        """
        made = Factorisation.of(model)
        off = float(np.abs(made.row_totals - 1.0).max())
        if off > _SUM and not normalise:
            raise ValueError(
                f"`model` is no exact fit of profiles: a row of M H sums to 1 only to within "
                f"{off:.3g}; pass `normalise=True` to divide the rows by their sums."
            )
        return Factorisation(made.mixing, made.basis, row_totals, made.scale)

    def permuted(self, order) -> "Factorisation":
        """The same factorisation with its components in another order."""
        order = np.asarray(order)
        if sorted(order.tolist()) != list(range(self.components)):
            raise ValueError(f"`order` is {order.tolist()}: give a permutation of the components.")
        return Factorisation(
            self.mixing[:, order], self.basis[order], self.row_totals, self.scale[order]
        )

    def matched(self, other: "Factorisation") -> "Factorisation":
        """The same factorisation, components in the order nearest to that of `other`.

        Nearest is the least sum of squared differences between shares of columns.

        **Raises:** `ValueError` where the two have other numbers of components or columns.
        """
        if other.basis.shape != self.basis.shape:
            raise ValueError(
                f"`other` has a basis of shape {other.basis.shape}, this one of "
                f"{self.basis.shape}: give one with as many components and columns."
            )
        return self.permuted(nearest_order(self.basis, other.basis))

    def transformed(self, matrix, *, atol: float = 1e-8) -> "Factorisation":
        r"""The other factorisation \((A T^{-1}, T G)\) of the same table, with scale 1.

        **Arguments:** `matrix`: T, (K, K), invertible, rows summing to 1; `atol`: entries down to
        `-atol` are rounding, and become 0.

        **Raises:** `ValueError` where T is not admissible: rows that do not sum to 1, a singular
        T, or a product with an entry below `-atol`.
        """
        t = _float64(matrix)
        k = self.components
        if t.shape != (k, k):
            raise ValueError(f"`matrix` has shape {t.shape}: give ({k}, {k}).")
        if not np.isfinite(t).all() or np.abs(t.sum(axis=1) - 1.0).max() > _SUM:
            raise ValueError("`matrix` must have finite rows that sum to 1.")
        if np.linalg.cond(t) > 1e12:
            raise ValueError("`matrix` is singular: two components would become one.")
        mixing, basis = np.linalg.solve(t.T, self.mixing.T).T, t @ self.basis
        for name, value in (("A T^-1", mixing), ("T G", basis)):
            if value.min() < -atol:
                raise ValueError(
                    f"`matrix` is not admissible: {name} has the entry {value.min():.3g}, and "
                    "shares are not negative."
                )
        mixing, basis = np.maximum(mixing, 0.0), np.maximum(basis, 0.0)
        return Factorisation(
            mixing / mixing.sum(axis=1, keepdims=True),
            basis / basis.sum(axis=1, keepdims=True),
            self.row_totals,
        )


def _nonnegative(value: np.ndarray, name: str) -> None:
    if not np.isfinite(value).all():
        raise ValueError(f"`{name}` holds values that are not finite.")
    if value.min(initial=0.0) < 0:
        raise ValueError(f"`{name}` has the negative entry {value.min():g}: shares are 0 or more.")


def _sums_to_one(value: np.ndarray, name: str) -> None:
    off = float(np.abs(value.sum(axis=0) - 1.0).max())
    if off > _SUM:
        raise ValueError(f"`{name}` must sum to 1 over its first axis, but is off by {off:.3g}.")


def _positive(sums: np.ndarray, name: str, kind: str) -> np.ndarray:
    if not (sums > 0).all():
        raise ValueError(f"{name} has the {kind} {int(sums.argmin()) + 1} with sum 0: drop it.")
    return sums
