"""Whether a program makes products of large matrices."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array

_LONGEST = 32  # rows, columns or terms of a product that XLA writes out well by itself


def has_large_products(fn: Callable, *args) -> bool:
    """Whether `fn` makes some, also within loops. `args` may be shapes."""
    arrays, rest = eqx.partition(args, lambda x: isinstance(x, jax.Array | jax.ShapeDtypeStruct))
    closed = jax.make_jaxpr(lambda arrays: fn(*eqx.combine(arrays, rest)))(arrays)
    return any(_is_large(equation) for equation in _equations(closed.jaxpr))


@eqx.filter_jit
def _marked(fn: Callable, *args) -> Array:
    return jnp.zeros(int(has_large_products(fn, *args)))


def makes_large_products(fn: Callable, *args) -> bool:
    """`has_large_products(fn, *args)`, found once for all arguments of the same structure."""
    return bool(eqx.filter_eval_shape(_marked, fn, *args).size)


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
