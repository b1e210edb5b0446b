from collections.abc import Callable
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from ._checks import Numbers, as_level, as_sample, generator
from ._result import DistanceInterval

_QUANTILE_NODES = 4096
_CELLS = 4096


def _distance_to_law(ordered: np.ndarray, quantile: Callable[[Any], Any]) -> float:
    """Integral of |F_n^{-1}(u) - Q(u)| du by midpoints, several in every cell of F_n^{-1}."""
    n = ordered.size
    each = max(1, -(-_QUANTILE_NODES // n))
    u = (np.arange(n * each) + 0.5) / (n * each)
    q = np.asarray(quantile(u), dtype=np.float64)
    if q.shape != u.shape or not np.all(np.isfinite(q)):
        raise ValueError(
            "`target`: the quantile function must be vectorised and finite inside (0, 1)."
        )
    return float(np.mean(np.abs(np.repeat(ordered, each) - q)))


def _noise(ordered: np.ndarray, rng: np.random.Generator, replicates: int) -> np.ndarray:
    """Bootstrap draws of W1(F_n*, F_n), shape (replicates,).

    A long sample is resampled in `_CELLS` cells of equal counts: F_n* - F_n is then known at
    their edges, and its modulus is integrated by the trapezoidal rule.
    """
    n = ordered.size
    ends = np.linspace(0, n, min(n, _CELLS) + 1).round().astype(int)
    sizes = np.diff(ends)
    counts = rng.multinomial(n, sizes / n, size=replicates)
    gaps = np.abs(np.cumsum(counts - sizes[None, :], axis=1))[:, :-1] / n
    if n <= _CELLS:
        return gaps @ np.diff(ordered)
    edges = np.concatenate([ordered[:1], ordered[ends[1:-1]], ordered[-1:]])
    steps = np.diff(edges)
    return gaps @ (0.5 * (steps[1:] + steps[:-1]))


def wasserstein(
    x: Numbers,
    target: Callable[[Any], Any] | Numbers,
    key: PRNGKeyArray | ArrayLike,
    level: float = 0.95,
    replicates: int = 200,
) -> DistanceInterval:
    """Wasserstein-1 distance of a sample to a law, or to another sample, with an interval.

    **What the interval covers.** The distance W1(P, Q) between the law P that the draws come
    from and the target Q (for two samples: between the two laws behind them), with probability at
    least `level` up to the error of the bootstrap, *also when they are equal*: it is
    value -+ q, cut at 0, where q is the `level` quantile of the bootstrap law of W1(F_n*, F_n),
    the sampling noise, and the triangle inequality does the rest. (The percentile bootstrap of
    the distance itself does not cover 0.) It is therefore conservative, often by much. The
    bootstrap is consistent where the integral of sqrt(F (1 - F)) is finite (a little more than
    two moments), and it assumes independent draws.

    **Arguments:** `x`: shape (n,), n >= 8 independent draws. `target`: a vectorised quantile
    function (0, 1) -> reals, or a second sample of shape (m,). `key`: JAX key of the bootstrap.
    `level`: confidence. `replicates`: bootstrap resamples.

    **Returns:** a `DistanceInterval` in the units of `x`.

    **Raises:** `ValueError` for too few or non-finite draws, a quantile function that is not
    vectorised or not finite, a `level` outside (0, 1), fewer than 20 `replicates`.
    """
    if replicates < 20:
        raise ValueError(f"`replicates` must be at least 20, not {replicates}.")
    as_level(level, "level")
    ordered = np.sort(as_sample(x, "x"))
    rng = generator(key)
    n = ordered.size
    noise = _noise(ordered, rng, replicates)
    if callable(target):
        value = _distance_to_law(ordered, target)
    else:
        from scipy.stats import wasserstein_distance

        other = np.sort(as_sample(target, "target"))
        value = float(wasserstein_distance(ordered, other))
        noise = noise + _noise(other, rng, replicates)
        n = max(1, round(n * other.size / (n + other.size)))
    reach = float(np.quantile(noise, level))
    return DistanceInterval(value, max(0.0, value - reach), value + reach, float(level), n)
