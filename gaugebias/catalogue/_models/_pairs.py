"""Sums over the pairs of a spectrum, the building blocks of every closed form."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def _pairs(x: Array) -> tuple[Array, Array]:
    first, second = np.triu_indices(x.shape[0], 1)
    return x[first], x[second]


def log_pair_sums(x: Array) -> Array:
    """`sum_{i<j} log(x_i + x_j)`."""
    a, b = _pairs(x)
    return jnp.sum(jnp.log(a + b))


def log_pair_gaps(x: Array) -> Array:
    """`sum_{i<j} log|x_i - x_j|`, the log Vandermonde determinant."""
    a, b = _pairs(x)
    return jnp.sum(jnp.log(jnp.abs(a - b)))


def log_power_pairs(x: Array, order: int) -> Array:
    """`sum_{i<j} log sum_{a+b = order-1} x_i^a x_j^b` for non-negative `x`.

    Each term is the divided difference `(x_i^order - x_j^order)/(x_i - x_j)`, written so that it
    is exact for equal values.
    """
    a, b = _pairs(x)
    terms = jnp.zeros_like(a)
    for p in range(order):
        terms = terms + a**p * b ** (order - 1 - p)
    return jnp.sum(jnp.log(terms))


def pair_count(n: int) -> int:
    """`n (n - 1) / 2`."""
    return n * (n - 1) // 2
