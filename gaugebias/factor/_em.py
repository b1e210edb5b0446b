"""Maximum likelihood by the EM algorithm."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._arguments import as_key
from .._types import Array, Key
from ._counts import as_counts, check_components
from ._fit import CONVERGED, MAX_STEPS, Fit, check_starts, collect


def expectation_maximisation(
    table: Any,
    components: int,
    *,
    key: Key,
    starts: int = 20,
    max_steps: int = 20_000,
    tol: float = 1e-7,
    every: int = 10,
) -> Fit:
    r"""Maximum likelihood of the rows as multinomial draws: the EM algorithm of PLSA and LBA.

    With \(\hat P = A G\) and \(R_{ij} = n_{ij} / \hat P_{ij}\), one iteration is

    \(A_{ik} \leftarrow A_{ik} (R G^\top)_{ik} / r_i\),
    \(G_{kj} \leftarrow G_{kj} (A^\top R)_{kj} / \sum_j(\ldots)\)

    The deviance never rises. All starts (rows of A and G uniform on their simplices) run at once
    in one compiled program, in the default dtype of JAX. In float32 the deviance is known
    to some 1e-7 of n only (0.1 for n = 300,000) and starts hardly ever reach `tol`: use float64.

    **Arguments:** `table`: a `CountTable` or a matrix; `components`: K, at most the rank of the
    table; `key`: of the starts; `tol`: a start has converged when no entry of A or G moved by more
    in the last iteration; `every`: iterations between two values of the trace and two checks of
    `tol` and `max_steps`, which is rounded up to a multiple of it.

    **Returns:** a [`gaugebias.factor.Fit`][] whose objective is the deviance G^2.

    **Raises:** `ValueError` for arguments out of range, and where every start failed.

    Source: re-derived; EM of the latent class model (Goodman 1974), of PLSA (Hofmann 1999).
    """
    counts = as_counts(table)
    k = check_components(counts, components)
    check_starts(starts, max_steps, tol)
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"`every` is {every!r}: give a whole number of at least 1.")
    rows, columns = counts.values.shape
    first, second = jax.random.split(as_key(key))
    mixing = _uniform(first, (starts, rows, k))
    basis = _uniform(second, (starts, k, columns))
    chunks = -(-max_steps // every)
    values = jnp.asarray(counts.values)
    out = _run(values, mixing, basis, jnp.asarray(tol, values.dtype), chunks, every)
    mixing, basis, steps, moved, trace = map(np.asarray, out)
    return collect(
        counts,
        "expectation-maximisation",
        "deviance",
        mixing=mixing,
        basis=basis,
        objectives=trace[np.arange(starts), steps],
        iterations=steps * every,
        results=np.where(moved < tol, CONVERGED, MAX_STEPS),
        trace=trace[:, : int(steps.max()) + 1],
        every=every,
    )


def _uniform(key: Key, shape: tuple[int, ...]) -> Array:
    """Uniform on the simplices of the last axis."""
    draws = jax.random.exponential(key, shape)
    return draws / draws.sum(axis=-1, keepdims=True)


@eqx.filter_jit
def _run(
    counts: Array, mixing: Array, basis: Array, tol: Array, chunks: int, every: int
) -> tuple[Array, ...]:
    def one(mixing: Array, basis: Array) -> tuple[Array, ...]:
        return _one(counts, mixing, basis, tol, chunks, every)

    return jax.vmap(one)(mixing, basis)


def _one(
    counts: Array, mixing: Array, basis: Array, tol: Array, chunks: int, every: int
) -> tuple[Array, ...]:
    totals = counts.sum(axis=1, keepdims=True)
    seen = counts > 0
    log_profiles = jnp.log(jnp.where(seen, counts / totals, 1.0))

    def deviance(a: Array, g: Array) -> Array:
        log_fit = jnp.log(jnp.where(seen, a @ g, 1.0))
        return 2.0 * jnp.sum(counts * (log_profiles - log_fit))

    def iteration(a: Array, g: Array) -> tuple[Array, Array]:
        fit = a @ g
        # A cell without counts has no say; one with counts and probability 0 makes all of it NaN,
        # which the result code reports.
        ratio = jnp.where(seen, counts / jnp.where(seen, fit, 1.0), 0.0)
        new_a = a * (ratio @ g.T) / totals
        new_g = g * (a.T @ ratio)
        return new_a, new_g / new_g.sum(axis=1, keepdims=True)

    def chunk(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        a, g, n, _, trace = carry

        def body(_: Any, state: tuple[Array, ...]) -> tuple[Array, ...]:
            a, g, *_ = state
            return (*iteration(a, g), a, g)

        a, g, old_a, old_g = jax.lax.fori_loop(0, every, body, (a, g, a, g))
        moved = jnp.maximum(jnp.abs(a - old_a).max(), jnp.abs(g - old_g).max())
        return a, g, n + 1, moved, trace.at[n + 1].set(deviance(a, g))

    def unfinished(carry: tuple[Array, ...]) -> Array:
        _, _, n, moved, _ = carry
        return (n < chunks) & (moved >= tol)  # NaN stops it too

    trace = jnp.full(chunks + 1, jnp.nan, counts.dtype).at[0].set(deviance(mixing, basis))
    start = (mixing, basis, jnp.zeros((), int), jnp.full((), jnp.inf, counts.dtype), trace)
    return jax.lax.while_loop(unfinished, chunk, start)
