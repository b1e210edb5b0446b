"""Symmetric and antisymmetric generators of a linear action."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..quotient._grams._linalg import log_pseudo_det_gram
from ..symmetry import AbstractAction, orbit_jacobian


class Split(eqx.Module):
    """Bases of the symmetric and the antisymmetric generators, orthonormal in Frobenius norm.

    - `symmetric`, `antisymmetric`: shapes `(k, k_s)` and `(k, k_a)`, columns of coefficients in
        the ravelled basis of the algebra.
    - `residual`: how far the algebra is from being closed under transpose, 0 to 1.
    """

    symmetric: Array | np.ndarray
    antisymmetric: Array | np.ndarray
    residual: float = eqx.field(static=True)


def split_algebra(matrices: np.ndarray) -> Split:
    """Split the algebra of a linear action, given its matrices `A_a`, shape `(k, D, D)`.

    With `N = <A_a, A_b>` and `M = tr(A_a A_b)` the transpose has eigenvalues +1 (symmetric) and -1
    (antisymmetric) on an algebra closed under it. Generators that act trivially are dropped.
    """
    inner = np.einsum("aij,bij->ab", matrices, matrices)
    mirror = np.einsum("aij,bji->ab", matrices, matrices)
    values, vectors = np.linalg.eigh(inner)
    keep = values > 1e-10 * values.max(initial=1e-300)
    root = vectors[:, keep] / np.sqrt(values[keep])
    signs, rotation = np.linalg.eigh(root.T @ mirror @ root)
    basis = root @ rotation
    residual = float(np.max(np.abs(1.0 - np.abs(signs)), initial=0.0))
    return Split(basis[:, signs > 0], basis[:, signs <= 0], residual)


def log_frame_volume(action: AbstractAction, params: PyTree, basis: Array | np.ndarray) -> Array:
    """`1/2 log pdet` of the Gram of the generators in `basis` at `params`; 0 where empty."""
    frame = orbit_jacobian(action, params)
    if basis.shape[1] == 0:
        return jnp.zeros((), frame.dtype)
    return 0.5 * log_pseudo_det_gram(frame @ jnp.asarray(basis, frame.dtype))
