"""Orbit Grams of generators that work entry by entry: diagonal, or one small block an entry."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, Product, Rescaling
from ...symmetry._action import as_coefficients, as_tangent
from ._gram_base import AbstractOrbitGram
from ._linalg import frame_rank, log_pseudo_det_gram, orthonormalise, pseudo_inverse


def _zeros(action: AbstractAction, params: PyTree) -> PyTree:
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))


class DiagonalGram(AbstractOrbitGram):
    """Generators orthogonal to one another everywhere (rescalings, scalings, translations)."""

    action: AbstractAction
    params: PyTree

    @property
    def structure(self) -> str:
        return "diagonal"

    def diagonal(self) -> PyTree:
        """The diagonal `|X_a|^2`, a pytree of the algebra's structure."""
        ones = jax.tree.map(lambda z: z + 1, _zeros(self.action, self.params))
        return self.mv(ones)

    def log_det(self) -> Array:
        def log(d):
            return jnp.sum(jnp.where(d == 0, 0.0, jnp.log(jnp.where(d == 0, 1.0, d))))

        return sum(jax.tree.leaves(jax.tree.map(log, self.diagonal())), jnp.zeros(()))

    def solve(self, coeffs: PyTree) -> PyTree:
        coeffs = as_coefficients(coeffs, self.action.algebra(self.params))
        return jax.tree.map(
            lambda c, d: jnp.where(d > 0, c / jnp.where(d > 0, d, 1.0), 0.0),
            coeffs,
            self.diagonal(),
        )

    def sqrt(self, coeffs: PyTree) -> PyTree:
        coeffs = as_coefficients(coeffs, self.action.algebra(self.params))
        return jax.tree.map(lambda c, d: c * jnp.sqrt(d), coeffs, self.diagonal())

    def rank(self) -> Array:
        positive = [jnp.sum(d > 0) for d in jax.tree.leaves(self.diagonal())]
        return sum(positive, jnp.zeros((), int))

    def vertical(self, v: PyTree) -> PyTree:
        coeffs = self.solve(self.action.cotangent(self.params, v))
        return self.action.tangent(self.params, coeffs)


class EntrywiseGram(AbstractOrbitGram):
    """Products of rescalings of vectors entry by entry: one small Gram for each entry.

    Depth-N Hadamard products are of this form: `S` has `n` blocks of `(N-1, N-1)`.
    """

    action: AbstractAction
    params: PyTree

    @property
    def structure(self) -> str:
        return "block diagonal: one block for each entry"

    def _columns(self) -> list[Array]:
        """One column for each factor of the product, each of shape `(N, *entries)`."""
        zeros = _zeros(self.action, self.params)
        columns = []
        for a in range(len(zeros)):
            coeffs = tuple(z + 1 if b == a else z for b, z in enumerate(zeros))
            columns.append(jnp.stack(jax.tree.leaves(self.action.tangent(self.params, coeffs))))
        return columns

    def _frames(self) -> Array:
        """Frames of shape `(entries, N, factors)`."""
        stacked = jnp.stack(self._columns(), axis=1)
        return jnp.moveaxis(stacked.reshape(*stacked.shape[:2], -1), -1, 0)

    def _blockwise(self, matrices: Array, coeffs: PyTree) -> PyTree:
        stacked = jnp.stack(as_coefficients(coeffs, self.action.algebra(self.params)))
        flat = stacked.reshape(stacked.shape[0], -1)
        out = jnp.einsum("eab,be->ae", matrices, flat).reshape(stacked.shape)
        return tuple(out[a] for a in range(stacked.shape[0]))

    def log_det(self) -> Array:
        return jnp.sum(jax.vmap(log_pseudo_det_gram)(self._frames()))

    def solve(self, coeffs: PyTree) -> PyTree:
        inverse = jax.vmap(pseudo_inverse)(self._frames())
        return self._blockwise(jnp.einsum("eai,ebi->eab", inverse, inverse), coeffs)

    def sqrt(self, coeffs: PyTree) -> PyTree:
        _, s, vt = jnp.linalg.svd(self._frames(), full_matrices=False)
        return self._blockwise(jnp.einsum("eia,ei,eib->eab", vt, s, vt), coeffs)

    def rank(self) -> Array:
        return jnp.sum(jax.vmap(frame_rank)(self._frames()))

    def vertical(self, v: PyTree) -> PyTree:
        leaves, treedef = jax.tree.flatten(as_tangent(self.params, v, "v"))
        stacked = jnp.stack(leaves)
        basis = orthonormalise(self._columns())
        parts = [q * jnp.sum(q * stacked, axis=0, keepdims=True) for q in basis]
        out = sum(parts, jnp.zeros_like(stacked))
        return jax.tree.unflatten(treedef, [out[i] for i in range(len(leaves))])


def entrywise_shape(action: AbstractAction, params: PyTree) -> tuple[int, ...] | None:
    """The shape shared by every leaf and coefficient if the action works entry by entry."""
    if not isinstance(action, Product) or not all(isinstance(a, Rescaling) for a in action.actions):
        return None
    shapes = {leaf.shape for leaf in jax.tree.leaves(eqx.filter(params, eqx.is_inexact_array))}
    shapes |= {leaf.shape for leaf in jax.tree.leaves(action.algebra(params))}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    return shape if len(shape) <= 1 else None
