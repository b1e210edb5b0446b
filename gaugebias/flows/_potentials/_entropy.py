"""The hyperbolic entropy: potential of `u^2 - v^2` and of `u v`, with and without weight decay."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries, everywhere, pair
from ._potential import AbstractSeparablePotential, Interval, as_float


@final
class HyperbolicEntropy(AbstractSeparablePotential):
    r"""\(F(x) = (1/\kappa) [x\,\mathrm{arcsinh}(x/a) - \sqrt{x^2 + a^2} - c\,x]\).

    Its mirror flow is \(x = a \sinh(\kappa s + c)\): that of `u^2 - v^2` with \(\kappa = 4\),
    \(a = 2 u_0 v_0\), and that of `u v` with \(\kappa = 2\), \(a = |u_0^2 - v_0^2|/2\). Small
    `a` weighs `|x|`, large `a` weighs `x^2`.

    **Arguments:**

    - `scale`: `a > 0`, of shape () or `(d,)`.
    - `shift`: `c`, likewise: `F'(0) = -c/kappa`.
    - `rate`: `kappa > 0`.

    Source: 2002.09277; re-derived.
    """

    scale: Array = eqx.field(converter=as_float)
    shift: Array = eqx.field(converter=as_float, default=0.0)
    rate: Array = eqx.field(converter=as_float, default=4.0)

    def __check_init__(self):
        check_entries(self.scale > 0, "scale", "must be positive: at 0 signs of x are kept")
        check_entries(self.rate > 0, "rate", "must be positive")

    @property
    def domain(self) -> Interval:
        return everywhere()

    @property
    def dual_domain(self) -> Interval:
        return everywhere()

    @property
    def legendre(self) -> bool:
        return True

    def terms(self, x: ArrayLike) -> Array:
        x = as_float(x)
        # The square root without its value at 0, which cancels when `a` is large.
        root = x**2 / (jnp.sqrt(x**2 + self.scale**2) + self.scale)
        return (x * (jnp.arcsinh(x / self.scale) - self.shift) - root) / self.rate

    def gradient(self, x: ArrayLike) -> Array:
        return (jnp.arcsinh(as_float(x) / self.scale) - self.shift) / self.rate

    def curvature(self, x: ArrayLike) -> Array:
        return 1.0 / (self.rate * jnp.sqrt(as_float(x) ** 2 + self.scale**2))

    def from_dual(self, s: ArrayLike) -> Array:
        return self.scale * jnp.sinh(self.rate * as_float(s) + self.shift)

    def dual_curvature(self, s: ArrayLike) -> Array:
        return self.rate * self.scale * jnp.cosh(self.rate * as_float(s) + self.shift)

    def conjugate_terms(self, s: ArrayLike) -> Array:
        return self.scale / self.rate * jnp.cosh(self.rate * as_float(s) + self.shift)


def psi_alpha(alpha: ArrayLike) -> HyperbolicEntropy:
    r"""\(\psi_\alpha = (1/4)\sum [x\,\mathrm{arcsinh}(x/2\alpha^2) - \sqrt{x^2 + 4\alpha^4}]\).

    The potential of `u^2 - v^2` from `u = v = alpha`; here without the constant `-alpha^2/2`
    a coordinate, which vanishes at 0. `alpha` of shape () or `(d,)`, positive.

    Source: 2106.09524; re-derived.
    """
    return HyperbolicEntropy(2.0 * as_float(alpha) ** 2)


def decayed_entropy(
    start: tuple[ArrayLike, ArrayLike],
    decay: ArrayLike,
    *,
    penalty: str = "sum",
    constant: str = "derived",
) -> HyperbolicEntropy:
    r"""The potential \(R_a\) of `x = m w` (entrywise) under time-dependent weight decay.

    Gradient flow of \(f(m \odot w) + \alpha_t h\) is \(d \nabla R_{a_t}(x) = -\nabla f\,dt\) with

    \[ \nabla R_a(x) = \tfrac12 [\mathrm{arcsinh}(x/a) - \ln(u_0/v_0)], \qquad
       a_t = u_0 v_0 \exp(-4 \textstyle\int\alpha), \]

    \(u_0 = |m_0 + w_0|/\sqrt2\), \(v_0 = |m_0 - w_0|/\sqrt2\), for \(h = |m|^2 + |w|^2\): each of
    `m`, `w` shrinks at rate `2 alpha`. With `penalty="half-sum"` (half of that) the exponent is 2.

    The publication (Mask in the Mirror, Theorem 3.1) prints \(a_t = 2 u_0 v_0 \exp(-2\int\alpha)\)
    with `h` the full sum, which this flow does not have: its certificate then fails at order one.
    `constant="published"` gives that form, for comparison.

    **Arguments:**

    - `start`: `(m_0, w_0)`, of one shape, `|m_0| != |w_0|` in each entry.
    - `decay`: the integral of `alpha` up to the time of interest, a scalar or per coordinate.
    - `penalty`: `"sum"` or `"half-sum"`.
    - `constant`: `"derived"` or `"published"`.

    **Raises:** `ValueError` for a balanced start, where signs are kept and `a = 0`.
    """
    m, w = pair(start, "start")
    if penalty not in ("sum", "half-sum"):
        raise ValueError(f'`penalty` must be "sum" or "half-sum", but is {penalty!r}.')
    if constant not in ("derived", "published"):
        raise ValueError(f'`constant` must be "derived" or "published", but is {constant!r}.')
    plus, minus = jnp.abs(m + w), jnp.abs(m - w)
    check_entries(
        (plus > 0) & (minus > 0),
        "start",
        "is balanced, |m_0| = |w_0|: x keeps its sign and the potential is (x ln x - x)/2 on it; "
        "use the potential of `Power(2)`, or start off balance",
    )
    decay = as_float(decay)
    check_entries(decay >= 0, "decay", "is an integral of a non-negative rate and is negative")
    if constant == "published":
        scale = plus * minus * jnp.exp(-2.0 * decay)
    else:
        scale = 0.5 * plus * minus * jnp.exp((-4.0 if penalty == "sum" else -2.0) * decay)
    return HyperbolicEntropy(scale, jnp.log(plus / minus), 2.0)
