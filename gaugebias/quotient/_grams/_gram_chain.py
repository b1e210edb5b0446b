"""The orbit Gram of a chain of actions in which neighbours share leaves."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, Product, algebra_dimension
from ...symmetry._action import as_coefficients, as_tangent
from . import _blocktridiagonal as tridiagonal
from ._gram_base import UNROLLED, AbstractOrbitGram, DenseGram
from ._sharing import sharing


class BlockTridiagonalGram(AbstractOrbitGram):
    """Each factor shares leaves with the one before and the one after: deep linear networks.

    An orthogonal factorisation of the block bidiagonal frame, `O(sum_p d_p k_p^2)` for factors of
    `k_p` generators on `d_p` entries, where a dense Gram costs `O(D k^2)`; `S` itself is not
    formed. For widths d and N layers that is `O(N d^6)` instead of `O(N^3 d^6)`.

    At a point where generators become dependent (a hidden layer wider than both its neighbours
    always has such) the singular values of the triangular factor are taken, `O(k^3)`; under `vmap`
    both ways are computed at every point. Hessians of `log_det` are of the dense cost.
    """

    action: Product
    params: PyTree
    order: tuple[int, ...] = eqx.field(static=True)

    @property
    def structure(self) -> str:
        return "block tridiagonal"

    def _groups(self) -> tuple[list[list[int]], list[list[int]]]:
        """Leaves of each factor alone, and leaves shared by each factor and the next."""
        moved = sharing(self.action, self.params)
        ordered = [moved[i] for i in self.order]
        shared = [a & b for a, b in zip(ordered, ordered[1:], strict=False)]
        own = [leaves - frozenset().union(*shared) for leaves in ordered]
        return [sorted(x) for x in own], [sorted(x) for x in shared]

    def _frame(self) -> tridiagonal.Frame:
        own, shared = self._groups()
        columns = [_columns(self.action.actions[i], self.params) for i in self.order]
        singles = tuple(_stack(column, where) for column, where in zip(columns, own, strict=True))
        doubles = tuple(
            (_stack(columns[p], where), _stack(columns[p + 1], where))
            for p, where in enumerate(shared)
        )
        return singles, doubles

    def _coefficientwise(self, fn, coeffs: PyTree) -> PyTree:
        coeffs = as_coefficients(coeffs, self.action.algebra(self.params))
        pairs = [ravel_pytree(coeffs[i]) for i in self.order]
        dtype = jnp.result_type(*(flat for flat, _ in pairs))
        blocks = fn(self._frame(), tuple(flat.astype(dtype) for flat, _ in pairs))
        out: list[PyTree] = [None] * len(pairs)
        for i, block, (flat, unravel) in zip(self.order, blocks, pairs, strict=True):
            out[i] = unravel(block.astype(flat.dtype))
        return tuple(out)

    def log_det(self) -> Array:
        return tridiagonal.log_det(self._frame())

    def solve(self, coeffs: PyTree) -> PyTree:
        return self._coefficientwise(tridiagonal.solve, coeffs)

    def sqrt(self, coeffs: PyTree) -> PyTree:
        return self._coefficientwise(tridiagonal.root, coeffs)

    def rank(self) -> Array:
        return tridiagonal.rank(self._frame())

    def vertical(self, v: PyTree) -> PyTree:
        v = as_tangent(self.params, v, "v")
        if algebra_dimension(self.action, self.params) <= UNROLLED:
            return DenseGram(self.action, self.params).vertical(v)
        own, shared = self._groups()

        def rows(tangent: PyTree):
            leaves = [x[..., None] for x in jax.tree.leaves(tangent)]
            singles = tuple(_stack(leaves, where)[:, 0] for where in own)
            return singles, tuple(_stack(leaves, where)[:, 0] for where in shared)

        (out,) = jax.linear_transpose(rows, v)(tridiagonal.project(self._frame(), rows(v)))
        return out


def _columns(action: AbstractAction, params: PyTree) -> list[Array]:
    """The generators leaf by leaf, each of shape `(*leaf, k)`."""
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))
    flat, unravel = ravel_pytree(zeros)

    def column(c: Array) -> PyTree:
        return action.tangent(params, unravel(c))

    tangents = jax.vmap(column, out_axes=-1)(jnp.eye(flat.size, dtype=flat.dtype))
    return jax.tree.leaves(tangents)


def _stack(leaves: list[Array], where: list[int]) -> Array:
    """The chosen leaves as rows, shape (entries, k)."""
    k = leaves[0].shape[-1]
    dtype = jnp.result_type(*leaves)
    rows = [leaves[i].reshape(-1, k).astype(dtype) for i in where]
    return jnp.concatenate([jnp.zeros((0, k), dtype), *rows])
