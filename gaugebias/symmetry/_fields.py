"""The derivatives of generators' fields, and what they say of an action."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .._compile import compiled_once
from .._types import Array, Params
from ._action import AbstractAction


def field_jacobians(action: AbstractAction, params: Params) -> Array:
    """`A_a = D X_a` of every generator's field at `params`, shape `(k, D, D)`.

    For a linear action these are the constant matrices of the representation.
    """
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))
    zero, unravel_coeffs = ravel_pytree(zeros)

    def field(x, c):
        point = eqx.combine(unravel(x), still)
        return ravel_pytree(action.tangent(point, unravel_coeffs(c)))[0]

    basis = jnp.eye(zero.size, dtype=flat.dtype)
    return jax.vmap(lambda c: jax.jacfwd(field)(flat, c))(basis)


def _relative(part: Array, whole: Array) -> Array:
    size = jnp.sqrt(jnp.sum(whole**2, axis=(1, 2)))
    small = jnp.sqrt(jnp.sum(part**2, axis=(1, 2)))
    return jnp.max(small / jnp.where(size > 0, size, 1.0), initial=0.0)


def isometry_residual(action: AbstractAction, params: Params) -> Array:
    """Largest relative symmetric part of a generator's Jacobian: 0 for isometric actions."""
    return residuals(action, params)[0]


def linearity_residual(action: AbstractAction, params: Params) -> Array:
    """Largest relative distance of a generator's field from `A_a theta`: 0 for linear actions."""
    return residuals(action, params)[1]


def transpose_residual(action: AbstractAction, params: Params) -> Array:
    """Relative distance of the generators' transposes from their span.

    0 where the algebra is closed under transpose: the condition for a moment map.
    """
    return residuals(action, params)[2]


@compiled_once
def residuals(action: AbstractAction, params: Params) -> tuple[Array, Array, Array]:
    """Distances from isometry, from linearity and from closure under transpose."""
    jacobians = field_jacobians(action, params)
    isometry = _relative(0.5 * (jacobians + jnp.swapaxes(jacobians, 1, 2)), jacobians)

    flat, _ = ravel_pytree(eqx.filter(params, eqx.is_inexact_array))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))
    zero, unravel = ravel_pytree(zeros)
    fields = jax.vmap(lambda c: ravel_pytree(action.tangent(params, unravel(c)))[0])(
        jnp.eye(zero.size, dtype=flat.dtype)
    )
    off = fields - jnp.einsum("aij,j->ai", jacobians, flat)
    scale = jnp.sqrt(jnp.sum(fields**2, axis=1)) + jnp.sqrt(jnp.sum(jacobians**2, axis=(1, 2)))
    relative = jnp.sqrt(jnp.sum(off**2, axis=1)) / jnp.where(scale > 0, scale, 1.0)
    linearity = jnp.max(relative, initial=0.0)

    flattened = jacobians.shape[0], flat.size**2
    span = jacobians.reshape(flattened).T
    transposed = jnp.swapaxes(jacobians, 1, 2).reshape(flattened).T
    rest = transposed - span @ jnp.linalg.lstsq(span, transposed)[0]
    return isometry, linearity, _relative(rest.T.reshape(jacobians.shape), jacobians)
