"""Small matrix products written out as sums, which compilers fuse with what surrounds them."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import Array

# Products of a sum, of one pair of matrices and of each pair of a batch; longer sums are faster as
# products of matrices.
LONGEST, LONGEST_OF_BATCH = 8, 16
_CALLS = ("jit", "pjit", "closed_call")  # functions called in place, named differently by versions


def written_out(fn: Callable, backend: str | None = None) -> Callable:
    """`fn` with its small matrix products written as sums, on CPUs; elsewhere `fn` itself.

    XLA makes a call of every product of matrices, which for a sum of eight products costs more than
    the arithmetic, keeps its operands in memory, and under `vmap` is made once a chain. A sum is
    fused with what comes before and after it, over all chains at once. The numbers are the same to
    rounding. Products within loops and conditionals of `fn` stay as they are.
    """
    if (jax.default_backend() if backend is None else backend) != "cpu":
        return fn

    def call(*args):
        arrays, rest = eqx.partition(args, eqx.is_array)
        leaves, treedef = jax.tree.flatten(arrays)
        closed, shapes = jax.make_jaxpr(
            lambda *xs: fn(*eqx.combine(jax.tree.unflatten(treedef, xs), rest)), return_shape=True
        )(*leaves)
        out = _evaluated(closed.jaxpr, closed.consts, leaves)
        return jax.tree.unflatten(jax.tree.structure(shapes), out)

    return call


def _evaluated(jaxpr: Jaxpr, consts: list, args: list) -> list:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= zip(jaxpr.invars, args, strict=True)

    def read(v):
        return v.val if isinstance(v, Literal) else values[v]

    for equation in jaxpr.eqns:
        primitive, params = equation.primitive, equation.params
        found = [read(v) for v in equation.invars]
        inner = params.get("jaxpr")
        if primitive.name in _CALLS and isinstance(inner, ClosedJaxpr):
            out = _evaluated(inner.jaxpr, inner.consts, found)
        elif primitive.name == "dot_general" and _is_small(found[0], found[1], params):
            out = [_sum(found[0], found[1], params)]
        else:
            out = primitive.bind(*found, **primitive.get_bind_params(params))
            out = out if primitive.multiple_results else [out]
        values |= zip(equation.outvars, out, strict=True)
    return [read(v) for v in jaxpr.outvars]


def _is_small(a: Array, b: Array, params: dict[str, Any]) -> bool:
    (along, _), (batch, _) = params["dimension_numbers"]
    terms = math.prod(jnp.shape(a)[i] for i in along)
    longest = LONGEST_OF_BATCH if batch else LONGEST
    kinds = {jnp.result_type(a), jnp.result_type(b)}
    wanted = params["preferred_element_type"]
    same = len(kinds) == 1 and (wanted is None or wanted in kinds)
    return same and terms <= longest and jnp.issubdtype(kinds.pop(), jnp.floating)


def _sum(a: Array, b: Array, params: dict[str, Any]) -> Array:
    """`dot_general`: batch axes, then free ones of `a`, then free ones of `b`."""
    (along_a, along_b), (batch_a, batch_b) = params["dimension_numbers"]
    free_a = [i for i in range(a.ndim) if i not in (*along_a, *batch_a)]
    free_b = [i for i in range(b.ndim) if i not in (*along_b, *batch_b)]
    a = jnp.transpose(a, (*batch_a, *free_a, *along_a))
    b = jnp.transpose(b, (*batch_b, *free_b, *along_b))
    batch, front, back = len(batch_a), len(free_a), len(free_b)
    a = lax.expand_dims(a, range(batch + front, batch + front + back))
    b = lax.expand_dims(b, range(batch, batch + front))
    return jnp.sum(a * b, axis=tuple(range(batch + front + back, a.ndim)))
