"""Small linear algebra on frames of orbit directions: always on the frame, never on its Gram."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def rank_tolerance(shape: tuple[int, ...], dtype) -> float:
    """Singular values below this fraction of the largest count as zero."""
    return 10.0 * max(*shape, 1) * float(jnp.finfo(dtype).eps)


@jax.custom_jvp
def pseudo_inverse(frame: Float[Array, "D k"]) -> Float[Array, "k D"]:
    """Moore-Penrose inverse, differentiable to any order at constant rank.

    The derivative is Golub and Pereyra's formula in the inverse itself: differentiating the
    singular vectors instead would give NaN at equal singular values.
    """
    u, s, vt = jnp.linalg.svd(frame, full_matrices=False)
    keep = s > rank_tolerance(frame.shape, frame.dtype) * s[0]
    inverse = jnp.where(keep, 1.0 / jnp.where(keep, s, 1.0), 0.0)
    return (vt.T * inverse[None, :]) @ u.T


@pseudo_inverse.defjvp
def _pseudo_inverse_jvp(primals, tangents):
    (frame,), (dframe,) = primals, tangents
    p = pseudo_inverse(frame)
    row = dframe.T - (dframe.T @ frame) @ p
    column = dframe.T - p @ (frame @ dframe.T)
    return p, -p @ dframe @ p + p @ (p.T @ row) + (column @ p.T) @ p


@jax.custom_jvp
def log_pseudo_det_gram(frame: Float[Array, "D k"]) -> Float[Array, ""]:
    """`log pdet(J^T J)` of a frame `J`, by its singular values.

    Differentiable to any order at constant rank: `d log pdet(J^T J) = 2 tr(J^+ dJ)`.
    A frame of rank 0 has an empty determinant, 1.
    """
    s = jnp.linalg.svd(frame, compute_uv=False)
    keep = (s > rank_tolerance(frame.shape, frame.dtype) * s[0]) & (s > 0)
    value = 2.0 * jnp.sum(jnp.where(keep, jnp.log(jnp.where(keep, s, 1.0)), 0.0))
    return jnp.where(jnp.all(jnp.isfinite(frame)), value, jnp.nan)


@log_pseudo_det_gram.defjvp
def _log_pseudo_det_gram_jvp(primals, tangents):
    (frame,), (dframe,) = primals, tangents
    return log_pseudo_det_gram(frame), 2.0 * jnp.sum(pseudo_inverse(frame).T * dframe)


def frame_rank(frame: Float[Array, "D k"]) -> Array:
    """Numerical rank of a frame."""
    s = jnp.linalg.svd(frame, compute_uv=False)
    keep = (s > rank_tolerance(frame.shape, frame.dtype) * s[0]) & (s > 0)
    return jnp.sum(keep)


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=0, keepdims=True)


@partial(jax.jit, inline=True)
def orthonormalise(columns: list[Array]) -> list[Array]:
    """Gram-Schmidt, twice, of arrays of shape `(D, *batch)`, each batch index by itself.

    Columns that depend on earlier ones become zero, so the result spans the same space at any
    rank. Written with elementwise products and sums only: under `vmap` with the batch last this
    vectorises over chains, where a LAPACK call for each chain would cost microseconds.
    """
    if not columns:
        return []
    largest = columns[0] * 0
    largest = jnp.sum(largest, axis=0, keepdims=True)
    for column in columns:
        largest = jnp.maximum(largest, _dot(column, column))
    shape = (columns[0].shape[0], len(columns))
    floor = rank_tolerance(shape, columns[0].dtype) ** 2 * largest
    basis: list[Array] = []
    for column in columns:
        for _ in range(2):
            for q in basis:
                column = column - q * _dot(q, column)
        square = _dot(column, column)
        keep = square > floor
        basis.append(column * jnp.where(keep, 1.0 / jnp.sqrt(jnp.where(keep, square, 1.0)), 0.0))
    return basis
