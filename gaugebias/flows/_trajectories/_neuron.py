"""Exact gradient flow of a single linear neuron."""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float


@final
class SingleNeuron(eqx.Module):
    r"""The flow of \(L = \tfrac12|a w - \beta_*|^2\): a neuron `f = a w . z` on whitened inputs.

    \(\delta = a^2 - |w|^2\) is conserved. \(y = w \cdot \beta_*/a\) obeys the Riccati equation
    \(\dot y = s^2 - \delta y - y^2\), \(s = |\beta_*|\). With its linear form,
    \(\ddot\psi + \delta\dot\psi = s^2\psi\), \(\psi(0) = a_0\),
    \(\dot\psi(0) = w_0 \cdot \beta_*\), the whole trajectory is in closed form,

    \[ a = \psi e^{\delta t}/N, \quad
       w = (\dot\psi e^{\delta t}\,\beta_*/s^2 + w_{0\perp})/N, \quad
       N^2 = 1 + 2\textstyle\int_0^t \psi^2 e^{2\delta\tau} d\tau, \]

    regular where `a` passes through 0 and `y` is infinite. Numerator and `N` are divided by the
    larger of 1 and the growing part of \(\psi e^{\delta t}\), so that nothing overflows or vanishes
    together.

    The points `a = 0`, `w` across \(\beta_*\), are saddles. On their stable manifold,
    \(r a = -w \cdot \beta_*\) with \(r = (\delta + \sqrt{\delta^2 + 4 s^2})/2\), as from `a = 1`,
    `w = -target` at `s = 1`, `a` tends to 0 and the neuron stays there. Near it a start is known
    to rounding \(\epsilon\) only, and so is, after a time \(\ln(1/\epsilon)/r\), the side to which
    it leaves.

    **Arguments:** `a`, a scalar, and `w`, shape `(d,)`, the start; `target`, \(\beta_*\ne 0\).

    Source: 2406.06158 for `y`; the weights derived here.
    """

    a: Array = eqx.field(converter=as_float)
    w: Array = eqx.field(converter=as_float)
    target: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        if self.a.ndim or self.w.ndim != 1 or self.w.shape != self.target.shape:
            raise ValueError(
                "`a` must be a scalar, `w` and `target` vectors of one length, but the shapes are "
                f"{self.a.shape}, {self.w.shape}, {self.target.shape}."
            )
        for value, name in ((self.a, "a"), (self.w, "w"), (self.target, "target")):
            check_entries(jnp.isfinite(value), name, "must be finite")
        check_entries(
            jnp.any(self.target != 0), "target", "must not be 0: there the neuron only decays"
        )

    @property
    def delta(self) -> Array:
        """`a^2 - |w|^2`, conserved."""
        return self.a**2 - jnp.sum(self.w**2)

    def weights(self, t: ArrayLike) -> tuple[Array, Array]:
        """`(a, w)` at the time `t >= 0`, a scalar."""
        t = jnp.asarray(t, self.w.dtype)
        check_entries((t >= 0) & jnp.isfinite(t), "t", "must be finite and not negative")
        size, delta = jnp.linalg.norm(self.target), self.delta
        along = self.target / size
        p = jnp.sum(self.w * along)
        k = jnp.sqrt(delta**2 + 4.0 * size**2)
        # psi e^(delta t) = (c1 + c2 e^(-k t)) e^(r t), r = (delta + k)/2 > 0.
        r, q = _roots(delta, k, size)  # q = (delta - k)/2 = -size^2/r
        c1 = (size * p + r * self.a) / k
        c2 = (-size * p - q * self.a) / k
        # All is divided by e^g = max(1, |c1| e^(r t)), a constant: the ratios do not depend on it.
        grows = c1 != 0
        g = r * t + jnp.log(jnp.where(grows, jnp.abs(c1), 1.0))
        g = jax.lax.stop_gradient(jnp.where(grows, jnp.maximum(g, 0.0), 0.0))
        most = 0.8 * math.log(float(jnp.finfo(g.dtype).max))
        up = c1 * jnp.exp(jnp.where(grows, r * t - g, jnp.minimum(r * t, most)))
        down, rest = c2 * jnp.exp(q * t - g), jnp.exp(-g)

        def spent(rate):  # int_0^t e^(-rate tau) d tau, rate >= 0
            small = rate * t < 1e-3
            x = jnp.where(small, rate * t, 0.0)
            series = t * (1.0 - x / 2.0 + x**2 / 6.0 - x**3 / 24.0 + x**4 / 120.0)
            return jnp.where(small, series, -jnp.expm1(-rate * t) / jnp.where(small, 1.0, rate))

        mixed = jnp.where(delta >= 0, up * down, (c1 * rest) * (c2 * rest))
        mass = up**2 * spent(2.0 * r) + (c2 * rest) ** 2 * spent(-2.0 * q)
        mass = mass + 2.0 * mixed * spent(jnp.where(delta >= 0, delta, -delta))
        norm = jnp.sqrt(rest**2 + 2.0 * mass)
        a = (up + down) / norm
        # psi' e^(delta t) / size: psi' = sum of c_i (exponent - delta).
        parallel = (-up * q - down * r) / size / norm
        across = (self.w - p * along) * rest / norm
        return a, parallel * along + across

    def predictor(self, t: ArrayLike) -> Array:
        """`a w` at the time `t`, shape `(d,)`."""
        a, w = self.weights(t)
        return a * w

    def kernel(self, t: ArrayLike) -> Array:
        """The tangent kernel of `a w` at the time `t`, `a^2 I + w w^T`: shape `(d, d)`."""
        a, w = self.weights(t)
        return a**2 * jnp.eye(w.size, dtype=w.dtype) + w[:, None] * w[None, :]


def _roots(delta: Array, k: Array, size: Array) -> tuple[Array, Array]:
    """`(delta + k)/2` and `(delta - k)/2`, whose product is `-size^2`, without cancellation."""
    positive = delta >= 0
    big = 0.5 * (jnp.abs(delta) + k)
    small = size**2 / big
    return jnp.where(positive, big, small), jnp.where(positive, -small, -big)


def neuron_start(predictor: ArrayLike, delta: ArrayLike) -> tuple[Array, Array]:
    r"""`(a, w)` with `a w = predictor`, `a^2 - |w|^2 = delta` and `a > 0`.

    \(a^2 = (\delta + \sqrt{\delta^2 + 4|\beta|^2})/2\).

    **Raises:** `ValueError` for a predictor of 0 with `delta <= 0`: then `a = 0` and `w` has no
    direction.
    """
    beta, delta = as_float(predictor), as_float(delta)
    check_entries(jnp.isfinite(beta), "predictor", "must be finite")
    check_entries(jnp.isfinite(delta), "delta", "must be finite")
    size = jnp.linalg.norm(beta)
    check_entries(
        (size > 0) | (delta > 0), "predictor", "is 0, which has a > 0 only for a positive `delta`"
    )
    k = jnp.sqrt(delta**2 + 4.0 * size**2)
    safe = jnp.where(delta < 0, k - delta, 1.0)
    a2 = jnp.where(delta < 0, 2.0 * size**2 / safe, 0.5 * (delta + k))
    return jnp.sqrt(a2), beta / jnp.sqrt(a2)


def neuron_limit(null: ArrayLike, row: ArrayLike, delta: ArrayLike) -> Array:
    r"""Where a neuron ends in two dimensions with one datum, in closed form.

    With inputs along one axis, `w` keeps its component `null` off it and the predictor ends at
    `row` on it. Its component off it is then \(k\sqrt{\kappa + \sqrt{\kappa^2 + \mathrm{row}^2}}\),
    \(k\) = `null`, \(\kappa = (k^2 + \delta)/2\), while `a > 0`.

    Source: 2406.06158; re-derived from \(a^2 = \delta + |w|^2\).
    """
    null, row, delta = as_float(null), as_float(row), as_float(delta)
    kappa = 0.5 * (null**2 + delta)
    root = jnp.sqrt(kappa**2 + row**2)
    safe = jnp.where(kappa < 0, root - kappa, 1.0)
    square = jnp.where(kappa < 0, row**2 / safe, kappa + root)
    return null * jnp.sqrt(jax.nn.relu(square))
