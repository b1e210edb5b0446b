"""What the flow of the latent-variable model conserves."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from ._latent import checked_layers, rotated_layers


@final
class LatentInvariants(eqx.Module):
    r"""Conserved quantities of [`gaugebias.flows.LatentVariableFlow`][] at weights `(u, w)`.

    Of the `2d` rotated weights `p`, `q` the flow multiplies all of `p` by one factor and all of `q`
    by its inverse. So every \(p_i q_j\), \(p_i/p_k\) and \(q_i/q_k\) is conserved, of which
    `2d - 1` are independent: the flow has one degree of freedom.

    - `imbalance`: \(u_i^2/\eta_u - w_i^2/\eta_w = 2 p_i q_i\), shape `(d,)`, for the rates given.
    - `direction_p`, `direction_q`: \(p/|p|\) and \(q/|q|\), shape `(d,)`; 0 where the vector is.
    - `product`: \(|p||q|\); `overlap`: \(p \cdot q\), half the sum of the imbalances.
    - `pivot`: the indices `(i, j)` of `independent`.
    """

    p: Array
    q: Array
    imbalance: Array
    direction_p: Array
    direction_q: Array
    product: Array
    overlap: Array
    pivot: tuple[Array, Array]

    def pair(self, i: ArrayLike, j: ArrayLike) -> Array:
        """`p_i q_j`, of the shape of `i` and `j`."""
        return self.p[jnp.asarray(i)] * self.q[jnp.asarray(j)]

    @property
    def independent(self) -> Array:
        r"""\(p_i q_b\) for all `i`, then \(p_a q_j\) for \(j \ne b\): shape `(2d - 1,)`.

        With the pivot `(a, b)`. They are independent where \(p_a q_b \ne 0\); where `p` or `q` is
        0 they all are, and the directions and that 0 take their place.
        """
        a, b = self.pivot
        second = jnp.roll(self.q, -b)[1:]  # all but the pivot
        return jnp.concatenate([self.p * self.q[b], self.p[a] * second])


def latent_invariants(
    u: ArrayLike,
    w: ArrayLike,
    *,
    rate_u: ArrayLike = 1.0,
    rate_w: ArrayLike = 1.0,
    pivot: tuple[ArrayLike, ArrayLike] | None = None,
) -> LatentInvariants:
    """The conserved quantities of the layers `u`, `w` of shape `(d,)`.

    Gradient descent and noise do not conserve them: they measure how far a run is from the flow.

    **Arguments:**

    - `rate_u`, `rate_w`: the layers' rates, positive.
    - `pivot`: indices `(a, b)` for `independent`; default the largest `|p_a|`, `|q_b|`. These stay
        the largest along the flow, but not along a noisy run: give there those of the start.

    Source: 2401.07085; re-derived.
    """
    u, w, rate_u, rate_w = checked_layers(u, w, rate_u, rate_w)
    p, q = rotated_layers(u, w, rate_u, rate_w)
    if pivot is None:
        index = jnp.argmax(jnp.abs(p)), jnp.argmax(jnp.abs(q))
    else:
        index = jnp.asarray(pivot[0]), jnp.asarray(pivot[1])
        for k in index:
            check_entries((k >= 0) & (k < u.shape[0]), "pivot", f"must lie in 0..{u.shape[0] - 1}")
    norm_p, norm_q = jnp.linalg.norm(p), jnp.linalg.norm(q)
    return LatentInvariants(
        p=p,
        q=q,
        imbalance=2.0 * p * q,
        direction_p=p / jnp.where(norm_p > 0, norm_p, 1.0),
        direction_q=q / jnp.where(norm_q > 0, norm_q, 1.0),
        product=norm_p * norm_q,
        overlap=jnp.sum(p * q),
        pivot=index,
    )
