"""Matrix roots and polar factors that can be differentiated at equal singular values.

The derivative of an SVD or an eigendecomposition is singular where two values meet, although the
functions here are smooth there. Their derivative rules solve Sylvester equations with denominators
`s_i + s_j` instead, by rules that are themselves differentiable, so that every order exists.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array


def _power_sum(x: Array, s: Array, order: int) -> Array:
    """`sum_{a + b = order - 1} x^a s x^b`, the derivative of `x^order` along `s`."""
    powers = [jnp.eye(x.shape[0], dtype=x.dtype)]
    for _ in range(order - 1):
        powers.append(powers[-1] @ x)
    total = jnp.zeros_like(s)
    for a in range(order):
        total = total + powers[a] @ s @ powers[order - 1 - a]
    return total


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def solve_power_sum(x: Array, c: Array, order: int) -> Array:
    """The matrix `s` with `sum_{a + b = order - 1} x^a s x^b = c`, `x` positive definite."""
    values, q = jnp.linalg.eigh(x)
    exponents = jnp.arange(order, dtype=x.dtype)[:, None]
    powers = values[None, :] ** exponents
    denominators = powers.T @ powers[::-1]
    return q @ ((q.T @ c @ q) / denominators) @ q.T


@solve_power_sum.defjvp
def _solve_power_sum_jvp(order, primals, tangents):
    x, c = primals
    dx, dc = tangents
    s = solve_power_sum(x, c, order)
    _, moved = jax.jvp(lambda y: _power_sum(y, s, order), (x,), (dx,))
    return s, solve_power_sum(x, dc - moved, order)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def psd_root(h: Array, order: int) -> Array:
    """The positive semi-definite root `h^(1/order)`, shape `(d, d)`. NaN where `h` is indefinite.

    Differentiable to any order where `h` is positive definite, equal eigenvalues included.
    """
    values, q = jnp.linalg.eigh(h)
    return (q * values[None, :] ** (1.0 / order)) @ q.T


@psd_root.defjvp
def _psd_root_jvp(order, primals, tangents):
    (h,), (dh,) = primals, tangents
    x = psd_root(h, order)
    return x, solve_power_sum(x, 0.5 * (dh + dh.T), order)


@jax.custom_jvp
def polar(w: Array) -> tuple[Array, Array]:
    """Polar decomposition `w = o h` of an `(n, m)` matrix, `n >= m`: `o^T o = 1`, `h` symmetric.

    By SVD: `w^T w`, which would square the condition number, is never formed. Differentiable to
    any order at full rank.
    """
    left, s, right_t = jnp.linalg.svd(w, full_matrices=False)
    return left @ right_t, (right_t.T * s[None, :]) @ right_t


@polar.defjvp
def _polar_jvp(primals, tangents):
    (w,), (dw,) = primals, tangents
    o, h = polar(w)
    inner = o.T @ dw
    skew = solve_power_sum(h, inner - inner.T, 2)
    dh = inner - skew @ h
    do = o @ skew
    if w.shape[0] > w.shape[1]:
        do = do + jnp.linalg.solve(h, (dw - o @ inner).T).T
    return (o, h), (do, 0.5 * (dh + dh.T))


def singular_values(w: Array, rank: int) -> Array:
    """The `rank` largest singular values of `w`, decreasing."""
    return jnp.linalg.svd(w, compute_uv=False)[:rank]
