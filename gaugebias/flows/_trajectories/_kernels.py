"""Tangent kernels and the distance between them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._parametrisations._parametrisation import check_entries


def tangent_kernel(fn: Callable, params: PyTree) -> Array:
    r"""The neural tangent kernel \(J J^T\) of `fn` at `params`, shape `(m, m)`.

    `fn` maps parameters to the outputs of interest, all samples at once; they are flattened in
    row-major order.
    """
    flat, unravel = ravel_pytree(params)
    jacobian = jax.jacrev(lambda w: jnp.ravel(fn(unravel(w))))(flat)
    return jacobian @ jacobian.T


def kernel_distance(first: Array, second: Array) -> Array:
    r"""\(1 - \langle K_0, K_1\rangle/(|K_0|\,|K_1|)\), Frobenius: 0 where the kernels are parallel.

    To about the root of rounding it is `1 - cos` computed from the difference of the normalised
    kernels, so that small distances keep their digits.
    """
    if first.shape != second.shape:
        raise ValueError(f"`first` and `second` differ in shape: {first.shape}, {second.shape}.")
    sizes = [jnp.linalg.norm(kernel) for kernel in (first, second)]
    for size, name in zip(sizes, ("first", "second"), strict=True):
        must = "must be finite and not 0: a network whose units are all off has no kernel"
        check_entries((size > 0) & jnp.isfinite(size), name, must)
    gap = first / sizes[0] - second / sizes[1]
    return 0.5 * jnp.sum(gap**2)
