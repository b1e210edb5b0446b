"""The group of mixings that no table can see, as an action on the two factors."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Array, Params, PyTree, Where
from ..symmetry import AbstractAction, GeneralLinear


@final
class MixingAction(AbstractAction):
    r"""The matrices T with T 1 = 1 between two row-stochastic factors: (A T^-1, T G).

    The subgroup of [`gaugebias.symmetry.GeneralLinear`][] that keeps the rows of A and of G
    summing to 1, the affine maps of the (K - 1)-dimensional plane of the components. With
    \(T = e^{-C}\) its algebra is \(\{C : C 1 = 0\}\), of dimension K(K - 1), and the generator
    is \((A C, -C G)\). Non-negativity is no part of the group: it cuts a piece out of each orbit,
    of which [`gaugebias.factor.movement`][] finds the size.

    **Arguments:** `mixing`, `basis`: the leaves A, (I, K), and G, (K, J), as in `GeneralLinear`;
    by default the two entries of a pair (A, G).

    **Coefficients:** Z, shape (K, K - 1), with \(C = Z N^\top\) and N an orthonormal basis of the
    vectors that sum to 0, so that |C| = |Z|.

    **Raises:** `ValueError` as `GeneralLinear`, and where K = 1, whose group is trivial.

    Source: re-derived; the group is that of arXiv 2512.22282.

    !!! example

        ```python
        act = MixingAction()
        gb.check_invariance(lambda p: p[0] @ p[1], act, (mixing, basis))
        ```
    """

    mixing: Where = eqx.field(static=True, default="0")
    basis: Where = eqx.field(static=True, default="1")

    @property
    def general(self) -> GeneralLinear:
        """The group without the condition T 1 = 1."""
        return GeneralLinear(self.mixing, self.basis, axes=(1, 0))

    def algebra(self, params: Params) -> PyTree:
        """One `jax.ShapeDtypeStruct` of shape (K, K - 1)."""
        full = self.general.algebra(params)
        k = full.shape[0]
        if k < 2:
            raise ValueError("`mixing` has one component: there is nothing to mix.")
        return jax.ShapeDtypeStruct((k, k - 1), full.dtype)

    def tangent(self, params: Params, coeffs: PyTree) -> PyTree:
        r"""\((A C, -C G)\), zero elsewhere."""
        return self.general.tangent(params, _matrix(coeffs))

    def flow(self, params: Params, coeffs: PyTree) -> Params:
        r"""\((A e^C, e^{-C} G)\), everything else unchanged."""
        return self.general.flow(params, _matrix(coeffs))


def _matrix(coeffs: PyTree) -> Array:
    """C = Z N^T, whose rows sum to 0."""
    z = jnp.asarray(coeffs)
    return z @ contrasts(z.shape[0], z.dtype).T


def contrasts(k: int, dtype) -> Array:
    """Helmert's orthonormal basis of the vectors of length k that sum to 0, (k, k - 1)."""
    i, j = jnp.arange(k)[:, None], jnp.arange(1, k)[None, :]
    raw = jnp.where(i < j, 1.0, jnp.where(i == j, -1.0 * j, 0.0)).astype(dtype)
    return raw / jnp.sqrt((j * (j + 1)).astype(dtype))
