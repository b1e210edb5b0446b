"""Rotations from the right, from the left and by conjugation."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Array, Params, PyTree, Where
from ._action import AbstractAction, as_coefficients
from ._leaves import (
    Slot,
    agreed,
    build_params,
    build_tangent,
    check_axes,
    check_where,
    freeze,
    select,
)
from ._matrices import (
    along,
    pairs,
    rotation,
    side,
    skew,
    symmetric_from_vector,
    vector_from_symmetric,
)


def _resolve(params: Params, where: Where, axis: Any) -> tuple[tuple[Slot, ...], int]:
    (slots,) = select(params, (where, axis, "where"), axes_name="axis")
    sizes = [slot.value.shape[slot.axis] for slot in slots if isinstance(slot.axis, int)]
    return slots, agreed(slots, sizes, "axis", "the rotated size")


def _angles(slots: tuple[Slot, ...], size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((pairs(size),), jnp.result_type(*(s.value for s in slots)))


def _turned(slots: tuple[Slot, ...], matrix: Array) -> dict[int, Array]:
    return {
        slot.index: along(slot.value, matrix.astype(slot.value.dtype), slot.axis)
        for slot in slots
        if isinstance(slot.axis, int)
    }


@final
class RightOrthogonal(AbstractAction):
    r"""Rotation from the right, \(U \to U O\) along an axis: the symmetry of \(U U^\top\).

    \(O = e^A\), with A the skew matrix whose entries above the diagonal are the coefficients:
    \(A_{ij} = c_{ij} = -A_{ji}\) for i < j. This basis is orthonormal for the Ad-invariant
    \(-\frac12 \mathrm{tr}\, AB\), so that pseudo-determinants are constant on orbits (2602.12257).

    **Arguments:**

    - `where`: the leaves, rotated together: a function, a path string or a tuple of them.
    - `axis`: the axis that is rotated, of size r, nested as the leaves; one serves all.

    **Coefficients:** angles, shape (r (r - 1) / 2,), i < j row by row.

    **Raises:** `ValueError` where a leaf is named twice or is not a real floating array, and
    where the rotated sizes differ.
    """

    where: Where = eqx.field(static=True, converter=freeze)
    axis: Any = eqx.field(static=True, converter=freeze, default=-1)

    def __check_init__(self) -> None:
        check_where(self.where, "where")
        check_axes(self.axis, "axis", whole=False)

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct` of shape (r (r - 1) / 2,)."""
        return _angles(*_resolve(params, self.where, self.axis))

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """`U A` along the axis, zero elsewhere."""
        slots, size = _resolve(params, self.where, self.axis)
        coeffs = as_coefficients(coeffs, _angles(slots, size))
        return build_tangent(params, _turned(slots, skew(coeffs, size)))

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """`U exp(A)` along the axis, everything else unchanged."""
        slots, size = _resolve(params, self.where, self.axis)
        coeffs = as_coefficients(coeffs, _angles(slots, size))
        return build_params(params, _turned(slots, rotation(coeffs, size)))


@final
class Orthogonal(AbstractAction):
    r"""Rotation from the left, \(x \to O x\) along an axis: the radial action of SO(d) on vectors.

    \(O = e^A\), \(A_{ij} = c_{ij} = -A_{ji}\) for i < j, as in `RightOrthogonal`. On a vector of
    more than two entries it has stabilisers of positive dimension (2602.12257, Example 1).

    **Arguments:**

    - `where`: the leaves, rotated together: a function, a path string or a tuple of them.
    - `axis`: the axis that is rotated, of size d, nested as the leaves; one serves all.

    **Coefficients:** angles, shape (d (d - 1) / 2,), i < j row by row.

    **Raises:** `ValueError` as in `RightOrthogonal`.
    """

    where: Where = eqx.field(static=True, converter=freeze)
    axis: Any = eqx.field(static=True, converter=freeze, default=0)

    def __check_init__(self) -> None:
        check_where(self.where, "where")
        check_axes(self.axis, "axis", whole=False)

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct` of shape (d (d - 1) / 2,)."""
        return _angles(*_resolve(params, self.where, self.axis))

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """`A x` along the axis, zero elsewhere."""
        slots, size = _resolve(params, self.where, self.axis)
        coeffs = as_coefficients(coeffs, _angles(slots, size))
        return build_tangent(params, _turned(slots, skew(coeffs, size).T))

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """`exp(A) x` along the axis, everything else unchanged."""
        slots, size = _resolve(params, self.where, self.axis)
        coeffs = as_coefficients(coeffs, _angles(slots, size))
        return build_params(params, _turned(slots, rotation(coeffs, size).T))


@final
class Conjugation(AbstractAction):
    r"""Rotation of a square matrix by conjugation, \(X \to O X O^\top\).

    \(O = e^A\), \(A_{ij} = c_{ij} = -A_{ji}\) for i < j, as in `RightOrthogonal`. On symmetric
    matrices its invariants are the eigenvalues (2602.12257, Example 2).

    **Arguments:** `where`, the leaves, conjugated together: a function, a path string or a tuple
    of them. A leaf is a matrix, shape (d, d), or a vector of length d (d + 1) / 2, the orthonormal
    coordinates of a symmetric matrix (see `symmetric_from_vector`).

    **Coefficients:** angles, shape (d (d - 1) / 2,), i < j row by row.

    **Raises:** `ValueError` as in `RightOrthogonal`, and where a leaf is neither.
    """

    where: Where = eqx.field(static=True, converter=freeze)

    def __check_init__(self) -> None:
        check_where(self.where, "where")

    def _resolve(self, params: Params) -> tuple[tuple[Slot, ...], int]:
        (slots,) = select(params, (self.where, None, "where"))
        sizes = []
        for slot in slots:
            shape = slot.value.shape
            if len(shape) == 2 and shape[0] == shape[1]:
                sizes.append(shape[0])
            elif len(shape) == 1 and side(shape[0]) is not None:
                sizes.append(side(shape[0]))
            else:
                raise ValueError(
                    f"`where` names {slot.path!r} of shape {shape}: conjugation needs a square "
                    "matrix, or a vector of length d (d + 1) / 2."
                )
        return slots, agreed(slots, sizes, "where", "the matrix size")

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct` of shape (d (d - 1) / 2,)."""
        return _angles(*self._resolve(params))

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """`A X - X A` at the named leaves (in their coordinates), zero elsewhere."""
        slots, size = self._resolve(params)
        a = skew(as_coefficients(coeffs, _angles(slots, size)), size)

        def bracket(x: Array) -> Array:
            turn = a.astype(x.dtype)
            return along(x, turn.T, 0) - along(x, turn, 1)

        return build_tangent(params, _on_matrices(slots, bracket))

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """`exp(A) X exp(-A)` at the named leaves (in their coordinates), all else unchanged."""
        slots, size = self._resolve(params)
        o = rotation(as_coefficients(coeffs, _angles(slots, size)), size)

        def conjugate(x: Array) -> Array:
            turn = o.astype(x.dtype).T
            return along(along(x, turn, 0), turn, 1)

        return build_params(params, _on_matrices(slots, conjugate))


def _on_matrices(slots: tuple[Slot, ...], fn: Any) -> dict[int, Array]:
    """Apply a map of matrices to each leaf, through its matrix where it is a vector."""
    return {
        slot.index: fn(slot.value)
        if slot.value.ndim == 2
        else vector_from_symmetric(fn(symmetric_from_vector(slot.value)))
        for slot in slots
    }
