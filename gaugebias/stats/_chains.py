from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from ._checks import Numbers, as_array


@cache
def diagnostic(name: str) -> Callable:
    """A diagnostic of blackjax for (chains, draws), compiled once a shape: op by op it takes four
    times as long to compile."""
    import blackjax.diagnostics

    return jax.jit(getattr(blackjax.diagnostics, name))


def _per_coordinate(name: str, array: np.ndarray) -> np.ndarray:
    flat = array.reshape(*array.shape[:2], -1)
    with jax.numpy_rank_promotion("allow"):
        found = [float(diagnostic(name)(jnp.asarray(flat[..., i]))) for i in range(flat.shape[2])]
    return np.asarray(found).reshape(array.shape[2:])


def chain_array(values: Numbers, minimum: int) -> np.ndarray:
    """`values` of shape (chains, draws, ...) in float64, each coordinate standardised."""
    out = as_array(values, "values")
    if out.ndim < 2:
        raise ValueError(
            f"`values` must have shape (chains, draws, ...); it has shape {out.shape}."
        )
    if out.shape[1] < minimum:
        raise ValueError(
            f"`values` holds {out.shape[1]} draws a chain; at least {minimum} are needed."
        )
    # Standardised in float64 first: the diagnostics below are invariant under it, and JAX may
    # work in float32.
    axes = (0, 1)
    scale = np.std(out, axis=axes, keepdims=True)
    if np.any(scale == 0.0):
        raise ValueError("`values` has a coordinate that never changes: no diagnostic exists.")
    return (out - np.mean(out, axis=axes, keepdims=True)) / scale


def split_rhat(values: Numbers) -> np.ndarray:
    """Rank-normalised split R-hat of every coordinate (Vehtari et al., arXiv 1903.08008).

    **Arguments:** `values`: shape (chains, draws, *shape) with at least 4 draws a chain; a single
    chain is compared with itself, first half against second. Start the chains over-dispersed:
    otherwise agreement says little.

    **Returns:** float64 array of shape `shape`; near 1 when the chains agree (below 1.01 is the
    usual demand), infinite for chains that never move but differ.

    **Raises:** `ValueError` for non-finite values, a wrong rank, too few draws or a coordinate
    that is constant over all chains and draws.
    """
    array = chain_array(values, 4)
    frozen = np.all(array == array[:, :1], axis=(0, 1))
    return np.where(frozen, np.inf, _per_coordinate("rhat", array))


def effective_sample_size(values: Numbers) -> np.ndarray:
    """Effective number of independent draws of every coordinate, for its mean (Geyer's initial
    monotone sequence over all chains; `blackjax.diagnostics`, Vehtari et al., arXiv 1903.08008).

    **Arguments:** `values`: shape (chains, draws, *shape) with at least 4 draws a chain.

    **Returns:** float64 array of shape `shape`, between 0 and (for anticorrelated chains) more
    than chains x draws.

    **Raises:** `ValueError` as `split_rhat`.
    """
    return _per_coordinate("effective_sample_size", chain_array(values, 4))
