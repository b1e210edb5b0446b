"""Counts in fixed bins of a stream of draws from many chains."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._checks import Numbers


class HistogramSummary(eqx.Module):
    """Counts of all draws of all chains, for each coordinate of the observable.

    **Fields:**

    - `edges`: shape `(bins + 1,)`; bins hold `a <= x < b`, the last one its upper edge too.
    - `counts`: int64, shape `(bins, *shape)`.
    - `below`, `above`, `undefined`: draws under the first edge, over the last one, and draws that
        are not a number; shape `shape`.
    - `chains`, `draws`: how many chains, and draws of each.
    """

    edges: np.ndarray = eqx.field(converter=np.asarray)
    counts: np.ndarray = eqx.field(converter=np.asarray)
    below: np.ndarray = eqx.field(converter=np.asarray)
    above: np.ndarray = eqx.field(converter=np.asarray)
    undefined: np.ndarray = eqx.field(converter=np.asarray)
    chains: int
    draws: int

    @property
    def density(self) -> np.ndarray:
        """Counts as a density, `(bins, *shape)`: its integral is the fraction of draws inside."""
        widths = np.diff(self.edges).reshape((-1,) + (1,) * (self.counts.ndim - 1))
        return self.counts / (widths * self.chains * self.draws)


def as_edges(edges: Numbers) -> np.ndarray:
    """Increasing, finite edges, shape `(bins + 1,)`; `ValueError` otherwise."""
    if np.iscomplexobj(edges):
        raise ValueError("`edges` must be an array of real numbers, but is complex.")
    try:
        out = np.asarray(edges, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`edges` must be an array of real numbers: {error}.") from error
    if out.ndim != 1 or out.size < 2:
        raise ValueError(f"`edges` must have shape (bins + 1,), at least 2, not {out.shape}.")
    if not (np.all(np.isfinite(out)) and np.all(np.diff(out) > 0)):
        raise ValueError("`edges` must be finite and increasing: sort them, drop repeated ones.")
    return out


def count_in(counts: Array, where: Array) -> Array:
    """One more in bin `where` of each coordinate; `counts` has shape `(bins, *where.shape)`."""
    grid = jnp.meshgrid(*[jnp.arange(n) for n in where.shape], indexing="ij")
    return counts.at[(where, *grid)].add(1)


def start_histogram(like, edges: Array) -> Array:
    """No counts, shape `(1 + bins + 2, *shape)`: below, the bins, above, undefined."""
    return jnp.zeros((edges.shape[0] + 2, *jnp.shape(like)), jnp.int32)


@jax.jit
def update_histogram(counts: Array, x: Array, edges: Array) -> Array:
    """The counts after one more draw `x`."""
    edges = edges.astype(x.dtype)
    last = edges.shape[0]
    where = jnp.searchsorted(edges, x, side="right")
    where = jnp.where(x == edges[-1], last - 1, where)
    return count_in(counts, jnp.where(jnp.isnan(x), last + 1, where))


def finish_histogram(counts: np.ndarray, edges: np.ndarray, draws: int) -> HistogramSummary:
    """The summary, from the counts of chains (leading axis) after `draws` draws each."""
    total = np.asarray(counts).sum(axis=0, dtype=np.int64)
    return HistogramSummary(
        np.asarray(edges, np.float64),
        total[1:-2],
        total[0],
        total[-2],
        total[-1],
        counts.shape[0],
        draws,
    )
