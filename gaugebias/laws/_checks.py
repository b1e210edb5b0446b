"""Checks of numbers, made when they are concrete."""

import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._arguments import real_scalar


def as_scalar(value: object, name: str) -> Array:
    """A floating scalar array.

    **Raises:** `ValueError` naming the argument where it is no scalar or not finite.
    """
    array = real_scalar(value, name)
    if not isinstance(array, Tracer) and not np.isfinite(np.asarray(array)):
        raise ValueError(f"`{name}` must be finite, but is {float(array)}.")
    return array


def as_temperature(value: object) -> Array:
    """A positive temperature.

    **Raises:** `ValueError` where it is not positive and finite.
    """
    array = as_scalar(value, "temperature")
    if not isinstance(array, Tracer) and not float(array) > 0.0:
        raise ValueError(
            f"`temperature` must be positive, but is {float(array)}: at T = 0 there is no "
            "stationary density, and the initialisation decides."
        )
    return array


def as_nonnegative(value: object, name: str) -> Array:
    """A scalar that is not negative.

    **Raises:** `ValueError` naming the argument otherwise.
    """
    array = as_scalar(value, name)
    if not isinstance(array, Tracer) and float(array) < 0.0:
        raise ValueError(f"`{name}` must not be negative, but is {float(array)}.")
    return array
