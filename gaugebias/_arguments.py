"""Arguments given by users: real scalars, concrete or traced, and random keys."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array


def real_scalar(value: object, name: str, fix: str = "") -> Array:
    """`value` as a floating scalar array, whatever its value.

    **Raises:** `ValueError` naming the argument where it is no real number, or no scalar.
    """
    cure = f": {fix}" if fix else "."
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be a number, but is {value!r}{cure}") from None
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key) or array.dtype == bool:
        raise ValueError(f"`{name}` must be a number, but is {value!r}{cure}")
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"`{name}` must be real, but is complex ({value!r}){cure}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(jnp.result_type(float))
    if array.shape != ():
        raise ValueError(f"`{name}` must be a scalar, but has shape {array.shape}; `vmap` over it.")
    return array


def as_key(key) -> Array:
    """A typed key from a typed or raw one; `ValueError` naming the fix otherwise."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape != ():
            raise ValueError(f"`key` must be one key, but has shape {key.shape}.")
        return key
    if isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.shape == (2,):
        return jr.wrap_key_data(key)
    raise ValueError("`key` must be a jax.random key, as from `jax.random.key(0)`.")
