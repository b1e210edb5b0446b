"""Steps whose operations stay apart: products of large matrices within loops of any size."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array

from ..._xla import loops_are_whole

_LONGEST = 32  # rows, columns or terms of a product that XLA writes out well by itself


def is_kept_apart(fn: Callable, *args) -> bool:
    """Whether steps of `fn`, of one chain, must not be one function with the loop around them.

    With a device a core XLA compiles loops of any size so (`gaugebias._xla`). There it calls no
    library for products of matrices, and what it writes instead is slow from about 40 rows on: a
    step of two 64 x 64 factors took 7 times as long, of 256 x 256 25 times. `args` may be shapes.
    """
    if jax.default_backend() != "cpu" or not loops_are_whole():
        return False
    return any(_is_heavy(equation) for equation in _equations(jax.make_jaxpr(fn)(*args).jaxpr))


def kept_apart(step: Array) -> Array:
    """The number of a step, through an operation that keeps a loop from being one function."""
    return lax.sort(jnp.stack([step, jnp.asarray(np.iinfo(step.dtype).max, step.dtype)]))[0]


def _is_heavy(equation) -> bool:
    if equation.primitive.name == "conv_general_dilated":
        return True
    if equation.primitive.name != "dot_general":
        return False
    (_, _), (batch_a, batch_b) = equation.params["dimension_numbers"]
    pairs = zip(equation.invars, (batch_a, batch_b), strict=True)
    return any(
        n > _LONGEST for v, batch in pairs for i, n in enumerate(v.aval.shape) if i not in batch
    )


def _equations(jaxpr: Jaxpr) -> Iterator:
    """Of the program and of all that it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, ClosedJaxpr | Jaxpr):
                    yield from _equations(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)
