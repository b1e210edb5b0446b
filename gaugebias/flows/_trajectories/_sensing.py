"""Wide factorisations under commuting measurements: a bias on the spectrum."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from .._potentials._bregman import BregmanSolution, minimise_bregman
from .._potentials._potential import as_float
from .._potentials._regimes import wide_potential


@final
class CommutingSensing(eqx.Module):
    """What [`gaugebias.flows.commuting_sensing`][] predicts.

    - `matrix`: the limit of `U V^T`, shape `(d, d)`.
    - `spectrum`, `basis`: its eigenvalues `(d,)`, and the common eigenvectors as columns.
    - `fluctuation`: `alpha^2 sqrt(width)`, the size of an entry of `U V^T` at the start, which the
        prediction takes as 0.
    - `solution`: of the dual Newton method, for the spectrum.
    """

    matrix: Array
    spectrum: Array
    basis: Array
    fluctuation: Array
    solution: BregmanSolution


def commuting_sensing(
    measurements: ArrayLike, y: ArrayLike, alpha: ArrayLike, width: int
) -> CommutingSensing:
    r"""Where a wide factorisation `M = U V^T` ends that fits `<X_n, M> = y_n`, `X_n` commuting.

    Gradient flow moves \([U; V]\) by \(\exp(-[[0, S], [S, 0]])\), \(S = \int\nabla L\,dt\), when
    all measurements share their eigenvectors. With `U`, `V` of shape `(d, k)` and entries
    \(N(0, \alpha^2)\), the Gram matrix of the start tends to \(\alpha^2 k\) times the identity as
    `k` grows: \(M = -\alpha^2 k \sinh(2S)\), so that the spectrum of the limit is
    \(\mathrm{argmin}\ Q_\mu\) on the solutions, \(\mu^2 = \alpha^2 k/2\), whatever the loss. Off
    by order \(1/\sqrt k\) at finite width.

    **Arguments:**

    - `measurements`: `X_n`, symmetric and commuting, shape `(n, d, d)`; `y`: shape `(n,)`.
    - `alpha`: the standard deviation of the factors; `width`: `k`.

    **Returns:** a [`gaugebias.flows.CommutingSensing`][].

    **Raises:** `ValueError` where measurements are not symmetric or do not commute, naming the pair
    and the size of its commutator; what [`gaugebias.flows.minimise_bregman`][] raises.

    Source: 2002.09277, Theorem 4; re-derived.
    """
    x, targets = np.asarray(as_float(measurements)), as_float(y)
    if x.ndim != 3 or x.shape[1] != x.shape[2] or not np.all(np.isfinite(x)):
        raise ValueError(
            f"`measurements` must be finite matrices of shape (n, d, d), but have {x.shape}."
        )
    if targets.shape != x.shape[:1]:
        raise ValueError(f"`y` must have shape {x.shape[:1]}, one a measurement: {targets.shape}.")
    size = np.linalg.norm(x, axis=(1, 2))
    limit = 1e4 * float(np.finfo(x.dtype).eps)
    skew = np.linalg.norm(x - x.transpose(0, 2, 1), axis=(1, 2))
    if np.any(skew > limit * size):
        bad = int(np.argmax(skew - limit * size))
        raise ValueError(
            f"`measurements` must be symmetric, but number {bad} is not: without a common basis of "
            "eigenvectors the flow has no potential."
        )
    for n in range(1, len(x)):
        bracket = np.linalg.norm(x[n] @ x[:n] - x[:n] @ x[n], axis=(1, 2))
        off = bracket - limit * size[n] * size[:n]
        if np.any(off > 0.0):
            m = int(np.argmax(off))
            raise ValueError(
                f"`measurements` {m} and {n} do not commute: their commutator has the norm "
                f"{bracket[m]:.3g}. Then no potential describes the flow (`commutation`); "
                "simulate it by `gradient_flow`."
            )
    mixed = np.tensordot(np.random.default_rng(0).standard_normal(len(x)), x, axes=1)
    basis = np.linalg.eigh(mixed)[1]
    rows = np.einsum("ji,njk,ki->ni", basis, x, basis)
    potential = wide_potential(alpha, width)
    found = minimise_bregman(potential, rows, targets)
    turn = jnp.asarray(basis)
    matrix = (turn * found.x[None, :]) @ turn.T
    fluctuation = jnp.asarray(alpha) ** 2 * jnp.sqrt(jnp.asarray(width, jnp.result_type(float)))
    return CommutingSensing(matrix, found.x, turn, fluctuation, found)
