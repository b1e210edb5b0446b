"""Standard normal numbers: jax's bits and uniforms, float32 ones through a faster inverse."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array

# Minimax fits (iteratively reweighted least squares in float64; highest power first):
# log(1 + f) / -f on [sqrt(1/2) - 1, sqrt(2) - 1], to 3.4e-8 times |f|;
_LOG = (
    0.10102229565382004,
    -0.16419987380504608,
    0.17333465814590454,
    -0.19873046875,
    0.24959343671798706,
    -0.33336183428764343,
    0.5000066757202148,
    -0.9999998211860657,
)
# sqrt(2) erfinv(u) / u in t - _MIDDLE, with t = sqrt(4 - log(1 - u^2)), to a relative 5.9e-8.
_MIDDLE = 3.2337374687194824
_QUANTILE = (
    0.0003579831391107291,
    -0.0003129986289422959,
    -0.002296881517395377,
    0.0031816193368285894,
    0.004406137857586145,
    -0.012458870187401772,
    0.0064744832925498486,
    0.0157817043364048,
    -0.0425141267478466,
    0.049646925181150436,
    -0.010914289392530918,
    -0.09755773097276688,
    1.7727338075637817,
    3.360664129257202,
)
_ROOT_HALF = 0x3F3504F3  # the bits of sqrt(1/2)
_LOG_TWO = 0.6931471805599453


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        value = value * x + jnp.float32(c)
    return value


def from_bits(bits: Array) -> Array:
    """The standard normal numbers of 32 random bits each (float32) or 64 (float64).

    The uniform number `u` in (-1, 1) and the map `sqrt(2) erfinv(u)` are those of
    `jax.random.normal`. In float64 so is the evaluation, bit for bit. In float32 it is not: jax's
    `erf_inv` calls a `log1p` that XLA does not vectorise well on CPUs, and takes three quarters of
    the time of a normal number. Here it is one logarithm (exponent, and a polynomial of the
    mantissa), one root and one polynomial, which fuse and vectorise. The relative error is at most
    6e-7 over all 2^23 possible numbers (that of jax's is 6e-6, in the tails).
    """
    if bits.dtype == jnp.uint64:
        one = jnp.uint64(0x3FF0000000000000)
        unit = lax.bitcast_convert_type((bits >> jnp.uint64(12)) | one, jnp.float64)
        least = jnp.nextafter(jnp.float64(-1), jnp.float64(0))
        u = (unit - jnp.float64(1)) * (jnp.float64(1) - least) + least
        return jnp.float64(np.sqrt(2)) * lax.erf_inv(jnp.maximum(least, u))
    unit = lax.bitcast_convert_type((bits >> jnp.uint32(9)) | jnp.uint32(0x3F800000), jnp.float32)
    u = (unit - jnp.float32(1)) * jnp.float32(2) - np.nextafter(np.float32(1), np.float32(0))
    square = (jnp.float32(1) - u) * (jnp.float32(1) + u)  # 1 - u^2, in [2^-23, 1]
    word = lax.bitcast_convert_type(square, jnp.int32)
    exponent = (word - jnp.int32(_ROOT_HALF)) >> jnp.int32(23)
    mantissa = lax.bitcast_convert_type(word - (exponent << jnp.int32(23)), jnp.float32)
    f = mantissa - jnp.float32(1)
    power = jnp.float32(4) - exponent.astype(jnp.float32) * jnp.float32(_LOG_TWO)
    t = jnp.sqrt(f * _horner(_LOG, f) + power)
    return u * _horner(_QUANTILE, t - jnp.float32(_MIDDLE))


def bits_per_number(dtype) -> int | None:
    """Random bits a normal number of `dtype` takes; `None` where jax is left to draw it."""
    return {"float32": 32, "float64": 64}.get(jnp.dtype(dtype).name)


def standard_normal(key: Array, shape: tuple[int, ...], dtype) -> Array:
    """`jax.random.normal(key, shape, dtype)`; in float32 to rounding, and faster on CPUs."""
    if bits_per_number(dtype) is None:
        return jr.normal(key, shape, dtype)
    width = jnp.uint32 if jnp.dtype(dtype) == jnp.float32 else jnp.uint64
    return from_bits(jr.bits(key, shape, width))
