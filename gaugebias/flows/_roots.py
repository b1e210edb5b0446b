"""Entrywise roots of increasing functions: Newton inside a bracket, differentiable."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

_STEPS = 200
_MISSED = 1e-4  # a residual above is that of a value which is not attained


def increasing_root(fn: Callable, y: Array, low: Array, high: Array, guess: Array) -> Array:
    """`t` in the open interval `(low, high)` with `fn(t) = y`, entry by entry.

    - `fn`: increasing, acting entry by entry; may close over traced values.
    - `y`, `low`, `high`, `guess`: of one shape; the ends may be infinite.

    Newton's steps, replaced by bisection where they leave the bracket, to the last digit or two.
    Derivatives of any order by the implicit function theorem. NaN where `y` is not attained.
    """
    y, low, high, guess = jnp.broadcast_arrays(y, low, high, guess)
    guess = _inside(low, high, guess)

    def residual(t):
        return fn(t) - y

    def slope(f, t):
        return jax.jvp(f, (t,), (jnp.ones_like(t),))

    def solve(f, start):
        tolerance = 2.0 * jnp.finfo(start.dtype).eps

        def step(state):
            t, a, b, _, count = state
            value, rate = slope(f, t)
            # Beyond the range of the dtype, at an end of the bracket.
            bad = ~jnp.isfinite(value)
            above = jnp.where(bad, t - guess > 0, value > 0)
            a = jnp.where(above, a, jnp.maximum(a, t))
            b = jnp.where(above, jnp.minimum(b, t), b)
            new = t - value / rate
            leaves = ~((new > a) & (new < b)) | bad
            new = jnp.where(leaves, _bisect(a, b, t, above), new)
            new = jnp.where(value == 0, t, new)
            moved = jnp.abs(new - t) > tolerance * jnp.abs(new)
            return new, a, b, moved, count + 1

        def going(state):
            return jnp.any(state[3]) & (state[4] < _STEPS)

        start_state = (start, low, high, jnp.ones(start.shape, bool), 0)
        t, *_ = jax.lax.while_loop(going, step, start_state)
        lost = ~(jnp.abs(f(t)) <= _MISSED * (1.0 + jnp.abs(y)))
        return jnp.where(lost, jnp.nan, t)

    def tangent_solve(g, rhs):
        return rhs / g(jnp.ones_like(rhs))

    return jax.lax.custom_root(residual, guess, solve, tangent_solve)


def _bisect(a: Array, b: Array, t: Array, above: Array) -> Array:
    """The middle of a bracket; twice as far out where its end is infinite."""
    reach = 2.0 * jnp.abs(t) + 1.0
    low = jnp.where(jnp.isfinite(a), a, t - reach)
    high = jnp.where(jnp.isfinite(b), b, t + reach)
    middle = 0.5 * (low + high)
    return jnp.where(
        above, jnp.where(jnp.isfinite(a), middle, low), jnp.where(jnp.isfinite(b), middle, high)
    )


def _inside(low: Array, high: Array, guess: Array) -> Array:
    """`guess`, or a point between the ends where it is not strictly inside."""
    both = jnp.isfinite(low) & jnp.isfinite(high)
    below = jnp.where(jnp.isfinite(high), high - 1.0 - jnp.abs(high), 0.0)
    fallback = jnp.where(jnp.isfinite(low), low + 1.0 + jnp.abs(low), below)
    safe_low, safe_high = jnp.where(both, low, 0.0), jnp.where(both, high, 0.0)
    fallback = jnp.where(both, 0.5 * (safe_low + safe_high), fallback)
    return jax.lax.stop_gradient(jnp.where((guess > low) & (guess < high), guess, fallback))
