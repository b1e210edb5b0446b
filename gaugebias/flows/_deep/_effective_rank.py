"""Effective rank, and the parts of a path of matrices along the eigenvectors of its target."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float


def spectral_effective_rank(values: ArrayLike) -> Array:
    r"""\(\sum_i |s_i| / \max_i |s_i|\) of singular values or eigenvalues, along the last axis.

    Nuclear over spectral norm: between 1 and the rank, and 0 for the matrix 0.
    """
    size = jnp.abs(as_float(values))
    if size.ndim < 1 or size.shape[-1] < 1:
        raise ValueError(f"`values` must have shape (..., n), but has {size.shape}.")
    most = jnp.max(size, axis=-1)
    return jnp.sum(size, axis=-1) / jnp.where(most > 0, most, 1.0)


def effective_rank(w: ArrayLike) -> Array:
    r"""\(\|W\|_*/\|W\|\), nuclear over spectral norm, of matrices `(..., rows, columns)`."""
    w = as_float(w)
    if w.ndim < 2:
        raise ValueError(f"`w` must be a matrix or an array of them, but has shape {w.shape}.")
    return spectral_effective_rank(jnp.linalg.svd(w, compute_uv=False))


@final
class EigenTrajectories(eqx.Module):
    r"""A path of matrices in the eigenbasis of its target.

    - `values`: \(v_i^T W v_i\), shape `(T, n)`; `rest`: the Frobenius norm of what is off the
        diagonal there, shape `(T,)`: rounding only, where the path commutes with the target.
    """

    values: Array
    rest: Array


def eigen_trajectories(path: ArrayLike, vectors: ArrayLike) -> EigenTrajectories:
    """`path`, shape `(T, n, n)`, along the columns of the orthogonal matrix `vectors`, `(n, n)`."""
    path, vectors = as_float(path), as_float(vectors)
    if path.ndim != 3 or path.shape[1:] != vectors.shape or vectors.shape[0] != vectors.shape[1]:
        raise ValueError(
            "`path` must have shape (T, n, n) and `vectors` (n, n), but have "
            f"{path.shape} and {vectors.shape}."
        )
    turned = jnp.einsum("ji,tjk,kl->til", vectors, path, vectors)
    values = jnp.diagonal(turned, axis1=1, axis2=2)
    off = turned * (1.0 - jnp.eye(vectors.shape[0], dtype=turned.dtype))[None]
    return EigenTrajectories(values, jnp.sqrt(jnp.sum(off**2, axis=(1, 2))))
