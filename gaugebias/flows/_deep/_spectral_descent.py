"""Descent on a depth-N product, one eigenvector of the target at a time."""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float
from ._deep_product import check_depth
from ._deep_times import Numbers
from ._effective_rank import spectral_effective_rank


def stable_learning_rate(spectrum: Numbers, depth: int, init: Numbers) -> float:
    r"""\(1/((2N-1) M^{2N-2})\), \(M = \max(\alpha, \|\hat W\|^{1/N})\).

    Up to this learning rate every factor's eigenvalue moves monotonically to its limit from the
    identical start \(\alpha\) (a sufficient condition: on \([0, M]\) the step is then an
    increasing function for \(\lambda \ge 0\), and positive for \(\lambda < 0\)).

    Source: re-derived.
    """
    check_depth(depth)
    lam, start = np.asarray(spectrum, np.float64), np.asarray(init, np.float64)
    largest = max(float(np.abs(start).max()), float(np.abs(lam).max()) ** (1.0 / depth))
    if not (math.isfinite(largest) and largest > 0):
        raise ValueError("`spectrum` and `init` must be finite and not all 0.")
    return 1.0 / ((2 * depth - 1) * largest ** (2 * depth - 2))


def critical_learning_rate(spectrum: Numbers, depth: int) -> float:
    r"""The learning rate from which some limit of the identical start is unstable.

    \(2/(N\lambda_1^{2-2/N})\) for the largest eigenvalue, if positive; at depth 2 also
    \(2/|\lambda|\) for negative ones, at depth 1 it is 2. Infinite where nothing bounds it.

    Source: re-derived.
    """
    check_depth(depth)
    lam = np.asarray(spectrum, np.float64)
    if depth == 1:
        return 2.0
    top, bottom = float(lam.max()), float(lam.min())
    limits = [math.inf]
    if top > 0:
        limits.append(2.0 / (depth * top ** (2.0 - 2.0 / depth)))
    if depth == 2 and bottom < 0:
        limits.append(2.0 / -bottom)
    return min(limits)


@final
class SpectralPath(eqx.Module):
    r"""What [`gaugebias.flows.spectral_descent`][] did.

    - `steps`: the numbers of the steps saved, from 0, shape `(T,)`.
    - `factors`: the factors' eigenvalues, shape `(T, n)` from an identical start, else `(T, N, n)`.
    - `eigenvalues`: of the product, shape `(T, n)`, in the order of `spectrum`.
    - `monotone`: whether the learning rate is within
        [`gaugebias.flows.stable_learning_rate`][] and the start identical, so that no eigenvalue
        overshoots.
    """

    steps: Array
    factors: Array
    eigenvalues: Array
    spectrum: Array
    monotone: bool = eqx.field(static=True)

    @property
    def effective_rank(self) -> Array:
        """Nuclear over spectral norm of the product, shape `(T,)`."""
        return spectral_effective_rank(self.eigenvalues)

    def first_step(self, fraction: ArrayLike = 0.99) -> Array:
        r"""First saved step with \(|\mu_i - \lambda_i| \le (1 - f)|\lambda_i|\), shape `(n,)`.

        Infinite where there is none.
        """
        gap = jnp.abs(self.eigenvalues - self.spectrum[None, :])
        there = gap <= (1.0 - as_float(fraction)) * jnp.abs(self.spectrum)[None, :]
        found = self.steps[jnp.argmax(there, axis=0)].astype(self.spectrum.dtype)
        return jnp.where(jnp.any(there, axis=0), found, jnp.inf)


def _others(factors: Array) -> Array:
    """The product of the other rows, for each row."""
    ones = jnp.ones_like(factors[:1])
    before = jnp.cumprod(jnp.concatenate([ones, factors[:-1]]), axis=0)
    after = jnp.cumprod(jnp.concatenate([ones, factors[:0:-1]]), axis=0)[::-1]
    return before * after


@eqx.filter_jit
def _descend(start, spectrum, rate, depth, saves, every):
    def one(d, _):
        if d.ndim == 1:
            return d - rate * d ** (depth - 1) * (d**depth - spectrum), None
        others = _others(d)
        return d - rate * others * ((d[0] * others[0]) - spectrum)[None, :], None

    def stretch(d, _):
        d, _ = jax.lax.scan(one, d, None, length=every)
        return d, d

    _, path = jax.lax.scan(stretch, start, None, length=saves)
    return jnp.concatenate([start[None], path])


def spectral_descent(
    spectrum: Numbers,
    depth: int,
    learning_rate: ArrayLike,
    init: Numbers,
    *,
    steps: int,
    saves: int | None = None,
) -> SpectralPath:
    r"""Gradient descent on \(\tfrac12\|W_N\cdots W_1 - \hat W\|_F^2\) by the eigenvalues alone.

    From \(W_j(0) = \alpha I\) and a symmetric target with eigenvalues \(\lambda_i\), every factor
    stays \(V \mathrm{diag}(d_i) V^T\) with

    \[ d_i \mapsto d_i - \eta d_i^{N-1} (d_i^N - \lambda_i), \]

    and the product has the eigenvalues \(d_i^N \to \max(\lambda_i, 0)\) for N > 1: a negative or
    zero eigenvalue decays to 0 (\(\lambda < 0\): by \(1 - \eta|\lambda|\) a step at depth 2, as
    \(k^{-1/(N-2)}\) above; \(\lambda = 0\): as \(((2N-2)\eta k)^{-1/(2N-2)}\)). This is the orbit
    of exact arithmetic, without the trap of [`gaugebias.flows.DeepProduct`][]. Starts that share
    the eigenvectors but not the values, such as the perturbed one, are an array `(depth, n)`.

    **Arguments:**

    - `spectrum`: \(\lambda\), shape `(n,)`, any signs; see [`gaugebias.flows.symmetric_eigen`][].
    - `depth`: `N >= 1`; `learning_rate`: a scalar.
    - `init`: \(\alpha > 0\), a scalar or of shape `(n,)`, or each factor's, `(depth, n)`.
    - `steps`; `saves`: how often the state is kept (default: every step), which must divide it.

    **Raises:** `ValueError` for a learning rate of [`gaugebias.flows.critical_learning_rate`][] or
    more, and where the run diverged, with both bounds.

    Source: 2011.13772 for the setting; re-derived.

    !!! example

        ```python
        path = gb.flows.spectral_descent([10.0, 5.0, 1.0, 0.0], 3, 1e-3, 0.1, steps=12_000)
        path.first_step(0.99)  # 1037, 2092, 10773, and 0 only in the limit
        ```
    """
    check_depth(depth)
    saves = steps if saves is None else saves
    if steps < 1 or saves < 1 or steps % saves:
        raise ValueError(f"`saves` must divide `steps`, both at least 1, not {saves} and {steps}.")
    lam, start = as_float(jnp.asarray(spectrum)), as_float(jnp.asarray(init))
    rate = as_float(learning_rate)
    if lam.ndim != 1 or lam.size < 1:
        raise ValueError(f"`spectrum` must be a vector of eigenvalues, but has shape {lam.shape}.")
    if rate.ndim:
        raise ValueError(f"`learning_rate` must be a scalar, but has shape {rate.shape}.")
    if start.shape not in ((), lam.shape, (depth, lam.size)):
        raise ValueError(
            f"`init` must be a scalar or have shape {lam.shape} or {(depth, lam.size)}, but has "
            f"shape {start.shape}."
        )
    identical = start.ndim < 2
    start = jnp.broadcast_to(start, lam.shape) if identical else start
    dtype = jnp.result_type(lam, start)
    lam, start, rate = lam.astype(dtype), start.astype(dtype), rate.astype(dtype)
    concrete = not any(isinstance(v, Tracer) for v in (lam, start, rate))
    monotone = False
    if concrete:
        monotone = _check(lam, depth, float(rate), start, identical)
    path = _descend(start, lam, rate, depth, saves, steps // saves)
    if concrete and not bool(jnp.all(jnp.isfinite(path[-1]))):
        raise ValueError(
            f"`learning_rate` {float(rate):g} is too large: the run diverged. Every factor is "
            f"monotone up to {stable_learning_rate(lam, depth, start):.4g}."
        )
    values = path**depth if identical else jnp.prod(path, axis=1)
    numbers = jnp.arange(saves + 1) * (steps // saves)
    return SpectralPath(numbers, path, values, lam, monotone)


def _check(lam: Array, depth: int, rate: float, start: Array, identical: bool) -> bool:
    """Whether the run is monotone; `ValueError` where it cannot converge."""
    if not np.isfinite(np.asarray(lam)).all():
        raise ValueError("`spectrum` must be finite.")
    low = float(jnp.min(start))
    if not np.isfinite(np.asarray(start)).all() or (identical and depth > 1 and low <= 0):
        raise ValueError("`init` must be finite and positive: from 0 a product does not move.")
    if not rate > 0:
        raise ValueError(f"`learning_rate` must be positive, but is {rate:g}.")
    bound = stable_learning_rate(lam, depth, start)
    critical = critical_learning_rate(lam, depth)
    if rate >= critical:
        raise ValueError(
            f"`learning_rate` is {rate:g}, but descent at depth {depth} on this spectrum is "
            f"unstable from {critical:.4g}; every factor is monotone up to {bound:.4g}."
        )
    return identical and rate <= bound
