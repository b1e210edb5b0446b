"""Closed forms of the point of an orbit on the moment map's slice."""

from functools import singledispatch
from typing import NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ..._compile import evaluated_now
from ...symmetry import (
    AbstractAction,
    Conjugation,
    GeneralLinear,
    Orthogonal,
    Product,
    Rescaling,
    RightOrthogonal,
    Scale,
)
from .._grams._gram_diagonal import entrywise_shape
from ._chain_gauge import by_components


@singledispatch
def balanced(action: AbstractAction, params: PyTree) -> PyTree | None:
    """The balanced point of the orbit of `params`, or `None` where no closed form is known."""
    return None


@balanced.register(Orthogonal)
@balanced.register(RightOrthogonal)
@balanced.register(Conjugation)
def _compact(action: AbstractAction, params: PyTree) -> PyTree | None:
    """Every point: the moment map of a rotation group vanishes identically."""
    return params


@balanced.register(Rescaling)
def _rescaled(action: Rescaling, params: PyTree) -> PyTree | None:
    """`p F e^(2 p c) + q G e^(2 q c) = 0` for each unit, `p` and `q` of opposite signs."""
    p, q = action.powers
    if p * q >= 0:
        _refuse_scaling()
    f, g = action.squared_norms(params)
    dead = (f == 0) & (g == 0)  # a unit of zeros is on the slice already
    ratio = jnp.where(dead, 1.0, (abs(q) * g) / jnp.where(dead, 1.0, abs(p) * f))
    return action.flow(params, jnp.log(ratio) / (2.0 * (p - q)))


@balanced.register(Scale)
def _scaled(action: Scale, params: PyTree) -> PyTree | None:
    """None: the norm falls along the orbit down to the origin."""
    _refuse_scaling()


def _refuse_scaling() -> NoReturn:
    raise ValueError(
        "`gauge` has no zero on these orbits: the moment map of a pure scaling, |w|^2/2, vanishes "
        "at the origin only. Take a sphere instead: "
        "`gauge=FunctionGauge(lambda p: jnp.sum(p**2) - 1.0)`."
    )


@balanced.register(Product)
def _product(action: Product, params: PyTree) -> PyTree | None:
    """Entrywise products in closed form, else factors that share no leaf one by one."""
    if any(isinstance(factor, Scale) for factor in action.actions):
        _refuse_scaling()
    fixed = _entrywise(action, params)
    return by_components(action, params, balanced) if fixed is None else fixed


def _entrywise(action: Product, params: PyTree) -> PyTree | None:
    """All factors of an entry to their geometric mean: entrywise products of `N` factors."""
    if entrywise_shape(action, params) is None:
        return None
    leaves, treedef = jax.tree.flatten(eqx.filter(params, eqx.is_inexact_array))
    if not _adjacent(action, params, len(leaves)):
        return None
    dead = jnp.all(jnp.stack([u == 0 for u in leaves]), axis=0)
    total = sum(jnp.log(jnp.abs(jnp.where(dead, 1.0, u))) for u in leaves)
    size = jnp.exp(total / len(leaves))
    # Some factors of an entry zero, others not: the orbit nears the slice at 0 and never meets it.
    size = jnp.where(~dead & (size == 0), jnp.nan, size)
    moved = jax.tree.unflatten(treedef, [jnp.sign(u) * size for u in leaves])
    return eqx.combine(moved, params)


def _adjacent(action: Product, params: PyTree, count: int) -> bool:
    """Whether the factors generate all rescalings that keep the product of the leaves.

    Read off the signs and sizes of the weights: each coefficient multiplies one leaf by `e^c` and
    another by `e^-c`, and there is one factor less than leaves, in a chain.
    """
    if len(action.actions) != count - 1:
        return False
    rows = []
    with evaluated_now():
        still = eqx.filter(params, eqx.is_inexact_array, inverse=True)
        moving = eqx.filter(params, eqx.is_inexact_array)
        ones = eqx.combine(jax.tree.map(jnp.ones_like, moving), still)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))
        for a in range(count - 1):
            coeffs = tuple(z + 1 if b == a else z for b, z in enumerate(zeros))
            tangent = action.tangent(ones, coeffs)
            rows.append([float(jnp.ravel(x)[0]) for x in jax.tree.leaves(tangent)])
    chain = all(sorted(row) == [-1.0] + [0.0] * (count - 2) + [1.0] for row in rows)
    pairs = [{i for i, x in enumerate(row) if x != 0.0} for row in rows]
    joined = set(pairs[0])
    for _ in pairs:
        for pair in pairs:
            if joined & pair:
                joined |= pair
    return chain and len(joined) == count


def _root_2x2(m: Array) -> Array:
    """Symmetric root of positive 2 x 2 matrices, elementwise: `(M + d I)/sqrt(tr M + 2 d)`."""
    d = jnp.sqrt(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])
    t = jnp.sqrt(m[0, 0] + m[1, 1] + 2.0 * d)
    return jnp.stack([jnp.stack([m[0, 0] + d, m[0, 1]]) / t, jnp.stack([m[1, 0], m[1, 1] + d]) / t])


def _adjugate(m: Array) -> Array:
    return jnp.stack([jnp.stack([m[1, 1], -m[0, 1]]), jnp.stack([-m[1, 0], m[0, 0]])])


def _gram_2x2(x: Array) -> tuple[Array, Array]:
    """`X^T X` and the root of its determinant: the area that the two columns span.

    The area is taken of the columns themselves: `ad - b^2` of the Gram loses it to rounding, and
    its sign with it, where the columns are nearly parallel.
    """
    a, b = x[:, 0], x[:, 1]
    size, off = jnp.sum(a * a), jnp.sum(a * b)
    rest = b - a * (off / size)
    gram = jnp.stack([jnp.stack([size, off]), jnp.stack([off, jnp.sum(b * b)])])
    return gram, jnp.sqrt(size) * jnp.sqrt(jnp.sum(rest * rest))


def _balance_2x2(u: Array, v: Array) -> tuple[Array, Array]:
    """`A` and `A^-T` with `A^2 = a^-1 # b`, the geometric mean, in closed form for `r = 2`.

    `a^-1 # b` is parallel to `adj(a)/|a| + b/|b|` with roots of determinants for `|.|`, which is
    well conditioned near the slice however small a singular value is. Elementwise arithmetic, so
    that it vectorises over chains inside a simulation.
    """
    (a, va), (b, vb) = _gram_2x2(u), _gram_2x2(v)
    mean = _adjugate(a) / va + b / vb
    det = mean[0, 0] * mean[1, 1] - mean[0, 1] * mean[1, 0]
    root = _root_2x2(mean * jnp.sqrt(vb / (va * det)))
    back = _adjugate(root) / (root[0, 0] * root[1, 1] - root[0, 1] * root[1, 0])
    return root, back


def _balance(u: Array, v: Array) -> tuple[Array, Array]:
    """A group element by triangular factors and singular values, never by `U^T U`.

    `U V^T = Q_1 (R_1 R_2^T) Q_2^T` and `R_1 R_2^T = P s T^T` give `A = R_1^-1 P s^(1/2)` and
    `A^-T = R_2^-1 T s^(1/2)`.
    """
    if u.shape[1] == 2:
        return _balance_2x2(u, v)
    r1, r2 = jnp.linalg.qr(u)[1], jnp.linalg.qr(v)[1]
    p, s, tt = jnp.linalg.svd(r1 @ r2.T)
    root = jnp.sqrt(s)[None, :]
    a = jax.scipy.linalg.solve_triangular(r1, p * root)
    b = jax.scipy.linalg.solve_triangular(r2, tt.T * root)
    return a, b


@balanced.register(GeneralLinear)
def _general_linear(action: GeneralLinear, params: PyTree) -> PyTree | None:
    """`U^T U = V^T V`, for factors with at least as many rows as hidden units."""
    u, v = action.factors(params)
    if min(u.shape[-2], v.shape[-2]) < u.shape[-1]:
        return None
    balance = _balance if u.ndim == 2 else jax.vmap(_balance)
    return action.transform(params, *balance(u, v))
