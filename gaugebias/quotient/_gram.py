"""The orbit Gram `S = J^T J` as an operator on coefficients, in the form its action allows."""

import abc
from functools import singledispatch

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..symmetry import (
    AbstractAction,
    Product,
    Rescaling,
    Scale,
    Translation,
    orbit_jacobian,
)
from ._linalg import frame_rank, log_pseudo_det_gram, orthonormalise, pseudo_inverse


def _moving(params: PyTree) -> PyTree:
    return eqx.filter(params, eqx.is_inexact_array)


class AbstractOrbitGram(eqx.Module):
    """`S = J^T J` at one point, `J` the generators `[X_1 .. X_k]` there, shape `(D, k)`.

    Coefficients are pytrees of the action's algebra. Determinant, inverse and rank are the
    pseudo-determinant, pseudo-inverse and numerical rank where a stabiliser makes `S` singular.
    """

    action: eqx.AbstractVar[AbstractAction]
    params: eqx.AbstractVar[PyTree]

    @abc.abstractmethod
    def log_det(self) -> Array:
        """`log pdet S`, a scalar, differentiable in the parameters at constant rank."""

    @abc.abstractmethod
    def solve(self, coeffs: PyTree) -> PyTree:
        """`S^+ c`: coefficients to coefficients."""

    @abc.abstractmethod
    def sqrt(self, coeffs: PyTree) -> PyTree:
        """`S^(1/2) c`, the symmetric root."""

    @abc.abstractmethod
    def rank(self) -> Array:
        """Dimension of the orbit here, an integer scalar."""

    @abc.abstractmethod
    def vertical(self, v: PyTree) -> PyTree:
        """Orthogonal projection `J S^+ J^T v` of a tangent onto the orbit."""

    def mv(self, coeffs: PyTree) -> PyTree:
        """`S c`."""
        return self.action.cotangent(self.params, self.action.tangent(self.params, coeffs))

    def as_matrix(self) -> Array:
        """`S` as a dense matrix, shape `(k, k)`, in the ravelled basis of the algebra."""
        frame = orbit_jacobian(self.action, self.params)
        return frame.T @ frame


def _zeros(action: AbstractAction, params: PyTree) -> PyTree:
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))


class DenseGram(AbstractOrbitGram):
    """No structure: singular values of the materialised frame, `O(D k^2)`."""

    action: AbstractAction
    params: PyTree

    def log_det(self) -> Array:
        return log_pseudo_det_gram(orbit_jacobian(self.action, self.params))

    def solve(self, coeffs: PyTree) -> PyTree:
        inverse = pseudo_inverse(orbit_jacobian(self.action, self.params))
        flat, unravel = ravel_pytree(coeffs)
        return unravel(inverse @ (inverse.T @ flat))

    def sqrt(self, coeffs: PyTree) -> PyTree:
        frame = orbit_jacobian(self.action, self.params)
        flat, unravel = ravel_pytree(coeffs)
        _, s, vt = jnp.linalg.svd(frame, full_matrices=False)
        return unravel(vt.T @ (s * (vt @ flat)))

    def rank(self) -> Array:
        return frame_rank(orbit_jacobian(self.action, self.params))

    def vertical(self, v: PyTree) -> PyTree:
        flat, unravel = ravel_pytree(v)
        frame = orbit_jacobian(self.action, self.params)
        if min(frame.shape) <= 16:
            basis = orthonormalise([frame[:, a] for a in range(frame.shape[1])])
            return unravel(sum((q * jnp.sum(q * flat) for q in basis), jnp.zeros_like(flat)))
        u, s, _ = jnp.linalg.svd(frame, full_matrices=False)
        keep = s > 10.0 * max(frame.shape) * jnp.finfo(s.dtype).eps * s[0]
        return unravel(u @ jnp.where(keep, u.T @ flat, 0.0))


class DiagonalGram(AbstractOrbitGram):
    """Generators orthogonal to one another everywhere (rescalings, scalings, translations)."""

    action: AbstractAction
    params: PyTree

    def diagonal(self) -> PyTree:
        """The diagonal `|X_a|^2`, a pytree of the algebra's structure."""
        ones = jax.tree.map(lambda z: z + 1, _zeros(self.action, self.params))
        return self.mv(ones)

    def log_det(self) -> Array:
        def log(d):
            return jnp.sum(jnp.where(d == 0, 0.0, jnp.log(jnp.where(d == 0, 1.0, d))))

        return sum(jax.tree.leaves(jax.tree.map(log, self.diagonal())), jnp.zeros(()))

    def solve(self, coeffs: PyTree) -> PyTree:
        return jax.tree.map(
            lambda c, d: jnp.where(d > 0, c / jnp.where(d > 0, d, 1.0), 0.0),
            coeffs,
            self.diagonal(),
        )

    def sqrt(self, coeffs: PyTree) -> PyTree:
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
        stacked = jnp.stack(coeffs)
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
        leaves, treedef = jax.tree.flatten(v)
        stacked = jnp.stack(leaves)
        basis = orthonormalise(self._columns())
        parts = [q * jnp.sum(q * stacked, axis=0, keepdims=True) for q in basis]
        out = sum(parts, jnp.zeros_like(stacked))
        return jax.tree.unflatten(treedef, [out[i] for i in range(len(leaves))])


@singledispatch
def orbit_gram(action: AbstractAction, params: PyTree) -> AbstractOrbitGram:
    """The orbit Gram `S = J^T J` at `params`, as an operator on coefficients.

    **Arguments:**

    - `action`: who acts.
    - `params`: one point (a pytree of arrays); `vmap` for batches.

    **Returns:** an [`AbstractOrbitGram`][] with `log_det`, `solve`, `sqrt`, `rank`, `vertical`,
    `mv` and `as_matrix`, diagonal or blockwise where the action's structure allows it.

    !!! note

        `det S` depends on the basis of the algebra. Where `S` is singular the pseudo-determinant
        is constant on orbits only if the basis is orthonormal, up to one factor, for an
        Ad-invariant inner product; the rotation groups of [`gaugebias.symmetry`][] are.
    """
    return DenseGram(action, params)


@orbit_gram.register(Rescaling)
@orbit_gram.register(Scale)
@orbit_gram.register(Translation)
def _diagonal_gram(action: AbstractAction, params: PyTree) -> AbstractOrbitGram:
    return DiagonalGram(action, params)


def entrywise_shape(action: AbstractAction, params: PyTree) -> tuple[int, ...] | None:
    """The shape shared by every leaf and coefficient if the action works entry by entry."""
    if not isinstance(action, Product) or not all(isinstance(a, Rescaling) for a in action.actions):
        return None
    shapes = {leaf.shape for leaf in jax.tree.leaves(_moving(params))}
    shapes |= {leaf.shape for leaf in jax.tree.leaves(action.algebra(params))}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    return shape if len(shape) <= 1 else None


@orbit_gram.register(Product)
def _product_gram(action: Product, params: PyTree) -> AbstractOrbitGram:
    if entrywise_shape(action, params) is not None:
        return EntrywiseGram(action, params)
    return DenseGram(action, params)


def log_orbit_volume(action: AbstractAction, params: PyTree) -> Array:
    """`log V_loc = 1/2 log pdet S`, the local volume of the orbit through `params`.

    A scalar, differentiable to any order at constant rank. For an isometric action it is constant
    on orbits and, up to a constant, the log of the orbit's volume; the mean curvature of the orbit
    is minus its gradient (2602.12257, Prop. 2). [`orbit_rank`][gaugebias.quotient.orbit_rank]
    says how many directions the pseudo-determinant counts.
    """
    return 0.5 * orbit_gram(action, params).log_det()


def orbit_rank(action: AbstractAction, params: PyTree) -> Array:
    """Dimension of the orbit through `params`: `k` minus the dimension of the stabiliser."""
    return orbit_gram(action, params).rank()


def vertical(action: AbstractAction, params: PyTree, v: PyTree) -> PyTree:
    """The part `Q v = J S^+ J^T v` of a tangent `v` along the orbit.

    `v` has the structure of the moving leaves of `params` (as a gradient has).
    """
    return orbit_gram(action, params).vertical(v)


def horizontal(action: AbstractAction, params: PyTree, v: PyTree) -> PyTree:
    """The part `P v = v - Q v` of a tangent `v` orthogonal to the orbit.

    `v` has the structure of the moving leaves of `params` (as a gradient has). Gradients of
    invariant functions are horizontal.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        act = gb.symmetry.Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
        params = (jnp.array(2.0), jnp.array(2.0))
        gb.horizontal(act, params, (jnp.array(1.0), jnp.array(0.0)))   # (0.5, 0.5)
        ```
    """
    along = vertical(action, params, v)
    return jax.tree.map(jnp.subtract, v, along)
