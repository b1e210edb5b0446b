"""Losses of a matrix: all of it seen, or some linear functions of it."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from ..._arguments import as_key
from .._potentials._potential import as_float


@final
class MatrixEstimation(eqx.Module):
    r"""\(L(W) = \tfrac12 \|W - \hat W\|_F^2\): `target`, \(\hat W\), any matrix."""

    target: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        if self.target.ndim != 2:
            raise ValueError(f"`target` must be a matrix, but has shape {self.target.shape}.")

    def __call__(self, w: ArrayLike) -> Array:
        """`L(W)`, a scalar."""
        return 0.5 * jnp.sum((as_float(w) - self.target) ** 2)


@final
class MatrixSensing(eqx.Module):
    r"""\(L(W) = \tfrac12 \sum_i (\langle A_i, W\rangle - y_i)^2\), any linear measurements.

    **Arguments:**

    - `operators`: \(A_i\), shape `(m, rows, columns)`. Matrix completion has one entry 1 in each.
    - `measurements`: `y`, shape `(m,)`; see [`gaugebias.flows.MatrixSensing.observe`][].
    """

    operators: Array = eqx.field(converter=as_float)
    measurements: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        if self.operators.ndim != 3 or self.measurements.shape != self.operators.shape[:1]:
            raise ValueError(
                "`operators` must have shape (m, rows, columns) and `measurements` (m,), but have "
                f"{self.operators.shape} and {self.measurements.shape}."
            )

    @staticmethod
    def of(operators: ArrayLike, target: ArrayLike) -> "MatrixSensing":
        """Noiseless measurements of a matrix `target`."""
        operators, target = as_float(operators), as_float(target)
        if operators.ndim != 3 or operators.shape[1:] != target.shape:
            raise ValueError(
                f"`operators` must have shape (m, *{target.shape}) as `target`, but has "
                f"{operators.shape}."
            )
        return MatrixSensing(operators, jnp.einsum("mij,ij->m", operators, target))

    def observe(self, w: ArrayLike) -> Array:
        r"""\(\langle A_i, W\rangle\), shape `(m,)`."""
        return jnp.einsum("mij,ij->m", self.operators, as_float(w))

    def __call__(self, w: ArrayLike) -> Array:
        """`L(W)`, a scalar."""
        return 0.5 * jnp.sum((self.observe(w) - self.measurements) ** 2)


def gaussian_measurements(key, count: int, size: int, *, symmetric: bool = True) -> Array:
    r"""`count` matrices with entries \(N(0, 1)/\sqrt m\), shape `(count, size, size)`.

    `symmetric` takes \((A + A^T)/2\) of each, before which the entries were drawn: then the skew
    part of `W` is not measured at all.
    """
    if count < 1 or size < 1:
        raise ValueError(f"`count` and `size` must be at least 1, not {count} and {size}.")
    draws = jr.normal(as_key(key), (count, size, size), jnp.result_type(float))
    if symmetric:
        draws = 0.5 * (draws + jnp.swapaxes(draws, 1, 2))
    return draws / jnp.sqrt(jnp.asarray(count, draws.dtype))


def symmetric_eigen(target: ArrayLike, *, tolerance: float = 1e-10) -> tuple[Array, Array]:
    r"""Eigenvalues, largest first, and eigenvectors (columns) of a symmetric `target`.

    **Raises:** `ValueError` for an asymmetric one: descent from multiples of the identity splits
    into eigenvectors of the target only where it is symmetric.
    """
    target = as_float(target)
    if target.ndim != 2 or target.shape[0] != target.shape[1]:
        raise ValueError(f"`target` must be a square matrix, but has shape {target.shape}.")
    if not isinstance(target, Tracer):
        w = np.asarray(target, np.float64)
        if not np.isfinite(w).all():
            raise ValueError("`target` must be finite.")
        gap, size = np.linalg.norm(w - w.T), np.linalg.norm(w)
        limit = max(tolerance, 10 * float(jnp.finfo(target.dtype).eps))
        if gap > limit * size:
            raise ValueError(
                f"`target` is asymmetric (|W - W^T| is {gap / size:.2g} of |W|): descent splits "
                "into eigenvectors for a symmetric one only. Take its symmetric part, or descend "
                "on the factors with `DeepProduct` and `gradient_descent`."
            )
    values, vectors = jnp.linalg.eigh(0.5 * (target + target.T))
    return values[::-1], vectors[:, ::-1]
