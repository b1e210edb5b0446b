"""Actions that multiply or shift entries: rescalings, scalings and translations."""

import math
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
    pair,
    select,
)


def _kept_shape(slot: Slot) -> tuple[int, ...]:
    """Shape of the coefficients of one leaf: along its axis, none of it, or all of it."""
    if slot.axis is None:
        return ()
    if isinstance(slot.axis, int):
        return (slot.value.shape[slot.axis],)
    return slot.value.shape


def _spread(coeffs: Array, slot: Slot) -> Array:
    """`coeffs` with the rank of the leaf, ready to multiply it."""
    coeffs = coeffs.astype(slot.value.dtype)
    if isinstance(slot.axis, int):
        shape = [1] * slot.value.ndim
        shape[slot.axis] = slot.value.shape[slot.axis]
        return jnp.reshape(coeffs, shape)
    return coeffs


def _dtype(slots: tuple[Slot, ...]) -> Any:
    return jnp.result_type(*(slot.value for slot in slots))


@final
class Rescaling(AbstractAction):
    r"""Positive rescaling of hidden units: \((u, v) \to (e^{p_1 c} u, e^{p_2 c} v)\), unit by unit.

    The symmetry of ReLU neurons, of Hadamard products and of columns of a factorisation
    (2402.07193, 2308.06671).

    **Arguments:**

    - `first`, `second`: the leaves that are multiplied by `exp(powers[0] * c)` and by
      `exp(powers[1] * c)`: functions, path strings or tuples of them. A function may return a
      tuple of leaves.
    - `axes`: the hidden axis of each leaf, nested as the leaves: `((0, 0), 1)`. One axis serves
      several leaves. `None`: one coefficient for the whole leaf. `...`: one for each entry.
    - `powers`: the two weights. `(2.0, -1.0)` is the symmetry of \(u v^2\) with u scaled by
      \(e^{2c}\) and v by \(e^{-c}\).

    **Coefficients:** an array of shape (h,), h the hidden width; () for `None`; the leaf's shape
    for `...`.

    **Raises:** `ValueError` where a leaf is named twice or is not a real floating array, and
    where hidden sizes differ.

    !!! Example

        ```python
        act = Rescaling(lambda p: p["u"], lambda p: p["v"])
        params = {"u": jnp.array([1.0, 2.0]), "v": jnp.array([3.0, 4.0])}
        act.tangent(params, jnp.array([1.0, 0.0]))  # {"u": [1., 0.], "v": [-3., 0.]}
        ```
    """

    first: Where = eqx.field(static=True, converter=freeze)
    second: Where = eqx.field(static=True, converter=freeze)
    axes: Any = eqx.field(static=True, converter=freeze, default=(0, 0))
    powers: tuple[float, float] = eqx.field(static=True, converter=freeze, default=(1.0, -1.0))

    def __check_init__(self) -> None:
        check_where(self.first, "first")
        check_where(self.second, "second")
        check_axes(pair(self.axes, "axes"), "axes", whole=True)
        if len(self.powers) != 2 or not all(isinstance(p, int | float) for p in self.powers):
            raise ValueError(f"`powers` must be two numbers, not {self.powers!r}.")
        if not all(math.isfinite(p) for p in self.powers) or not any(self.powers):
            raise ValueError(f"`powers` must be finite and not both 0, but is {self.powers!r}.")

    def _resolve(
        self, params: Params
    ) -> tuple[tuple[Slot, ...], tuple[Slot, ...], tuple[int, ...]]:
        of_first, of_second = pair(self.axes, "axes")
        first, second = select(
            params, (self.first, of_first, "first"), (self.second, of_second, "second")
        )
        slots = first + second
        shape = agreed(slots, [_kept_shape(s) for s in slots], "axes", "the coefficients' shape")
        return first, second, shape

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct`: see the class for its shape."""
        first, second, shape = self._resolve(params)
        return jax.ShapeDtypeStruct(shape, _dtype(first + second))

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """`(powers[0] * c * u, powers[1] * c * v)` at the named leaves, zero elsewhere."""
        first, second, _ = self._resolve(params)
        coeffs = as_coefficients(coeffs, self.algebra(params))
        updates = {
            slot.index: slot.value * _spread(coeffs, slot) * power
            for slots, power in zip((first, second), self.powers, strict=True)
            for slot in slots
        }
        return build_tangent(params, updates)

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """`(exp(powers[0] * c) * u, exp(powers[1] * c) * v)`, everything else unchanged."""
        first, second, _ = self._resolve(params)
        coeffs = as_coefficients(coeffs, self.algebra(params))
        updates = {
            slot.index: slot.value * jnp.exp(_spread(coeffs, slot) * power)
            for slots, power in zip((first, second), self.powers, strict=True)
            for slot in slots
        }
        return build_params(params, updates)

    def squared_norms(self, params: Params) -> tuple[Array, Array]:
        """Squared norms of the two sides, unit by unit: two arrays shaped as the coefficients."""
        first, second, _ = self._resolve(params)
        return _squared_norm(first), _squared_norm(second)


def _squared_norm(slots: tuple[Slot, ...]) -> Array:
    parts = []
    for slot in slots:
        if slot.axis is ...:
            parts.append(slot.value**2)
        else:
            others = [i for i in range(slot.value.ndim) if i != slot.axis]
            parts.append(jnp.sum(slot.value**2, axis=tuple(others)))
    return sum(parts[1:], parts[0])


@final
class Scale(AbstractAction):
    r"""Common scaling of the named leaves, \(\theta \to e^c \theta\).

    The symmetry of parameters in front of a normalisation layer, \(f(cw) = f(w)\). It has no
    moment-map zero: use a sphere as the gauge.

    **Arguments:** `where`, the leaves: a function, a path string or a tuple of them.

    **Coefficients:** one number, shape ().

    **Raises:** `ValueError` as in `Rescaling`.
    """

    where: Where = eqx.field(static=True, converter=freeze)

    def __check_init__(self) -> None:
        check_where(self.where, "where")

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct` of shape ()."""
        (slots,) = select(params, (self.where, None, "where"))
        return jax.ShapeDtypeStruct((), _dtype(slots))

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """`c * theta` at the named leaves, zero elsewhere."""
        (slots,) = select(params, (self.where, None, "where"))
        coeffs = as_coefficients(coeffs, self.algebra(params))
        return build_tangent(params, {s.index: s.value * _spread(coeffs, s) for s in slots})

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """`exp(c) * theta` at the named leaves, everything else unchanged."""
        (slots,) = select(params, (self.where, None, "where"))
        coeffs = as_coefficients(coeffs, self.algebra(params))
        return build_params(params, {s.index: s.value * jnp.exp(_spread(coeffs, s)) for s in slots})


@final
class Translation(AbstractAction):
    r"""Shift of a leaf by something constant along one axis, \(W \to W + 1 c^\top\).

    The symmetry of the softmax: \(b \to b + c 1\) and \(W \to W + 1 c^\top\) leave
    log-softmax(Wx + b) alone. The field is constant in the parameters: it has no moment map.

    **Arguments:**

    - `where`: the leaves, as in `Rescaling`. Several leaves are shifted by the same amount (for
      independent shifts use `Product`).
    - `axis`: the axis along which the shift is constant, nested as the leaves. `None`: the shift
      is one number for the whole leaf.

    **Coefficients:** an array of the leaf's shape without that axis; () for `None`.

    **Raises:** `ValueError` as in `Rescaling`.
    """

    where: Where = eqx.field(static=True, converter=freeze)
    axis: Any = eqx.field(static=True, converter=freeze, default=0)

    def __check_init__(self) -> None:
        check_where(self.where, "where")
        check_axes(self.axis, "axis", whole=True)

    def _resolve(self, params: Params) -> tuple[tuple[Slot, ...], tuple[int, ...]]:
        (slots,) = select(params, (self.where, self.axis, "where"), axes_name="axis")
        shapes = []
        for slot in slots:
            if slot.axis is ...:
                shapes.append(slot.value.shape)
            elif slot.axis is None:
                shapes.append(())
            else:
                shapes.append(slot.value.shape[: slot.axis] + slot.value.shape[slot.axis + 1 :])
        return slots, agreed(slots, shapes, "axis", "the shift's shape")

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct`: see the class for its shape."""
        slots, shape = self._resolve(params)
        return jax.ShapeDtypeStruct(shape, _dtype(slots))

    def _shifts(self, params: Params, coeffs: PyTree) -> tuple[tuple[Slot, ...], list[Array]]:
        slots, _ = self._resolve(params)
        coeffs = as_coefficients(coeffs, self.algebra(params))
        shifts = []
        for slot in slots:
            shift = coeffs.astype(slot.value.dtype)
            if isinstance(slot.axis, int):
                shift = jnp.expand_dims(shift, slot.axis)
            shifts.append(jnp.broadcast_to(shift, slot.value.shape))
        return slots, shifts

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        """The shift itself at the named leaves, zero elsewhere."""
        slots, shifts = self._shifts(params, coeffs)
        return build_tangent(params, {s.index: x for s, x in zip(slots, shifts, strict=True)})

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        """The named leaves plus the shift, everything else unchanged."""
        slots, shifts = self._shifts(params, coeffs)
        return build_params(
            params, {s.index: s.value + x for s, x in zip(slots, shifts, strict=True)}
        )
