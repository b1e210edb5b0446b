"""Keys of values that were computed from a pytree."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def fingerprint(tree) -> tuple:
    """A hashable description of a pytree's values."""
    leaves, treedef = jax.tree.flatten(tree)
    keys = []
    for leaf in leaves:
        if eqx.is_array(leaf) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            value = np.asarray(leaf)
            keys.append((value.shape, str(value.dtype), value.tobytes()))
        else:
            keys.append(leaf if getattr(leaf, "__hash__", None) else id(leaf))
    return treedef, tuple(keys)
