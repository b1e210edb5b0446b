"""Alternating least squares on the simplex, with or without a penalty on the volume."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._arguments import as_key
from .._types import Array, Key
from ._counts import CountTable, as_counts, check_components
from ._em import _uniform
from ._fit import CONVERGED, MAX_STEPS, Fit, check_starts, collect

_INNER = 10  # accelerated projected gradient steps on each factor


def alternating_least_squares(
    table: Any,
    components: int,
    *,
    key: Key,
    starts: int = 20,
    max_steps: int = 2_000,
    tol: float = 1e-6,
) -> Fit:
    r"""Least squares \(\|P - A G\|_F^2\) over row-stochastic A and G, one factor after the other.

    Each factor is improved by ten accelerated projected gradient steps onto its simplices; where
    these do not lower the objective, by one plain step, which always does. All starts (rows of A
    uniform on the simplex, components random mixtures of rows of P) run at once in one compiled
    program.

    **Arguments:** as of [`gaugebias.factor.expectation_maximisation`][].

    **Returns:** a [`gaugebias.factor.Fit`][] whose objective is the residual sum of squares of the
    profiles; its trace has a value an iteration and never rises.

    **Raises:** `ValueError` for arguments out of range, and where every start failed.

    Source: re-derived; the least-squares fit of latent budgets (de Leeuw and van der Heijden 1991).
    """
    counts = as_counts(table)
    k = check_components(counts, components)
    check_starts(starts, max_steps, tol)
    mixing, basis = _starts(counts, k, as_key(key), starts)
    return _fit(counts, "alternating least squares", mixing, basis, tol, max_steps, 0.0, 1.0)


def minimum_volume(
    table: Any,
    components: int,
    *,
    key: Key,
    starts: int = 20,
    max_steps: int = 2_000,
    tol: float = 1e-6,
    penalty: float = 0.01,
    delta: float = 1e-9,
) -> Fit:
    r"""Minimum-volume factorisation, \(\|P - A G\|_F^2 + \lambda \log\det(G G^\top + \delta I)\).

    Over row-stochastic A and G, by majorisation: the concave log-determinant is replaced by its
    tangent, then as in [`gaugebias.factor.alternating_least_squares`][]. \(\lambda\) is `penalty`
    times RSS_0 / max(|log det(G_0 G_0^T + delta I)|, 1), where G_0 are the K most extreme rows of
    P (successive projection, which is QR with column pivoting) and RSS_0 the least residual with
    them; the same for all starts, of which the first is G_0. So the penalty is 0 where K rows of
    P are pure and there is no noise, and G_0 is the answer. (The published scale has no maximum
    with 1: it has no bound where these rows share no column.)

    The penalty costs fit. For the smallest volume among all solutions with *the same* fit use
    [`gaugebias.factor.identify`][] with "minimum-volume" on any solution.

    **Arguments:** as of [`gaugebias.factor.expectation_maximisation`][], and `penalty`, not
    negative; `delta`, positive, in units of squared shares.

    **Returns:** a [`gaugebias.factor.Fit`][] whose objective is the penalised sum of squares; its
    trace never rises.

    **Raises:** `ValueError` for arguments out of range, and where every start failed.

    Source: re-derived after the published algorithm (Leplat, Ang, Gillis 2019); protocol ours, on
    profiles with both factors row-stochastic.
    """
    counts = as_counts(table)
    k = check_components(counts, components)
    check_starts(starts, max_steps, tol)
    if not (math.isfinite(penalty) and penalty >= 0):
        raise ValueError(f"`penalty` is {penalty}: give a number of at least 0.")
    if not (math.isfinite(delta) and delta > 0):
        raise ValueError(f"`delta` is {delta}: give a positive number.")
    mixing, basis = _starts(counts, k, as_key(key), starts)
    extreme = counts.profiles[extreme_rows(counts.profiles, k)]
    basis = basis.at[0].set(jnp.asarray(extreme, basis.dtype))
    shares = _best_mixing(jnp.asarray(counts.profiles), basis[0])
    mixing, first = mixing.at[0].set(shares), np.asarray(shares, np.float64)
    residual = float(np.sum((counts.profiles - first @ extreme) ** 2))
    volume = float(np.linalg.slogdet(extreme @ extreme.T + delta * np.eye(k))[1])
    weight = penalty * residual / max(abs(volume), 1.0)
    return _fit(counts, "minimum volume", mixing, basis, tol, max_steps, weight, delta)


def extreme_rows(profiles: np.ndarray, components: int) -> np.ndarray:
    """Indices of K rows, each farthest from the span of those before: successive projection."""
    from scipy.linalg import qr

    order: Any = qr(profiles.T, mode="r", pivoting=True)[-1]
    return np.asarray(order[:components])


def _starts(counts: CountTable, k: int, key: Key, starts: int) -> tuple[Array, Array]:
    first, second = jax.random.split(key)
    rows = counts.values.shape[0]
    mixing = _uniform(first, (starts, rows, k))
    # Nearly pure rows: a flat mixture of all rows would start every component at the mean.
    sharp = jax.random.exponential(second, (starts, k, rows)) ** 4
    return mixing, (sharp / sharp.sum(axis=-1, keepdims=True)) @ jnp.asarray(counts.profiles)


def _fit(
    counts: CountTable,
    solver: str,
    mixing: Array,
    basis: Array,
    tol: float,
    max_steps: int,
    weight: float,
    delta: float,
) -> Fit:
    profiles = jnp.asarray(counts.profiles)
    # As arrays: Python numbers would be compiled in, and the weight differs from table to table.
    least, price, ridge = (jnp.asarray(x, profiles.dtype) for x in (tol, weight, delta))
    out = _run(profiles, mixing, basis, least, price, ridge, max_steps)
    mixing_, basis_, steps, moved, trace = map(np.asarray, out)
    return collect(
        counts,
        solver,
        "penalised sum of squares" if solver == "minimum volume" else "residual sum of squares",
        mixing=mixing_,
        basis=basis_,
        objectives=trace[np.arange(len(steps)), steps],
        iterations=steps,
        results=np.where(moved < tol, CONVERGED, MAX_STEPS),
        trace=trace[:, : int(steps.max()) + 1],
    )


def project(points: Array) -> Array:
    """The nearest points with non-negative rows that sum to 1, (n, m) -> (n, m)."""
    m = points.shape[1]
    falling = -jnp.sort(-points, axis=1)
    excess = jnp.cumsum(falling, axis=1) - 1.0
    count = jnp.arange(1, m + 1, dtype=points.dtype)[None, :]
    kept = jnp.sum(falling - excess / count > 0, axis=1)
    cut = jnp.take_along_axis(excess, kept[:, None] - 1, axis=1) / kept[:, None]
    return jnp.maximum(points - cut, 0.0)


def _descend(x: Array, gradient: Any, value: Any, lipschitz: Array) -> Array:
    """A few accelerated steps from x, or a plain one where they do not help."""

    def step(point: Array) -> Array:
        return project(point - gradient(point) / lipschitz)

    def body(_: Any, state: tuple[Array, ...]) -> tuple[Array, ...]:
        x, y, t = state
        new = step(y)
        later = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * t**2))
        return new, new + (t - 1.0) / later * (new - x), later

    fast, _, _ = jax.lax.fori_loop(0, _INNER, body, (x, x, jnp.ones((), x.dtype)))
    plain = step(x)
    return jnp.where(value(fast) <= value(plain), fast, plain)


def _largest(matrix: Array) -> Array:
    return jnp.linalg.eigvalsh(matrix)[-1] * (1.0 + 1e-6) + jnp.finfo(matrix.dtype).tiny


def _mixing_step(profiles: Array, a: Array, g: Array) -> Array:
    square, cross = g @ g.T, profiles @ g.T
    return _descend(
        a,
        lambda x: x @ square - cross,
        lambda x: jnp.sum((profiles - x @ g) ** 2),
        _largest(square),
    )


@jax.jit
def _best_mixing(profiles: Array, g: Array) -> Array:
    k = g.shape[0]
    start = jnp.full((profiles.shape[0], k), 1.0 / k, profiles.dtype)
    return jax.lax.fori_loop(0, 200, lambda _, a: _mixing_step(profiles, a, g), start)


@eqx.filter_jit
def _run(
    profiles: Array,
    mixing: Array,
    basis: Array,
    tol: Array,
    weight: Array,
    delta: Array,
    max_steps: int,
) -> tuple[Array, ...]:
    eye = jnp.eye(basis.shape[1], dtype=profiles.dtype)

    def objective(a: Array, g: Array) -> Array:
        volume = jnp.linalg.slogdet(g @ g.T + delta * eye)[1]
        return jnp.sum((profiles - a @ g) ** 2) + weight * volume

    def iteration(a: Array, g: Array) -> tuple[Array, Array]:
        a = _mixing_step(profiles, a, g)
        slope = weight * jnp.linalg.inv(g @ g.T + delta * eye)
        square, cross = a.T @ a + slope, a.T @ profiles

        def majorant(x: Array) -> Array:
            return jnp.sum((profiles - a @ x) ** 2) + jnp.sum(slope * (x @ x.T))

        return a, _descend(g, lambda x: square @ x - cross, majorant, _largest(square))

    def one(mixing: Array, basis: Array) -> tuple[Array, ...]:
        def body(carry: tuple[Array, ...]) -> tuple[Array, ...]:
            a, g, n, _, trace = carry
            new_a, new_g = iteration(a, g)
            moved = jnp.maximum(jnp.abs(new_a - a).max(), jnp.abs(new_g - g).max())
            return new_a, new_g, n + 1, moved, trace.at[n + 1].set(objective(new_a, new_g))

        def unfinished(carry: tuple[Array, ...]) -> Array:
            return (carry[2] < max_steps) & (carry[3] >= tol)

        dtype = profiles.dtype
        trace = jnp.full(max_steps + 1, jnp.nan, dtype).at[0].set(objective(mixing, basis))
        start = (mixing, basis, jnp.zeros((), int), jnp.full((), jnp.inf, dtype), trace)
        return jax.lax.while_loop(unfinished, body, start)

    return jax.vmap(one)(mixing, basis)
