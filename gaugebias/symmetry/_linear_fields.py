"""An action by affine fields: matrices along axes and shifts, generator by generator."""

from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Array, Params, PyTree
from ._action import AbstractAction, as_coefficients
from ._leaves import Slot, build_params, build_tangent, select
from ._matrices import along

_STEPS = 32
_ORDER = 24
_LARGEST = 64.0


@final
class LinearFields(AbstractAction):
    r"""Generators that are affine on each leaf: matrices along axes, and shifts.

    Generator number a moves a leaf x by \(\sum_s x \cdot A_{a,s} + t_a\), where \(x \cdot A\)
    contracts one axis of x with the rows of A. The form in which
    `gaugebias.discover` returns a symmetry that no standard group explains; it can hold any
    linear group.

    **Arguments:**

    - `matrices`: `{(path, axis): array}` with arrays of shape (k, r, r), or (k, r) for diagonal
      matrices; `{(path, axis, batch): array}` with shape (k, h, r, r), one matrix for each index
      of the axis `batch`; `{(path, None): array}` with shape (k,), the whole leaf multiplied.
      `path` is a path string such as ``"layers.0.weight"``.
    - `shifts`: `{path: array}`, shape (k, \*leaf).

    **Coefficients:** shape (k,).

    `flow` sums the exponential series of the affine field in 32 steps: to rounding where the sum
    of the matrices' row-sum norms is below 64, NaN above (take a smaller step, several times).

    **Raises:** `ValueError` where the numbers of generators or the shapes do not agree.

    !!! Example

        ```python
        # rotations of the plane
        act = LinearFields({("", 0): jnp.array([[[0.0, -1.0], [1.0, 0.0]]])})
        act.flow(jnp.array([1.0, 0.0]), jnp.array([jnp.pi / 2]))  # [0, -1]
        ```
    """

    places: tuple[tuple[str, int | None, int | None], ...] = eqx.field(static=True)
    paths: tuple[str, ...] = eqx.field(static=True)
    matrices: tuple[Array, ...]
    shifts: tuple[Array, ...]

    def __init__(
        self,
        matrices: Mapping[tuple[Any, ...], Any] | None = None,
        shifts: Mapping[str, Any] | None = None,
    ):
        matrices = {} if matrices is None else dict(matrices)
        shifts = {} if shifts is None else dict(shifts)
        places = []
        for key in matrices:
            if len(key) not in (2, 3) or not isinstance(key[0], str):
                raise ValueError(
                    f"`matrices` must have keys (path, axis) or (path, axis, batch), not {key!r}."
                )
            axis = None if key[1] is None else int(key[1])
            places.append((key[0], axis, int(key[2]) if len(key) == 3 else None))
        self.places = tuple(places)
        self.paths = tuple(shifts)
        self.matrices = tuple(jnp.asarray(x) for x in matrices.values())
        self.shifts = tuple(jnp.asarray(x) for x in shifts.values())

    def __check_init__(self) -> None:
        arrays = (*self.matrices, *self.shifts)
        if not arrays:
            raise ValueError("`matrices` and `shifts` are empty: give at least one array.")
        if any(x.ndim == 0 for x in arrays) or len({x.shape[0] for x in arrays}) != 1:
            raise ValueError(
                "`matrices` and `shifts` must all have one entry for each generator along their "
                f"first axis: their shapes are {[x.shape for x in arrays]}."
            )
        for (path, axis, batch), x in zip(self.places, self.matrices, strict=True):
            ranks = (1,) if axis is None else (4,) if batch is not None else (2, 3)
            if x.ndim not in ranks or (x.ndim > 2 and x.shape[-1] != x.shape[-2]):
                raise ValueError(
                    f"`matrices` for {path!r} must have shape (k, r, r), (k, r), with `batch` "
                    f"(k, h, r, r), or (k,) for the axis None, not {x.shape}."
                )

    def _slots(self, params: Params) -> tuple[list[Any], list[Any]]:
        """Triples (slot, batch, matrices) and pairs (slot, shifts)."""
        moved = []
        for (path, axis, batch), matrix in zip(self.places, self.matrices, strict=True):
            ((slot,),) = select(params, (path, axis, "matrices"))
            shape = slot.value.shape
            wanted = () if axis is None else (shape[axis],)
            wanted = wanted if batch is None else (shape[batch], *wanted)
            given = matrix.shape[1:-1] if matrix.ndim > 2 else matrix.shape[1:]
            if given != wanted:
                raise ValueError(
                    f"`matrices` for {path!r} have shape {matrix.shape}, which does not fit axis "
                    f"{axis} of a leaf of shape {shape}."
                )
            moved.append((slot, batch, matrix))
        shifted = []
        for path, shift in zip(self.paths, self.shifts, strict=True):
            ((slot,),) = select(params, (path, None, "shifts"))
            if shift.shape[1:] != slot.value.shape:
                raise ValueError(
                    f"`shifts` for {path!r} have shape {shift.shape[1:]} after the generators, the "
                    f"leaf {slot.value.shape}."
                )
            shifted.append((slot, shift))
        return moved, shifted

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct` of shape (k,)."""
        moved, shifted = self._slots(params)
        dtypes = [slot.value.dtype for slot, *_ in (*moved, *shifted)]
        k = (*self.matrices, *self.shifts)[0].shape[0]
        return jax.ShapeDtypeStruct((k,), jnp.result_type(*dtypes))

    def _combined(self, params: Params, coeffs: PyTree) -> tuple[list[Any], dict[int, Array], Any]:
        """Matrices and shifts of one field, and the leaves that it moves."""
        coeffs = as_coefficients(coeffs, self.algebra(params))
        moved, shifted = self._slots(params)

        def mix(array: Array, slot: Slot) -> Array:
            dtype = slot.value.dtype
            return jnp.tensordot(coeffs.astype(dtype), array.astype(dtype), axes=1)

        matrices = [(slot, batch, mix(matrix, slot)) for slot, batch, matrix in moved]
        shifts = {slot.index: mix(shift, slot) for slot, shift in shifted}
        values = {slot.index: slot.value for slot, *_ in (*moved, *shifted)}
        return matrices, shifts, values

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """The sum of the matrices' products and the shift at the named leaves, zero elsewhere."""
        matrices, shifts, values = self._combined(params, coeffs)
        return build_tangent(params, _field(matrices, shifts, values))

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """The exponential of the affine field at the named leaves, everything else unchanged."""
        matrices, shifts, values = self._combined(params, coeffs)
        if not values:
            return params
        norm = jnp.zeros(())
        for _, _, matrix in matrices:
            size = jnp.abs(matrix) if matrix.ndim < 2 else jnp.sum(jnp.abs(matrix), axis=-1)
            norm = norm + jnp.max(size, initial=0.0)

        def step(start: dict[int, Array], _: None) -> tuple[dict[int, Array], None]:
            first = _field(matrices, shifts, start)

            def term(carry: Any, order: Array) -> tuple[Any, None]:
                total, power = carry
                power = {i: x * (1.0 / (_STEPS * order)).astype(x.dtype) for i, x in power.items()}
                total = {i: total[i] + power[i] for i in total}
                return (total, _field(matrices, {}, power)), None

            orders = jnp.arange(1.0, _ORDER + 1.0)
            (total, _), _ = jax.lax.scan(term, (start, first), orders)
            return total, None

        end, _ = jax.lax.scan(step, values, None, length=_STEPS)
        return build_params(
            params, {i: jnp.where(norm < _LARGEST, x, jnp.nan) for i, x in end.items()}
        )


def _field(
    matrices: list[Any], shifts: dict[int, Array], values: dict[int, Array]
) -> dict[int, Array]:
    out = {i: shifts.get(i, jnp.zeros_like(x)) for i, x in values.items()}
    for slot, batch, matrix in matrices:
        x = values[slot.index]
        if matrix.ndim == 0:
            moved = x * matrix
        elif matrix.ndim == 1:
            shape = [1] * x.ndim
            shape[slot.axis] = x.shape[slot.axis]
            moved = x * matrix.reshape(shape)
        else:
            moved = along(x, matrix, slot.axis, batch)
        out[slot.index] = out[slot.index] + moved
    return out
