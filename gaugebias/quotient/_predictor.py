"""The predictor map's Gram, and the mean curvature of orbits."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..symmetry import AbstractAction
from ._grams._gram import log_orbit_volume, vertical
from ._grams._linalg import log_pseudo_det_gram


def predictor_jacobian(phi: Callable, params: PyTree) -> Array:
    """`Dphi` as a dense matrix of shape `(m, D)`, by autodiff.

    Rows are the ravelled predictor, columns the ravelled moving leaves of `params`.
    """
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)

    def ravelled(x):
        return ravel_pytree(phi(eqx.combine(unravel(x), still)))[0]

    size = jax.eval_shape(ravelled, flat).shape[0]
    jacobian = jax.jacrev if size <= flat.shape[0] else jax.jacfwd
    return jacobian(ravelled)(flat)


def predictor_gram(phi: Callable, params: PyTree) -> Array:
    """`K = Dphi Dphi^T`, the inverse quotient metric in the predictor's coordinates.

    Shape `(m, m)`, `m` the size of the ravelled predictor: the empirical neural tangent kernel
    when the predictor is a vector of outputs. Its determinant gives the quotient's volume
    `dvol = det(K)^(-1/2) dw` at the representative where it is evaluated.
    """
    jacobian = predictor_jacobian(phi, params)
    return jacobian @ jacobian.T


def predictor_log_det(phi: Callable, params: PyTree) -> Array:
    """`log pdet K` by the singular values of `Dphi`; a differentiable scalar."""
    return log_pseudo_det_gram(predictor_jacobian(phi, params).T)


def mean_curvature(action: AbstractAction, params: PyTree) -> PyTree:
    """Mean curvature vector `H = -grad log V` of the orbit of an isometric action.

    The trace of the second fundamental form (2602.12257, Prop. 2); a tangent with the structure
    of the moving leaves of `params`. For the rotations of `R^d`, `H = -(d - 1) x / |x|^2`.
    The formula holds for isometric actions only.

    **Raises:** `ValueError` where the action is not isometric, and where `log V` changes along the
    orbit for want of a basis that is orthonormal for an Ad-invariant inner product (both checked
    when values are concrete).
    """
    from ._gauges._slice import isometry_residual

    residual = isometry_residual(action, params)
    if not isinstance(residual, Tracer):
        scale = float(jnp.sqrt(jnp.finfo(residual.dtype).eps))
        if float(residual) > scale:
            raise ValueError(
                "`action` must be isometric for `mean_curvature`: a generator's field stretches "
                f"lengths at relative rate {float(residual):.2e} here, so H is not -grad log V."
            )
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    gradient = jax.grad(lambda p: log_orbit_volume(action, eqx.combine(p, still)))(moving)
    along = vertical(action, params, gradient)
    size, rate = (jnp.linalg.norm(ravel_pytree(x)[0]) for x in (gradient, along))
    if not isinstance(rate, Tracer):
        theta = float(jnp.linalg.norm(ravel_pytree(moving)[0]))
        eps = float(jnp.finfo(rate.dtype).eps)
        if float(rate) > 10.0 * eps**0.5 * (float(size) + 1.0 / max(theta, 1e-300)):
            raise ValueError(
                "`action` needs another basis for `mean_curvature`: log V changes along the orbit "
                f"(by {float(rate) / float(size):.2e} of its gradient), as it does at points with "
                "a stabiliser where the generators are not orthonormal for an Ad-invariant inner "
                "product (those of `gaugebias.symmetry.Orthogonal` are)."
            )
    return jax.tree.map(jnp.negative, gradient)
