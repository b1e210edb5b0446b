"""Matrices acting along an axis, skew matrices of angles, symmetric matrices as vectors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from .._types import Array
from ._expm import expm


def along(value: Array, matrix: Array, axis: int, batch: int | None = None) -> Array:
    """Contract `axis` of `value` with the rows of `matrix`: `sum_i value[.., i, ..] matrix[i, j]`.

    `matrix` has shape (r, q), or (h, r, q) with `batch` the axis of size h that runs over copies.
    """
    n = value.ndim
    indices = list(range(n))
    result = indices.copy()
    result[axis] = n
    of_matrix = [axis, n] if batch is None else [batch, axis, n]
    return jnp.einsum(
        value, indices, matrix, of_matrix, result, precision=jax.lax.Precision.HIGHEST
    )


def rank_tolerance(shape: tuple[int, ...], dtype) -> float:
    """Singular values below this fraction of the largest count as zero."""
    return 10.0 * max(*shape, 1) * float(jnp.finfo(dtype).eps)


def skew(angles: Array, size: int) -> Array:
    """The skew matrix with `angles` (i < j, row by row) above its diagonal, shape (size, size)."""
    rows, columns = np.triu_indices(size, 1)
    upper = jnp.zeros((size, size), angles.dtype).at[rows, columns].add(angles, unique_indices=True)
    return upper - upper.T


def pairs(size: int) -> int:
    """The dimension size (size - 1) / 2 of the rotations."""
    return size * (size - 1) // 2


def rotation(angles: Array, size: int) -> Array:
    """The rotation `exp` of `skew(angles, size)`."""
    return expm(skew(angles, size))


def side(length: int) -> int | None:
    """The d of d (d + 1) / 2 = length, or None where there is none."""
    d = (math.isqrt(8 * length + 1) - 1) // 2
    return d if d * (d + 1) // 2 == length else None


def symmetric_from_vector(x: ArrayLike) -> Array:
    r"""The symmetric matrix with orthonormal coordinates `x`.

    **Arguments:** `x`, shape (..., d (d + 1) / 2): the diagonal first, then the entries above it,
    row by row, times \(\sqrt 2\), so that \(|x| = \|X\|_F\).

    **Returns:** shape (..., d, d).

    **Raises:** `ValueError` where the length is not d (d + 1) / 2.

    !!! Example

        ```python
        symmetric_from_vector(jnp.array([1.0, 2.0, jnp.sqrt(2.0)]))  # [[1, 1], [1, 2]]
        ```
    """
    x = jnp.asarray(x)
    d = side(x.shape[-1]) if x.ndim else None
    if d is None:
        raise ValueError(
            f"`x` must have length d (d + 1) / 2 along its last axis: it is {x.shape}."
        )
    place = np.zeros((d, d), np.int32)
    place[np.diag_indices(d)] = np.arange(d)
    rows, columns = np.triu_indices(d, 1)
    place[rows, columns] = place[columns, rows] = d + np.arange(pairs(d))
    weight = np.where(np.eye(d, dtype=bool), 1.0, math.sqrt(0.5)).astype(x.dtype)
    return x[..., place] * jnp.reshape(weight, (1,) * (x.ndim - 1) + (d, d))


def vector_from_symmetric(matrix: ArrayLike) -> Array:
    r"""Orthonormal coordinates of a symmetric matrix: the inverse of `symmetric_from_vector`.

    **Arguments:** `matrix`, shape (..., d, d). Of a matrix that is not symmetric the symmetric
    part is taken, so that this is also the transpose of `symmetric_from_vector`.

    **Returns:** shape (..., d (d + 1) / 2): the diagonal, then the entries above it, row by row,
    times \(\sqrt 2\).

    **Raises:** `ValueError` where the last two axes differ.
    """
    matrix = jnp.asarray(matrix)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"`matrix` must be square in its last two axes: it is {matrix.shape}.")
    d = matrix.shape[-1]
    rows, columns = np.triu_indices(d, 1)
    diagonal = matrix[..., np.arange(d), np.arange(d)]
    off = (matrix[..., rows, columns] + matrix[..., columns, rows]) * math.sqrt(0.5)
    return jnp.concatenate([diagonal, off], axis=-1)
