"""Matrix products in forms that compilers are fast at: small ones as sums, others turned."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import Array

TURNED = 1024  # numbers of a matrix that is turned before it is multiplied, at most


class Longest(NamedTuple):
    """The longest sums that are written out; longer ones are faster as products of matrices."""

    product: int  # of one pair of matrices that both differ from chain to chain
    of_batch: int  # of each pair of a batch of such
    beside_data: int  # where one side is the same for all chains


TRAINING, SIMULATION = Longest(8, 16, 4), Longest(4, 4, 4)
_WIDE = tuple(np.dtype(name) for name in ("float64", "int64", "uint64", "complex128"))
_CALLS = ("jit", "pjit", "closed_call")  # functions called in place, named differently by versions


def written_out(fn: Callable, longest: Longest = TRAINING, backend: str | None = None) -> Callable:
    """`fn`, of one chain, with its matrix products in forms that are fast over many, on CPUs.

    XLA makes a call of every product of matrices, which for a sum of eight products costs more than
    the arithmetic, keeps its operands in memory, and under `vmap` is made once a chain. So small
    ones are written as sums, which are fused with what comes before and after them, over all
    chains at once; others are taken rows by columns. The numbers are the same to rounding. Products
    within loops and conditionals of `fn` stay as they are. `fn` itself on other backends, and where
    it computes in 64 bits within a program of 32.
    """
    if (jax.default_backend() if backend is None else backend) != "cpu":
        return fn

    def call(*args):
        arrays, rest = eqx.partition(args, eqx.is_array)
        leaves, treedef = jax.tree.flatten(arrays)
        closed, shapes = jax.make_jaxpr(
            lambda *xs: fn(*eqx.combine(jax.tree.unflatten(treedef, xs), rest)), return_shape=True
        )(*leaves)
        if _is_wider(closed.jaxpr):
            return fn(*args)
        moving = [True] * len(leaves)
        out, _ = _evaluated(closed.jaxpr, closed.consts, leaves, moving, longest)
        return jax.tree.unflatten(jax.tree.structure(shapes), out)

    return call


def _is_wider(jaxpr: Jaxpr) -> bool:
    """Whether numbers of more bits than are made here come from within `jax.enable_x64(True)`."""
    if jax.dtypes.canonicalize_dtype(np.float64) == np.float64:
        return False
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr")
        if isinstance(inner, ClosedJaxpr) and _is_wider(inner.jaxpr):
            return True
        if any(getattr(v.aval, "dtype", None) in _WIDE for v in equation.outvars):
            return True
    return False


def _evaluated(
    jaxpr: Jaxpr, consts: list, args: list, moving: list[bool], longest: Longest
) -> tuple[list, list]:
    """The results, and which of them depend on arguments that are `moving`."""
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= zip(jaxpr.invars, args, strict=True)
    moved = {v for v, moves in zip(jaxpr.invars, moving, strict=True) if moves}

    def read(v):
        return v.val if isinstance(v, Literal) else values[v]

    def moves(v):
        return not isinstance(v, Literal) and v in moved

    for equation in jaxpr.eqns:
        primitive, params = equation.primitive, equation.params
        found, which = [read(v) for v in equation.invars], [moves(v) for v in equation.invars]
        inner = params.get("jaxpr")
        changed = [any(which)] * len(equation.outvars)
        if primitive.name in _CALLS and isinstance(inner, ClosedJaxpr):
            out, changed = _evaluated(inner.jaxpr, inner.consts, found, which, longest)
        elif primitive.name == "dot_general" and all(jnp.ndim(x) for x in found):
            out = [_product(found[0], found[1], params, all(which), longest)]
        else:
            with equation.ctx.manager:  # as `jax.threefry_partitionable`, where it was called
                out = primitive.bind(*found, **primitive.get_bind_params(params))
            out = out if primitive.multiple_results else [out]
        values |= zip(equation.outvars, out, strict=True)
        moved |= {v for v, c in zip(equation.outvars, changed, strict=True) if c}
    return [read(v) for v in jaxpr.outvars], [moves(v) for v in jaxpr.outvars]


def _product(a: Array, b: Array, params: dict[str, Any], both: bool, longest: Longest) -> Array:
    """`dot_general`; `both`: whether both sides differ from chain to chain."""
    (_, _), (batch, _) = params["dimension_numbers"]
    most = longest.beside_data
    if both:
        most = longest.of_batch if batch else longest.product
    if _is_small(a, b, params, most):
        return _sum(a, b, params)
    if both:
        a, b, params = _rows_by_columns(a, b, params)
    return lax.dot_general_p.bind(a, b, **params)


def _is_small(a: Array, b: Array, params: dict[str, Any], most: int) -> bool:
    (along, _), _ = params["dimension_numbers"]
    terms = math.prod(a.shape[i] for i in along)
    kind, wanted = a.dtype, params["preferred_element_type"]
    same = b.dtype == kind and (wanted is None or wanted == kind)
    return same and terms <= most and jnp.issubdtype(kind, jnp.floating)


def _rows_by_columns(
    a: Array, b: Array, params: dict[str, Any]
) -> tuple[Array, Array, dict[str, Any]]:
    """The same product of matrices, with the sum along rows of `a` and columns of `b`.

    Of a batch of small matrices this is the form that XLA is fastest at: turning one first takes
    less than what it loses by another form.
    """
    (along_a, along_b), (batch_a, batch_b) = params["dimension_numbers"]
    if len(along_a) != 1:
        return a, b, params

    def turned(x, along, batch, wanted):
        front = len(batch)
        matrix = x.ndim == front + 2 and tuple(batch) == tuple(range(front))
        if not matrix or along[0] == wanted or x.shape[-1] * x.shape[-2] > TURNED:
            return x, along
        return jnp.swapaxes(x, -1, -2), (wanted,)

    a, along_a = turned(a, along_a, batch_a, a.ndim - 1)
    b, along_b = turned(b, along_b, batch_b, b.ndim - 2)
    return a, b, params | {"dimension_numbers": ((along_a, along_b), (batch_a, batch_b))}


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
