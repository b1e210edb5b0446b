"""Quantiles of a stream, to a relative error stated beforehand, in bins that never move."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ._histogram import count_in


class Scale(eqx.Module):
    """Bins whose upper edge is `ratio` times the lower one, for both signs, and one at zero.

    The bins of DDSketch (arXiv 1908.10693), on a range fixed beforehand. In order: over
    `-largest`, `size` bins down to `-smallest`, the bin of `|x| <= smallest`, `size` bins up to
    `largest`, over `largest`, not a number.
    """

    accuracy: float = eqx.field(static=True)
    smallest: float = eqx.field(static=True)
    largest: float = eqx.field(static=True)

    @property
    def ratio(self) -> float:
        return (1.0 + self.accuracy) / (1.0 - self.accuracy)

    @property
    def size(self) -> int:
        """Number of bins of one sign."""
        return math.ceil(math.log(self.largest / self.smallest) / math.log(self.ratio))

    @property
    def bins(self) -> int:
        return 2 * self.size + 4

    def edges(self) -> np.ndarray:
        """Lower edges of the bins from the second on, and the last finite one's upper edge."""
        positive = self.smallest * self.ratio ** np.arange(self.size + 1)
        return np.concatenate([-positive[::-1], positive])

    def bin_of(self, x: Array) -> Array:
        size = self.size
        # Logarithms in numbers of 16 bits are off by more than a bin.
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        magnitude = jnp.abs(x)
        # No quotient of the two: it need not fit into float32.
        steps = (jnp.log(magnitude) - math.log(self.smallest)) / math.log(self.ratio)
        steps = jnp.clip(jnp.nan_to_num(jnp.ceil(steps), posinf=size + 1), 0, size + 1)
        steps = jnp.where(magnitude <= self.smallest, 0, steps).astype(jnp.int32)
        where = size + 1 + jnp.where(x < 0, -steps, steps)
        return jnp.where(jnp.isnan(x), self.bins - 1, where)


class QuantileSummary(eqx.Module):
    """A sketch of all draws of all chains, for each coordinate of the observable.

    **Fields:**

    - `edges`: shape `(2 n + 2,)`, edges of the bins between the two open ones.
    - `counts`: int64, shape `(2 n + 3, *shape)`: under the first edge, between edges, over the
        last one.
    - `undefined`: draws that are not a number, shape `shape`.
    - `chains`, `draws`: how many chains, and draws of each.
    """

    edges: np.ndarray = eqx.field(converter=np.asarray)
    counts: np.ndarray = eqx.field(converter=np.asarray)
    undefined: np.ndarray = eqx.field(converter=np.asarray)
    chains: int
    draws: int

    def bounds(self, q: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """The bin that holds the sample quantile: lower and upper edge, `(*q.shape, *shape)`.

        The quantile at `q` is the smallest draw with at least a fraction `q` of the draws at or
        below it; that it lies between the two is certain, up to a rounding of the draws' dtype.
        Infinite where the range of the sketch was too small.
        """
        q = np.asarray(q, np.float64)
        if not np.all((q >= 0) & (q <= 1)):
            raise ValueError(f"`q` must lie between 0 and 1, not {q}.")
        if np.any(self.undefined):
            raise ValueError(
                f"{int(self.undefined.sum())} draws are not a number: there is no quantile. "
                "Observe something that is defined on the way."
            )
        below = np.cumsum(self.counts, axis=0)
        total = below[-1]
        rank = np.ceil(q.reshape(q.shape + (1,) * total.ndim) * total)
        rank = np.clip(rank, 1, total)
        where = np.sum(below < np.expand_dims(rank, q.ndim), axis=q.ndim)
        edges = np.concatenate([[-np.inf], self.edges, [np.inf]])
        return np.asarray(edges[where]), np.asarray(edges[where + 1])

    def quantile(self, q: ArrayLike) -> np.ndarray:
        """The sample quantiles at `q`, shape `(*q.shape, *shape)`, float64.

        Right to the relative accuracy of the sketch, and to `smallest` within the bin at zero.

        **Raises:** `ValueError` where a quantile lies outside of the sketch's range.
        """
        lower, upper = self.bounds(q)
        if not (np.all(np.isfinite(lower)) and np.all(np.isfinite(upper))):
            raise ValueError(
                f"`q`: a quantile lies beyond {self.edges[-1]:g} in magnitude, outside of the "
                "sketch: give it a larger `largest`."
            )
        # Between a and b the number closest in relative terms to both is 2 a b / (a + b).
        same = lower * upper > 0
        return np.where(same, 2 * lower * upper / np.where(same, lower + upper, 1.0), 0.0)


def start_sketch(like, scale: Scale) -> Array:
    """No counts, shape `(bins, *shape)`."""
    return jnp.zeros((scale.bins, *jnp.shape(like)), jnp.int32)


@jax.jit
def update_sketch(counts: Array, x: Array, scale: Scale) -> Array:
    """The counts after one more draw `x`."""
    return count_in(counts, scale.bin_of(x))


def finish_sketch(counts: np.ndarray, scale: Scale, draws: int) -> QuantileSummary:
    """The summary, from the counts of chains (leading axis) after `draws` draws each."""
    total = np.asarray(counts).sum(axis=0, dtype=np.int64)
    return QuantileSummary(scale.edges(), total[:-1], total[-1], counts.shape[0], draws)
