"""Checks of numbers that may be traced: made when they are concrete."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike


def strong(x: ArrayLike) -> Array:
    """`x` as an array of a dtype that does not give way: weakly typed states change precision."""
    array = jnp.asarray(x)
    return jnp.asarray(array, array.dtype)


def scalar(value: ArrayLike, name: str, *, positive: bool, fix: str) -> Array:
    """`value` as a floating scalar array; `ValueError` if concrete and out of range."""
    array = jnp.asarray(value)
    if array.ndim != 0:
        raise ValueError(f"`{name}` must be a scalar, but has shape {array.shape}: {fix}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(float)
    array = strong(array)
    if not isinstance(array, Tracer):
        number = float(array)
        if not np.isfinite(number) or number < 0 or (positive and number == 0):
            want = "positive" if positive else "non-negative"
            raise ValueError(f"`{name}` must be finite and {want}, but is {number:g}: {fix}")
    return array


def count(value, name: str, *, least: int) -> int:
    """`value` as a Python integer at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"`{name}` must be an integer, but is {value!r}.")
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}, but is {value}.")
    return int(value)
