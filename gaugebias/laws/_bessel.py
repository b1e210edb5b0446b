"""Integrals along one-parameter groups, and the Bessel functions they give."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

# Drop in the log of the integrand at which the integral is cut: exp(-40) is below rounding.
_DROP = 40.0
_NODES = 360


def log_orbit_integral(a: Array, rates: Array, drift: ArrayLike) -> Array:
    """`log int exp(drift c - sum_j a_j exp(2 rates_j c)) dc` over the real line.

    The integrand is log-concave and falls off double-exponentially, so that the trapezoidal rule
    between the points where it has dropped by `exp(-40)` is accurate to about 1e-10 (1e-8 where
    the integrand is flat over more than a hundred units of `c`).

    - `a`: shape `(J,)`, not negative.
    - `rates`: shape `(J,)`; the integral is finite where some are positive and some negative, or
        all have the sign of `drift`.
    - `drift`: scalar.

    Differentiable in all arguments; `vmap` for batches.
    """
    drift = jnp.asarray(drift, a.dtype)
    largest = _largest(a)

    def log_integrand(c):
        return drift * c - jnp.sum(a * jnp.exp(jnp.minimum(2.0 * rates * c, largest)))

    low, high = jax.lax.stop_gradient(_range(a, rates, drift, log_integrand))
    c = low + (high - low) * jnp.linspace(0.0, 1.0, _NODES, dtype=a.dtype)
    values = jax.vmap(log_integrand)(c)
    return jax.nn.logsumexp(values) + jnp.log((high - low) / (_NODES - 1))


def _largest(a: Array) -> float:
    """An exponent that does not overflow."""
    return 0.9 * math.log(float(jnp.finfo(a.dtype).max))


def _range(a: Array, rates: Array, drift: Array, log_integrand) -> tuple[Array, Array]:
    """Where the integrand is within `exp(-40)` of its peak, by bisection."""
    size, largest = jnp.max(jnp.abs(rates)), _largest(a)
    log_a = jnp.log(jnp.maximum(a, jnp.finfo(a.dtype).tiny))
    moving = jnp.where(rates == 0, 1.0, rates)
    needed = jnp.log(jnp.sum(a) + 60.0 + 10.0 * jnp.abs(drift / moving))
    reach = (needed - log_a) / (2.0 * moving)
    # The drift alone ends the integrand on the side where it falls, and never where it rises.
    away = (60.0 + jnp.sum(a)) / jnp.maximum(jnp.abs(drift), 1e-3)
    stop = jnp.where(drift > 0, jnp.inf, away)
    begin = jnp.where(drift < 0, jnp.inf, away)
    right = jnp.minimum(jnp.min(jnp.where(rates > 0, reach, jnp.inf)), stop) + 3.0 / size
    left = jnp.maximum(jnp.max(jnp.where(rates < 0, reach, -jnp.inf)), -begin) - 3.0 / size

    def slope(c):
        growth = 2.0 * rates * a * jnp.exp(jnp.minimum(2.0 * rates * c, largest))
        return drift - jnp.sum(growth)

    def bisect(test, low, high):
        def step(_, ends):
            low, high = ends
            mid = 0.5 * (low + high)
            ahead = test(mid)
            return jnp.where(ahead, mid, low), jnp.where(ahead, high, mid)

        low, high = jax.lax.fori_loop(0, 40, step, (low, high))
        return 0.5 * (low + high)

    peak = bisect(lambda c: slope(c) > 0, left, right)
    floor = log_integrand(peak) - _DROP
    begin = bisect(lambda c: log_integrand(c) < floor, left, peak)
    end = bisect(lambda c: log_integrand(c) > floor, peak, right)
    return begin, end


def log_bessel_k(order: ArrayLike, z: ArrayLike) -> Array:
    """`log K_order(z)`, the modified Bessel function of the second kind, for `z > 0`.

    By `K_v(z) = 1/2 int exp(v c - z cosh c) dc`; relative error below 1e-10 of `K` in float64
    for `z > 1e-25` (1e-7 at 1e-60), without overflow. `z` may have any shape, `order` must be a
    scalar. Traceable and differentiable in both.

    !!! example

        ```python
        import gaugebias as gb
        gb.laws.log_bessel_k(0.0, 0.5)      # log 0.92441907
        ```
    """
    z = jnp.asarray(z, jnp.result_type(z, float))
    order = jnp.asarray(order, z.dtype)
    if order.ndim:
        raise ValueError("`order` must be a scalar: `vmap` over it.")
    return _log_bessel_k(order, z.reshape(-1)).reshape(z.shape)


@jax.jit
def _log_bessel_k(order: Array, z: Array) -> Array:
    rates = jnp.asarray([0.5, -0.5], z.dtype)

    def one(value):
        return log_orbit_integral(0.5 * value * jnp.ones(2, z.dtype), rates, order)

    return jax.vmap(one)(z) - math.log(2.0)
