"""The orbit Gram of a product whose factors move different leaves."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ...symmetry import Product
from ...symmetry._action import as_coefficients
from ._gram_base import AbstractOrbitGram


class BlockDiagonalGram(AbstractOrbitGram):
    """Groups of factors that share no leaf: their generators are orthogonal everywhere.

    `blocks` are the groups' Grams, each in its own form; `members` the factors of each group.
    """

    action: Product
    params: PyTree
    blocks: tuple[AbstractOrbitGram, ...]
    members: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    @property
    def structure(self) -> str:
        if len(self.blocks) == 1:
            return self.blocks[0].structure
        return "block diagonal: " + "; ".join(block.structure for block in self.blocks)

    def _blockwise(self, method: str, coeffs: PyTree) -> PyTree:
        coeffs = as_coefficients(coeffs, self.action.algebra(self.params))
        out: list[PyTree] = [None] * len(self.action.actions)
        for block, members in zip(self.blocks, self.members, strict=True):
            apply = getattr(block, method)
            if len(members) == 1:
                out[members[0]] = apply(coeffs[members[0]])
            else:
                for i, c in zip(members, apply(tuple(coeffs[i] for i in members)), strict=True):
                    out[i] = c
        return tuple(out)

    def log_det(self) -> Array:
        return sum((block.log_det() for block in self.blocks), jnp.zeros(()))

    def solve(self, coeffs: PyTree) -> PyTree:
        return self._blockwise("solve", coeffs)

    def sqrt(self, coeffs: PyTree) -> PyTree:
        return self._blockwise("sqrt", coeffs)

    def rank(self) -> Array:
        return sum((block.rank() for block in self.blocks), jnp.zeros((), int))

    def vertical(self, v: PyTree) -> PyTree:
        parts = [block.vertical(v) for block in self.blocks]
        return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *parts)
