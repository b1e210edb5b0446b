"""Whether a program makes products of large matrices."""

from collections.abc import Callable, Iterator

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

_LONGEST = 32  # rows, columns or terms of a product that XLA writes out well by itself


def has_large_products(fn: Callable, *args) -> bool:
    """Whether `fn` makes some, also within loops. `args` may be shapes."""
    return any(_is_large(equation) for equation in _equations(jax.make_jaxpr(fn)(*args).jaxpr))


def _is_large(equation) -> bool:
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
