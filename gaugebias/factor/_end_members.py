"""End-member analysis: a simplex of compositions, pushed outwards until it holds the samples."""

from typing import Any

import jax
import numpy as np

from .._arguments import as_key
from .._types import Key
from ._counts import as_counts, check_components
from ._factorisation import Factorisation
from ._fit import CONVERGED, MAX_STEPS, NOT_FINITE, Fit, check_starts, collect
from ._measures import residual_sum_of_squares

CONVEXITY = -6.0
"""The convexity error (log10) below which the samples count as inside."""


def end_member_analysis(
    table: Any,
    components: int,
    *,
    key: Key,
    starts: int = 10,
    max_steps: int = 100,
    exponent: float = 0.5,
) -> Fit:
    r"""Weltje's end-member algorithm.

    1. The profiles are replaced by P', their truncated singular value decomposition of rank K,
       rows divided by their sums.
    2. The first end members B are the centres of K clusters of P' (k-means, which the fuzzy means
       of the published software are close to).
    3. \(M = P' B^+\) has negative entries where a sample is outside of the simplex. For each end
       member j with such samples, let f be their fraction, m < 0 the mean of their M_ij, and z
       the end member they hold most of: z moves away from j, \(T_{zj} = m f^c\), and T_zz makes
       the row sum to 1. \(B \leftarrow T B\).
    4. Repeated until the convexity error, log10 of the fraction of negative entries plus log10 of
       their mean square, is below -6, or `max_steps` times.
    5. Negative entries of B are cut and its rows divided by their sums; samples with negative M
       get non-negative least squares (SciPy's), divided by its sum.

    The method has no objective that falls: its trace is the convexity error. Among the starts
    (seeds of the clustering) the best has the least residual sum of squares after step 5.

    **Arguments:** `exponent`: c; the others as of
    [`gaugebias.factor.expectation_maximisation`][].

    **Raises:** `ValueError` for arguments out of range, and where every start failed.

    Source: Weltje (1997), Mathematical Geology 29, 503-549; re-derived from the description of the
    method, settings of arXiv 2512.22282 (c = 0.5, -6, 100).
    """
    counts = as_counts(table)
    k = check_components(counts, components)
    check_starts(starts, max_steps, 0.5)
    if not (np.isfinite(exponent) and exponent >= 0):
        raise ValueError(f"`exponent` is {exponent}: give a number of at least 0.")
    samples = _low_rank(counts.profiles, k)
    seeds = np.asarray(jax.random.randint(as_key(key), (starts,), 0, 2**31 - 1))
    rows, columns = samples.shape
    mixing, basis = np.full((starts, rows, k), np.nan), np.full((starts, k, columns), np.nan)
    objectives = np.full(starts, np.nan)
    iterations, results = np.zeros(starts, int), np.full(starts, NOT_FINITE)
    trace = np.full((starts, max_steps + 1), np.nan)
    for number, seed in enumerate(seeds):
        try:
            members, errors = _expand(samples, _centres(samples, k, int(seed)), max_steps, exponent)
            mixing[number], basis[number] = _finish(samples, members)
            found = Factorisation(mixing[number], basis[number], counts.row_totals)
            objectives[number] = residual_sum_of_squares(counts, found)
        except (ValueError, np.linalg.LinAlgError, RuntimeError):
            continue  # this start is lost, the others go on
        iterations[number] = len(errors) - 1
        trace[number, : len(errors)] = errors
        results[number] = CONVERGED if errors[-1] < CONVEXITY else MAX_STEPS
    return collect(
        counts,
        "end-member analysis",
        "residual sum of squares",
        mixing=mixing,
        basis=basis,
        objectives=objectives,
        iterations=iterations,
        results=results,
        trace=trace[:, : int(iterations.max()) + 1],
    )


def _low_rank(profiles: np.ndarray, k: int) -> np.ndarray:
    left, values, right = np.linalg.svd(profiles, full_matrices=False)
    cut = (left[:, :k] * values[:k]) @ right[:k]
    return cut / cut.sum(axis=1, keepdims=True)  # a row's factor does not change the rank


def _centres(samples: np.ndarray, k: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    options: dict[str, Any] = {"n_clusters": k, "n_init": 1, "random_state": seed}
    return KMeans(**options).fit(samples).cluster_centers_


def _expand(
    samples: np.ndarray, members: np.ndarray, max_steps: int, exponent: float
) -> tuple[np.ndarray, list[float]]:
    """The end members after the last step, and the convexity error before each and at the end."""
    errors = []
    while True:
        mixing = samples @ np.linalg.pinv(members)
        # Rounding around 0 is no sample outside.
        outside = mixing < -1e-12
        if not outside.any():
            return members, [*errors, -np.inf]
        errors.append(float(np.log10(outside.mean()) + np.log10(np.mean(mixing[outside] ** 2))))
        if errors[-1] < CONVEXITY or len(errors) > max_steps:
            return members, errors
        change = np.eye(len(members))
        for j in np.flatnonzero(outside.any(axis=0)):
            offending = outside[:, j]
            z = int(mixing[offending].mean(axis=0).argmax())
            push = mixing[offending, j].mean() * offending.mean() ** exponent
            change[z, j] += push
            change[z, z] -= push
        members = change @ members


def _finish(samples: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import nnls

    members = np.maximum(members, 0.0)
    members = members / members.sum(axis=1, keepdims=True)
    mixing = samples @ np.linalg.pinv(members)
    for i in np.flatnonzero(mixing.min(axis=1) < 0):
        mixing[i] = nnls(members.T, samples[i])[0]
    return mixing / mixing.sum(axis=1, keepdims=True), members
