"""The general linear group acting on the two sides of a product."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Array, Params, PyTree, Where
from ._action import AbstractAction, as_coefficients
from ._expm import expm
from ._leaves import (
    Slot,
    agreed,
    build_params,
    build_tangent,
    check_axes,
    check_where,
    freeze,
    pair,
    select,
)
from ._matrices import along


@final
class GeneralLinear(AbstractAction):
    r"""GL(r) between two factors: \((U, V) \to (U A, V A^{-\top})\) along the hidden axes.

    Leaves the product over the hidden axis unchanged, for example \(U V^\top\) with `axes=(1, 1)`
    and \(W_2 W_1\) with `axes=(1, 0)`, where it reads \((W_2 A, A^{-1} W_1)\). The symmetry of
    factorisations, of deep linear networks and of attention logits (2601.06597, 2509.09088).
    With \(A = e^C\) the generator is \((U C, -V C^\top)\).

    **Arguments:**

    - `first`, `second`: the leaves on which A and \(A^{-\top}\) act: functions, path strings or
      tuples of them. A function may return a tuple of leaves.
    - `axes`: the hidden axis of each leaf, nested as the leaves: `((1, 0), 1)`. One axis serves
      several leaves.
    - `batch`: `None`, or like `axes` the axis that runs over independent copies, as attention
      heads do: each has its own matrix.

    **Coefficients:** C, shape (r, r), or (h, r, r) with `batch`.

    **Raises:** `ValueError` where a leaf is named twice or is not a real floating array, and
    where the hidden sizes, or the numbers of copies, differ.

    !!! Example

        ```python
        act = GeneralLinear(lambda p: p["U"], lambda p: p["V"])
        params = {"U": jnp.ones((5, 3)), "V": jnp.ones((4, 3))}
        act.algebra(params)  # ShapeDtypeStruct(shape=(3, 3), dtype=float32)
        ```
    """

    first: Where = eqx.field(static=True, converter=freeze)
    second: Where = eqx.field(static=True, converter=freeze)
    axes: Any = eqx.field(static=True, converter=freeze, default=(1, 1))
    batch: Any = eqx.field(static=True, converter=freeze, default=None)

    def __check_init__(self) -> None:
        check_where(self.first, "first")
        check_where(self.second, "second")
        check_axes(pair(self.axes, "axes"), "axes", whole=False)
        if self.batch is not None:
            check_axes(pair(self.batch, "batch"), "batch", whole=False)

    def _resolve(
        self, params: Params
    ) -> tuple[tuple[Slot, ...], tuple[Slot, ...], dict[int, int | None], tuple[int, ...]]:
        """Slots of both sides, the batch axis by leaf index, and the shape of the coefficients."""
        names = ("first", "second")
        wheres = (self.first, self.second)
        axes = pair(self.axes, "axes")
        first, second = select(params, *zip(wheres, axes, names, strict=True))
        slots = first + second
        r = agreed(slots, [_size(s) for s in slots], "axes", "the hidden size")
        if r == 0:
            raise ValueError(
                f"`axes` gives {slots[0].path!r} (shape {slots[0].value.shape}) the hidden size 0: "
                "there is no matrix to act by. Leave this action out."
            )
        if self.batch is None:
            return first, second, {slot.index: None for slot in slots}, (r, r)
        batches = pair(self.batch, "batch")
        groups = select(params, *zip(wheres, batches, names, strict=True), axes_name="batch")
        copies = groups[0] + groups[1]
        h = agreed(copies, [_size(s) for s in copies], "batch", "the number of copies")
        by_index: dict[int, int | None] = {}
        for slot, copy in zip(slots, copies, strict=True):
            if slot.axis == copy.axis:
                raise ValueError(
                    f"`batch` and `axes` both take axis {slot.axis} of {slot.path!r}: "
                    "they must differ."
                )
            assert isinstance(copy.axis, int)
            by_index[slot.index] = copy.axis
        return first, second, by_index, (h, r, r)

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct` of shape (r, r), or (h, r, r) with `batch`."""
        first, second, _, shape = self._resolve(params)
        return jax.ShapeDtypeStruct(shape, jnp.result_type(*(s.value for s in first + second)))

    def _updates(self, params: Params, on_first: Array, on_second: Array) -> dict[int, Array]:
        first, second, batch, _ = self._resolve(params)
        return {
            slot.index: along(
                slot.value, matrix.astype(slot.value.dtype), int(slot.axis), batch[slot.index]
            )
            for slots, matrix in ((first, on_first), (second, on_second))
            for slot in slots
            if isinstance(slot.axis, int)
        }

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        r"""\((U C, -V C^\top)\) along the hidden axes, zero elsewhere."""
        coeffs = as_coefficients(coeffs, self.algebra(params))
        return build_tangent(params, self._updates(params, coeffs, -jnp.swapaxes(coeffs, -1, -2)))

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        r"""\((U e^C, V e^{-C^\top})\) along the hidden axes, everything else unchanged."""
        coeffs = as_coefficients(coeffs, self.algebra(params))
        forward = expm(coeffs)
        inverse = jnp.swapaxes(expm(-coeffs), -1, -2)
        return build_params(params, self._updates(params, forward, inverse))

    def transform(self, params: Params, matrix: Array, inverse_transpose: Array) -> Params:
        r"""The group element A, given with \(A^{-\top}\), applied to `params`.

        Both have the shape of the coefficients. Nothing checks that they belong together.
        """
        return build_params(params, self._updates(params, matrix, inverse_transpose))

    def factors(self, params: Params) -> tuple[Array, Array]:
        """The two sides as matrices with the hidden axis last, shapes (n, r) and (m, r).

        Several leaves of one side are stacked. With `batch` a leading axis runs over the copies.
        """
        first, second, batch, _ = self._resolve(params)
        return _stacked(first, batch), _stacked(second, batch)


def _stacked(slots: tuple[Slot, ...], batch: dict[int, int | None]) -> Array:
    parts = []
    for slot in slots:
        copies = batch[slot.index]
        value = slot.value if copies is None else jnp.moveaxis(slot.value, copies, 0)
        axis = int(slot.axis) if isinstance(slot.axis, int) else 0
        if copies is None:
            value = jnp.moveaxis(value, axis, -1)
            parts.append(value.reshape(-1, value.shape[-1]))
        else:
            axis = axis + 1 if axis < copies else axis
            value = jnp.moveaxis(value, axis, -1)
            parts.append(value.reshape(value.shape[0], -1, value.shape[-1]))
    return jnp.concatenate(parts, axis=-2)


def _size(slot: Slot) -> int:
    assert isinstance(slot.axis, int)
    return slot.value.shape[slot.axis]
