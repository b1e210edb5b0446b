"""Products of factor matrices, and where their descent starts."""

from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike

from ..._arguments import as_key
from .._potentials._potential import as_float


@final
class DeepProduct(eqx.Module):
    r"""\(W = W_N \cdots W_1\), of the factors `(W_1, ..., W_N)`.

    For [`gaugebias.flows.gradient_descent`][] and [`gaugebias.flows.gradient_flow`][]. Factors are
    an array `(N, n, n)`, or a sequence of matrices of any widths.

    **The trap of an identical start.** From \(W_j = \alpha I\) and a symmetric target all factors
    stay equal in exact arithmetic, and negative eigenvalues end at 0. For N = 2 that limit is
    always a strict saddle, for N > 2 it is one where some positive eigenvalue is smaller than the
    size of a negative one. Rounding may then break the tie (for some sizes and machines; where the
    arithmetic keeps it, the product stays), and after some time the factors find the negative
    eigenvalue. To follow the exact orbit, use [`gaugebias.flows.spectral_descent`][] or
    [`gaugebias.flows.TiedProduct`][].

    !!! example

        ```python
        loss = gb.flows.MatrixEstimation(jnp.diag(jnp.array([2.0, 1.0])))
        start = gb.flows.identical_start(2, 3, 0.1)
        path = gb.flows.gradient_descent(gb.flows.DeepProduct(), loss, start, 0.05, steps=400)
        ```
    """

    def __call__(self, factors: Array | Sequence[Array]) -> Array:
        """The product, shape `(rows of W_N, columns of W_1)`."""
        product = factors[0]
        for j in range(1, len(factors)):
            product = factors[j] @ product
        return product


@final
class TiedProduct(eqx.Module):
    r"""\(W = S^N\) of the symmetric part `S` of one matrix.

    On a symmetric target, descent on `S` with the learning rate \(\eta/N\) is, in exact
    arithmetic, descent on `N` factors from an identical start with \(\eta\): with
    \(W_j = S\) and `S` a function of the target, \(\nabla_S = \sum_j S^{j-1} G S^{N-j} = N S^{N-1}
    G\), `N` times the gradient in each factor. Here the factors cannot come apart, so that there is
    no trap (see [`gaugebias.flows.DeepProduct`][]). For other losses, such as sensing, the factors
    do not stay equal and the two differ.
    """

    depth: int = eqx.field(static=True)

    def __check_init__(self):
        check_depth(self.depth)

    def __call__(self, factor: Array) -> Array:
        """The power, of the shape `(n, n)` of `factor`."""
        symmetric = 0.5 * (factor + factor.T)
        product = symmetric
        for _ in range(self.depth - 1):
            product = symmetric @ product
        return product


def check_depth(depth: int) -> None:
    """`ValueError` unless `depth` is a positive integer."""
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ValueError(f"`depth` must be an integer of at least 1, but is {depth!r}.")


def _check(size: int, depth: int, alpha: ArrayLike) -> Array:
    check_depth(depth)
    if size < 1:
        raise ValueError(f"`size` must be at least 1, but is {size}.")
    scale = as_float(alpha)
    if scale.ndim:
        raise ValueError(f"`alpha` must be a scalar, but has shape {scale.shape}.")
    return scale


def identical_start(size: int, depth: int, alpha: ArrayLike) -> Array:
    r"""\(W_j = \alpha I\) for every `j`: shape `(depth, size, size)`."""
    scale = _check(size, depth, alpha)
    eye = jnp.eye(size, dtype=scale.dtype)
    return jnp.broadcast_to(scale * eye, (depth, size, size))


def perturbed_start(size: int, depth: int, alpha: ArrayLike, beta: ArrayLike) -> Array:
    r"""\(\alpha I\), but \(W_1 = (\alpha - \beta) I\): shape `(depth, size, size)`.

    With \(0 < \beta < \alpha\) the flow conserves \(d_2^2 - d_1^2 > 0\) in each eigenvector, so
    that \(d_2\) keeps its sign while \(d_1\) may change it: negative eigenvalues are recovered.

    Source: re-derived; the name is that of 2011.13772.
    """
    scale, shift = _check(size, depth, alpha), as_float(beta)
    if depth < 2:
        raise ValueError("`depth` must be at least 2: one factor has none to differ from.")
    start = identical_start(size, depth, scale)
    return start.at[0].add(-shift.astype(scale.dtype) * jnp.eye(size, dtype=scale.dtype))


def random_start(key, size: int, depth: int, alpha: ArrayLike) -> Array:
    r"""Independent entries \(\alpha N(0, 1)/\sqrt n\), shape `(depth, size, size)`."""
    scale = _check(size, depth, alpha)
    draws = jr.normal(as_key(key), (depth, size, size), scale.dtype)
    return scale * draws / jnp.sqrt(jnp.asarray(size, scale.dtype))
