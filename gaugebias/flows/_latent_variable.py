"""Exact flow of a two-layer linear network on one latent variable."""

from typing import Literal, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from ._parametrisation import check_entries
from ._potential import as_float


@final
class LatentVariable(eqx.Module):
    r"""The flow of \(f(x) = \gamma \sum_i u_i (w_i \cdot x)\) on data along one direction.

    With `x = a n`, a random scalar `a` and a fixed unit vector `n`, only \(w_i := w_i \cdot n\)
    moves. The flow with layer rates \(\eta_u, \eta_w\) on \(E (f - y)^2\) is linear in
    \(p, q = (u/\sqrt{\eta_u} \pm w/\sqrt{\eta_w})/\sqrt 2\) but for one clock \(\xi\),

    \[ p_i = p_i(0)\sqrt\xi, \quad q_i = q_i(0)/\sqrt\xi, \quad
       \dot\xi = 4\gamma h B\,\xi - 2 A\gamma^2 h^2 (P\xi^2 - Q), \]

    \(h = \sqrt{\eta_u\eta_w}\), \(P = \sum p_i(0)^2\), \(Q = \sum q_i(0)^2\): a Riccati equation.
    Every \(p_i q_j\), \(p_i/p_k\) and \(q_i/q_k\) is conserved. \(f \to B x/A\), unless it would
    have to pass from one sign to the other with P = 0 or Q = 0.

    **Arguments:**

    - `u`, `w`: the start, shape `(d,)`, `w` along `n`.
    - `second_moment`, \(A = E a^2 > 0\); `correlation`, \(B = E a y\).
    - `output_scale`, \(\gamma > 0\); `rate_u`, `rate_w`, the layers' rates.
    - `loss`: `"mean"` for \(E(f - y)^2\), `"half"` for \(\tfrac12 E(f - y)^2\), at half the speed.

    Methods take a scalar time `t >= 0`; `jnp.inf` is allowed. `vmap` over times or starts.

    Source: 2401.07085 for the model; re-derived.

    !!! example

        ```python
        flow = gb.flows.LatentVariable(u, w, second_moment=1.0, correlation=1.0)
        flow.alignment(5.0), flow.kernel(5.0)
        ```
    """

    u: Array
    w: Array
    second_moment: Array
    correlation: Array
    output_scale: Array
    rate_u: Array
    rate_w: Array
    loss: Literal["mean", "half"] = eqx.field(static=True)

    def __init__(
        self,
        u: ArrayLike,
        w: ArrayLike,
        *,
        second_moment: ArrayLike,
        correlation: ArrayLike,
        output_scale: ArrayLike = 1.0,
        rate_u: ArrayLike = 1.0,
        rate_w: ArrayLike = 1.0,
        loss: Literal["mean", "half"] = "mean",
    ):
        self.u, self.w = as_float(u), as_float(w)
        self.second_moment, self.correlation = as_float(second_moment), as_float(correlation)
        self.output_scale = as_float(output_scale)
        self.rate_u, self.rate_w, self.loss = as_float(rate_u), as_float(rate_w), loss
        if self.u.ndim != 1 or self.u.shape != self.w.shape or self.u.size < 1:
            raise ValueError(
                f"`u` and `w` must be vectors of one length, but have shapes {self.u.shape} and "
                f"{self.w.shape}."
            )
        if loss not in ("mean", "half"):
            raise ValueError(f'`loss` must be "mean" or "half", but is {loss!r}.')
        check_entries(jnp.isfinite(self.u) & jnp.isfinite(self.w), "u", "and `w` must be finite")
        for name in ("second_moment", "output_scale", "rate_u", "rate_w"):
            value = getattr(self, name)
            if value.ndim:
                raise ValueError(f"`{name}` must be a scalar, but has shape {value.shape}.")
            check_entries((value > 0) & jnp.isfinite(value), name, "must be positive and finite")
        if self.correlation.ndim:
            raise ValueError(
                f"`correlation` must be a scalar, but has shape {self.correlation.shape}."
            )
        check_entries(jnp.isfinite(self.correlation), "correlation", "must be finite")
        check_entries(
            jnp.any((self.u != 0) | (self.w != 0)), "u", "and `w` are 0, where nothing moves"
        )

    @property
    def _h(self) -> Array:
        return jnp.sqrt(self.rate_u * self.rate_w)

    @property
    def modes(self) -> tuple[Array, Array]:
        """`(p, q)` at the start, each of shape `(d,)`."""
        u, w = self.u / jnp.sqrt(self.rate_u), self.w / jnp.sqrt(self.rate_w)
        return (u + w) / jnp.sqrt(2.0), (u - w) / jnp.sqrt(2.0)

    @property
    def invariants(self) -> tuple[Array, Array, Array]:
        r"""`(P, Q, R)` with \(R = \sum p_i q_i\); `P Q` and `R` are conserved."""
        p, q = self.modes
        return jnp.sum(p**2), jnp.sum(q**2), jnp.sum(p * q)

    @property
    def imbalance(self) -> Array:
        r"""\(u_i^2/\eta_u - w_i^2/\eta_w\), conserved, shape `(d,)`."""
        return self.u**2 / self.rate_u - self.w**2 / self.rate_w

    def _riccati(self) -> tuple[Array, Array, Array, Array]:
        r"""\(\dot\xi = \alpha + \beta\xi - \kappa\xi^2\), and the root of its discriminant."""
        big, small, _ = self.invariants
        factor = 1.0 if self.loss == "mean" else 0.5
        speed = 4.0 * factor * self.output_scale * self._h
        reach = self.second_moment * self.output_scale * self._h
        alpha, kappa = 0.5 * speed * reach * small, 0.5 * speed * reach * big
        beta = speed * self.correlation
        root = speed * jnp.sqrt(self.correlation**2 + reach**2 * big * small)
        return alpha, beta, kappa, root

    @property
    def time_constant(self) -> Array:
        r"""\(t_c\): deviations end as \(e^{-t/t_c}\), \(1/t_c = 4\gamma h\Delta\) ("half": 2).

        \(\Delta = \sqrt{B^2 + A^2\gamma^2\eta_u\eta_w P Q}\). Infinite where the end is reached
        algebraically (B = 0 and P Q = 0).
        """
        return 1.0 / self._riccati()[3]

    def xi(self, t: ArrayLike) -> Array:
        r"""The clock \(\xi(t)\), from 1; a ratio of sums of positive terms."""
        alpha, beta, kappa, root = self._riccati()
        t = jnp.asarray(t, root.dtype)
        # root + beta and root - beta, whose product is 4 alpha kappa, without cancellation.
        large = root + jnp.abs(beta)
        little = 4.0 * alpha * kappa / jnp.where(large > 0, large, 1.0)
        plus, minus = jnp.where(beta >= 0, large, little), jnp.where(beta >= 0, little, large)
        moving = root > 0
        rate = jnp.where(moving, root, 1.0)
        fade, spent = jnp.exp(-rate * t), -jnp.expm1(-rate * t)
        top = plus + minus * fade + 2.0 * alpha * spent
        bottom = minus + plus * fade + 2.0 * kappa * spent
        # Both rates 0: P or Q and the correlation vanish.
        slow = (1.0 + alpha * t) / (1.0 + kappa * t)
        return jnp.where(moving, top / jnp.where(moving, bottom, 1.0), slow)

    def weights(self, t: ArrayLike) -> tuple[Array, Array]:
        """`(u, w)` at the time `t`, each of shape `(d,)`."""
        p, q = self.modes
        clock = jnp.sqrt(self.xi(t))
        p, q = p * clock, q / clock
        u, w = (p + q) / jnp.sqrt(2.0), (p - q) / jnp.sqrt(2.0)
        return u * jnp.sqrt(self.rate_u), w * jnp.sqrt(self.rate_w)

    def _parts(self, t: ArrayLike) -> tuple[Array, Array]:
        r"""\(P\xi\) and \(Q/\xi\)."""
        big, small, _ = self.invariants
        clock = self.xi(t)
        return jnp.where(big > 0, big * clock, 0.0), jnp.where(small > 0, small / clock, 0.0)

    def slope(self, t: ArrayLike) -> Array:
        r"""`f(x)/a` at the time `t`, \(\gamma \sum u_i w_i\): it goes to `B/A`."""
        up, down = self._parts(t)
        return 0.5 * self.output_scale * self._h * (up - down)

    def kernel(self, t: ArrayLike) -> Array:
        r"""The tangent kernel over `a a'`: \(\gamma^2(\eta_u |w|^2 + \eta_w |u|^2)\)."""
        up, down = self._parts(t)
        return (self.output_scale * self._h) ** 2 * (up + down)

    def alignment(self, t: ArrayLike) -> Array:
        r"""\(\zeta = u \cdot w/(|u||w|)\) at the time `t`; 0 where a layer is 0."""
        up, down = self._parts(t)
        norms = (up + down) ** 2 - 4.0 * self.invariants[2] ** 2
        size = jnp.sqrt(jnp.where(norms > 0, norms, 1.0))
        return jnp.where(norms > 0, (up - down) / size, 0.0)
