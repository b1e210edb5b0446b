"""Two nearly equal components: the reduced dynamics of their difference."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float


@final
class Collision(eqx.Module):
    r"""Flows of the difference \(\delta\) of two components near the singular set \(\delta = 0\).

    Two components of unit variance with known weight `w` of the second, their mean at the true
    one. To leading order in the differences

    \[ \mathrm{KL} = \tfrac c4 (\delta^2 - \delta_*^2)^2, \quad I_{\delta\delta} = 2 c \delta^2,
       \quad c = w^2 (1-w)^2. \]

    Gradient flow in the centred chart, \(\dot\delta = -c\,\delta(\delta^2 - \delta_*^2)\), is that
    of one mode of a depth-2 factorisation: a plateau before it escapes, and with
    \(\delta_* = 0\) (one component more than needed) the decay
    \((2 c t + \delta_0^{-2})^{-1/2}\). Natural gradient flow,
    \((\delta^2)^\cdot = -(\delta^2 - \delta_*^2)\), has no plateau.

    Other charts mix the mean in: with \((\mu_1, \delta)\) as coordinates the mean follows and
    slows gradient flow by the factor \(1 + w^2\). With a variance `v`, take
    \(\delta/\sqrt v\) and divide gradient-flow time by `v`.

    **Arguments:** `weight`, `w`, in (0, 1); `start`, \(\delta_0\), not 0; `target`,
    \(\delta_* \ge 0\); `factor`, what `c` is multiplied by, 1 for mixtures (see
    [`gaugebias.flows.neuron_collision`][]). The sign of \(\delta\) is kept.

    Source: re-derived; protocol ours, about 2206.08598.
    """

    weight: Array = eqx.field(converter=as_float)
    start: Array = eqx.field(converter=as_float)
    target: Array = eqx.field(converter=as_float)
    factor: Array = eqx.field(converter=as_float, default=1.0)

    def __check_init__(self):
        scalars = ((self.weight, "weight"), (self.start, "start"), (self.factor, "factor"))
        for value, name in scalars:
            if value.ndim:
                raise ValueError(f"`{name}` must be a scalar, but has shape {value.shape}.")
        check_entries((self.weight > 0) & (self.weight < 1), "weight", "must be inside (0, 1)")
        check_entries(
            (self.start != 0) & jnp.isfinite(self.start),
            "start",
            "must be finite and not 0: from equal components no flow moves",
        )
        check_entries(
            (self.target >= 0) & jnp.isfinite(self.target), "target", "must be finite, at least 0"
        )
        check_entries(
            (self.factor >= 0) & jnp.isfinite(self.factor), "factor", "must be finite, at least 0"
        )

    @property
    def rate(self) -> Array:
        r"""\(c = w^2 (1-w)^2\), times `factor`."""
        return self.factor * (self.weight * (1.0 - self.weight)) ** 2

    def slowing(self, chart: str) -> Array:
        r"""What `c` is divided by for gradient flow in another chart of the two parameters.

        1 in the "centred" one \((m, \delta)\); \(1 + w^2\) in the "relative" one
        \((\theta_1, \delta)\); \(w^2 + (1-w)^2 \le 1\) in the "absolute" one
        \((\theta_1, \theta_2)\), which is the fastest. The mean follows the difference, and
        what is left of \(J J^T\) is its Schur complement.
        """
        w = self.weight
        factors = {
            "centred": jnp.ones_like(w),
            "relative": 1.0 + w**2,
            "absolute": w**2 + (1.0 - w) ** 2,
        }
        if chart not in factors:
            raise ValueError(f"`chart` is {chart!r}: give one of {', '.join(factors)}.")
        return factors[chart]

    def gradient_flow(self, t: ArrayLike) -> Array:
        r"""\(\delta(t)\) under gradient flow, of the shape of `t`."""
        t = as_float(t)
        u0, goal = self.start**2, self.target**2
        x = 2.0 * self.rate * goal * t
        fade = jnp.exp(-x)
        # (1 - e^-x)/goal, with its limit 2 c t at goal = 0.
        safe = jnp.where(goal > 0, goal, 1.0)
        spent = jnp.where(goal > 0, -jnp.expm1(-x) / safe, 2.0 * self.rate * t)
        return jnp.sign(self.start) * jnp.sqrt(u0 / (fade + u0 * spent))

    def natural_flow(self, t: ArrayLike) -> Array:
        r"""\(\delta(t)\) under natural gradient flow, of the shape of `t`."""
        goal = self.target**2
        u = goal + (self.start**2 - goal) * jnp.exp(-as_float(t))
        return jnp.sign(self.start) * jnp.sqrt(u)

    def plateau_time(self, fraction: ArrayLike = 0.5) -> Array:
        r"""The time at which gradient flow reaches \(f \delta_*\).

        \(\ln[\frac{f^2(\delta_*^2 - \delta_0^2)}{(1 - f^2)\delta_0^2}]/(2 c \delta_*^2)\). NaN
        where \(f \delta_*\) is not between the start and \(\delta_*\), `ValueError` if concrete.
        """
        f2, good = self._between(fraction)
        u0, goal = self.start**2, self.target**2
        ratio = f2 * (goal - u0) / ((1.0 - f2) * u0)
        return jnp.where(good, jnp.log(ratio) / (2.0 * self.rate * goal), jnp.nan)

    def natural_time(self, fraction: ArrayLike = 0.5) -> Array:
        r"""That of natural gradient flow, \(\ln[(\delta_*^2-\delta_0^2)/((1-f^2)\delta_*^2)]\)."""
        f2, good = self._between(fraction)
        u0, goal = self.start**2, self.target**2
        return jnp.where(good, jnp.log((goal - u0) / ((1.0 - f2) * goal)), jnp.nan)

    def _between(self, fraction: ArrayLike) -> tuple[Array, Array]:
        f2 = as_float(fraction) ** 2
        point, u0, goal = f2 * self.target**2, self.start**2, self.target**2
        good = (point - u0) * (goal - point) > 0
        check_entries(
            good,
            "fraction",
            "times the target must lie between the start and the target, strictly: no flow "
            "passes through it otherwise",
        )
        return f2, good
