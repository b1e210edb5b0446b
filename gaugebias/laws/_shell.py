"""The exact law of ridge samples near the balanced slice of `w = uv`."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from ..quotient import Domain
from ._checks import as_nonnegative, as_scalar, as_temperature
from ._density import DensityLaw
from ._errors import Condition

# Drop in the log of the integrand at which the integral is cut: exp(-45) is below rounding.
_DROP = 45.0
_PANELS = 12
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def log_shell_volume(w: Array, decay: Array, half_width: Array) -> Array:
    """`log int_0^eps exp(-decay sqrt(w^2 + c^2)) / sqrt(w^2 + c^2) dc` at a scalar `w != 0`.

    With `c = |w| sinh y` the integrand is `exp(-decay |w| cosh y)`: composite Gauss-Legendre, up
    to where it has dropped by `exp(-45)`.
    """
    size = jnp.abs(w)
    rate = jnp.where(decay > 0.0, decay, 1.0) * size
    drop = jnp.where(decay > 0.0, 2.0 * jnp.arcsinh(jnp.sqrt(0.5 * _DROP / rate)), jnp.inf)
    top = jnp.minimum(jnp.arcsinh(half_width / size), drop)
    edges = jnp.linspace(0.0, 1.0, _PANELS + 1, dtype=size.dtype)[:-1]
    y = top * (edges[:, None] + (0.5 + 0.5 * jnp.asarray(_NODES, size.dtype))[None, :] / _PANELS)
    weights = jnp.asarray(0.5 * _WEIGHTS / _PANELS, size.dtype)
    values = jnp.exp(-decay * size * (jnp.cosh(y) - 1.0))
    return jnp.log(top * jnp.sum(values * weights[None, :])) - decay * size


def shell(
    potential: Callable,
    temperature: ArrayLike,
    ridge: ArrayLike,
    half_width: ArrayLike,
    *,
    domain: Domain | None = None,
) -> DensityLaw:
    """Exact law of `w = uv` under isotropic noise with weight decay, given `|chi| <= half_width`.

    `chi = (u^2 - v^2)/2` is the moment map. In the coordinates `(w, chi)` Lebesgue measure is
    `dw dchi / (2 sqrt(w^2 + chi^2))` and `u^2 + v^2 = 2 sqrt(w^2 + chi^2)`, so that

        p(w) ~ exp(-l(w)/T) int_0^eps exp(-gamma sqrt(w^2 + c^2)/T) / sqrt(w^2 + c^2) dc.

    As `eps -> 0` it becomes the slice-conditioned law `exp(-(l + gamma |w|)/T) / |w|`, which is
    not normalisable at 0; at any finite width it is, with a logarithm there. As `eps -> infinity`
    it becomes the push-forward, `exp(-l/T) K_0(gamma |w|/T)`.

    **Arguments:**

    - `potential`: `l(w)` of a scalar.
    - `temperature`: `T`.
    - `ridge`: `gamma` of `(gamma/2)(u^2 + v^2)`.
    - `half_width`: `eps > 0`.
    - `domain`: default the whole line.

    **Returns:** a [`gaugebias.laws.DensityLaw`][], exponent -1.

    **Raises:** `ValueError` for values out of range.
    """
    temperature = as_temperature(temperature)
    ridge = as_nonnegative(ridge, "ridge")
    half_width = as_scalar(half_width, "half_width")
    if not isinstance(half_width, Tracer) and float(half_width) <= 0.0:
        raise ValueError("`half_width` must be positive: the limit 0 is `conditioned`.")

    def weight(w, at):
        return -potential(w) / at + log_shell_volume(w, ridge / at, half_width)

    detail = "w = uv with (gamma/2)(u^2 + v^2), conditioned on |u^2 - v^2|/2 <= eps: exact."
    return DensityLaw(
        weight,
        Domain.line(breaks=(0.0,)) if domain is None else domain,
        temperature,
        name="shell",
        conditions=(Condition("exact", True, 0.0, detail),),
    )
