"""Checks of numbers that may be traced: made when they are concrete."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from .._arguments import real_scalar


def strong(x: ArrayLike) -> Array:
    """`x` as an array of a dtype that does not give way: weakly typed states change precision."""
    array = jnp.asarray(x)
    return jnp.asarray(array, array.dtype)


def scalar(value: object, name: str, *, positive: bool, fix: str) -> Array:
    """`value` as a floating scalar array; `ValueError` if concrete and out of range."""
    array = strong(real_scalar(value, name, fix))
    if not isinstance(array, Tracer):
        number = float(array)
        if not np.isfinite(number) or number < 0 or (positive and number == 0):
            want = "positive" if positive else "non-negative"
            raise ValueError(f"`{name}` must be finite and {want}, but is {number:g}: {fix}")
    return array


def function(value: object, name: str, use: str) -> Callable:
    """`value`, if it can be called."""
    if not callable(value):
        raise ValueError(f"`{name}` must be a function, {use}, but is {value!r}.")
    return value


def count(value, name: str, *, least: int) -> int:
    """`value` as a Python integer at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"`{name}` must be an integer, but is {value!r}.")
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}, but is {value}.")
    return int(value)


def number(value: object, name: str) -> float:
    """`value` as a Python float, if it is a real number that is known."""
    try:
        array = np.asarray(value)
    except TypeError:  # traced
        array = np.asarray(None)
    if array.shape != () or array.dtype.kind not in "iuf":
        raise ValueError(f"`{name}` must be a number, but is {value!r}.")
    return float(array)


def flag(value: object, name: str) -> bool:
    """`value`, if it is `True` or `False`: any other text would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"`{name}` must be True or False, but is {value!r}.")
    return bool(value)


def evaluated(fn: Callable, name: str, call: str, *args: PyTree) -> PyTree:
    """Shapes of `fn(*args)`; `ValueError` saying how it is called where that fails."""
    try:
        return eqx.filter_eval_shape(fn, *args)
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        if isinstance(error, ValueError) and text.startswith("`"):
            raise
        raise ValueError(
            f"`{name}` fails where it is called as {call} ({type(error).__name__}: {text})."
        ) from error


def is_extension(x: Any) -> bool:
    """Whether an array holds floating numbers that numpy and files have no name for: bfloat16."""
    if not isinstance(x, np.ndarray | jax.Array) or not jnp.issubdtype(x.dtype, jnp.floating):
        return False
    return np.dtype(x.dtype).kind == "V"


def check_wide(moving: PyTree, name: str) -> PyTree:
    """`moving`, if none of its leaves has 16 bits: such numbers lose the small changes of steps."""
    for x in jax.tree.leaves(moving):
        if jnp.finfo(x.dtype).bits < 32:
            raise ValueError(
                f"`{name}` holds numbers of dtype {x.dtype}, in which the small changes of steps "
                "are lost: give it in float32 or float64."
            )
    return moving


def check_real(moving: PyTree, name: str) -> PyTree:
    """`moving`, if none of its leaves is complex: gradients and noise are those of real numbers."""
    if any(jnp.issubdtype(x.dtype, jnp.complexfloating) for x in jax.tree.leaves(moving)):
        raise ValueError(
            f"`{name}` holds complex numbers: give real and imaginary parts as leaves of their own."
        )
    return moving
