"""The matrix exponential, in one branch."""

import math

import jax
import jax.numpy as jnp

from .._types import Array

# Pade approximant of order [13/13] (Higham, SIAM J. Matrix Anal. Appl. 26, 1179, 2005), with the
# coefficients divided by the first; below this 1-norm its backward error is under 2^-53.
_PADE = tuple(
    math.factorial(26 - i)
    * math.factorial(13)
    / (math.factorial(26) * math.factorial(13 - i) * math.factorial(i))
    for i in range(14)
)
_NORM = 5.371920351148152
_MOST_SQUARINGS = 16


@jax.jit
def expm(matrix: Array) -> Array:
    """The exponential of square matrices, shape (..., r, r): NaN for a norm above 3.5e5.

    The method of `jax.scipy.linalg.expm` with one order of approximation instead of five to choose
    from: as accurate, and one branch is quicker to compile and to run under `jax.vmap`. Half
    precision is computed in float32.
    """
    r = matrix.shape[-1]
    if r <= 1:
        return jnp.exp(matrix)
    if jnp.finfo(matrix.dtype).bits < 32:
        return expm(matrix.astype(jnp.float32)).astype(matrix.dtype)
    identity = jnp.broadcast_to(jnp.eye(r, dtype=matrix.dtype), matrix.shape)
    norm = jnp.max(jnp.sum(jnp.abs(jax.lax.stop_gradient(matrix)), axis=-2), axis=-1)
    wanted = jnp.ceil(jnp.log2(jnp.maximum(norm / _NORM, 1.0)))
    squarings = jnp.minimum(wanted, _MOST_SQUARINGS)
    a = matrix * jnp.exp2(-squarings)[..., None, None].astype(matrix.dtype)
    a2 = _times(a, a)
    a4 = _times(a2, a2)
    a6 = _times(a4, a2)
    b = _PADE
    high = _times(a6, b[13] * a6 + b[11] * a4 + b[9] * a2)
    odd = _times(a, high + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * identity)
    high = _times(a6, b[12] * a6 + b[10] * a4 + b[8] * a2)
    even = high + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * identity
    start = jnp.linalg.solve(even - odd, even + odd)

    def square(x: Array, step: Array) -> tuple[Array, None]:
        # By the identity once done, rather than a choice of results: no overflow that is dropped.
        more = (step < squarings)[..., None, None]
        return _times(x, jnp.where(more, x, identity)), None

    end, _ = jax.lax.scan(square, start, jnp.arange(_MOST_SQUARINGS, dtype=squarings.dtype))
    return jnp.where((wanted <= _MOST_SQUARINGS)[..., None, None], end, jnp.nan)


def _times(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)
