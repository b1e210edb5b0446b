"""Non-negative matrix factorisation by scikit-learn, as a fit like the others."""

import warnings
from typing import Any

import jax
import numpy as np

from .._arguments import as_key
from .._types import Key
from ._counts import as_counts, check_components
from ._factorisation import Factorisation
from ._fit import CONVERGED, MAX_STEPS, NOT_FINITE, Fit, check_starts, collect
from ._measures import deviance, residual_sum_of_squares
from ._models import NMF

_LOSSES = {"frobenius": "cd", "kullback-leibler": "mu"}


def nonnegative(
    table: Any,
    components: int,
    *,
    key: Key,
    starts: int = 10,
    max_steps: int = 5_000,
    tol: float = 1e-7,
    loss: str = "frobenius",
) -> Fit:
    r"""NMF of the profiles, P = M H, with scikit-learn's solvers, one random start after another.

    - "frobenius": least squares, by coordinate descent. Nothing keeps \(M H 1 = 1\): the rows of
      M H are divided by their sums, and `normalised` of the result says how far they were off.
      The objective is the residual sum of squares after that.
    - "kullback-leibler": of the table, by multiplicative updates; at its optimum the row sums of
      M H are those of the table, and it is the maximum likelihood of
      [`gaugebias.factor.expectation_maximisation`][]. The objective is the deviance.

    scikit-learn returns no trace: it holds the final objective only.

    **Arguments:** as of [`gaugebias.factor.expectation_maximisation`][]; `tol` is that of
    scikit-learn's solver; `loss`.

    **Raises:** `ValueError` for arguments out of range, and where every start failed.
    """
    from sklearn.decomposition import NMF as Solver
    from sklearn.exceptions import ConvergenceWarning

    counts = as_counts(table)
    k = check_components(counts, components)
    check_starts(starts, max_steps, tol)
    if loss not in _LOSSES:
        raise ValueError(f"`loss` is {loss!r}: choose from {', '.join(_LOSSES)}.")
    likelihood = loss == "kullback-leibler"
    # In units of the mean cell, where scikit-learn's own constants mean little.
    values = counts.values if likelihood else counts.profiles
    values = values / values.mean()
    seeds = np.asarray(jax.random.randint(as_key(key), (starts,), 0, 2**31 - 1))
    shape = counts.values.shape
    mixing, basis = np.full((starts, shape[0], k), np.nan), np.full((starts, k, shape[1]), np.nan)
    objectives, normalised = np.full(starts, np.nan), np.full(starts, np.nan)
    iterations, results = np.zeros(starts, int), np.full(starts, NOT_FINITE)
    for number, seed in enumerate(seeds):
        options: dict[str, Any] = {"n_components": k, "init": "random", "random_state": int(seed)}
        options |= {"solver": _LOSSES[loss], "beta_loss": loss, "tol": tol, "max_iter": max_steps}
        solver = Solver(**options)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            left = solver.fit_transform(values)
        late = any(issubclass(warning.category, ConvergenceWarning) for warning in said)
        iterations[number] = int(solver.n_iter_)
        try:
            found = Factorisation.of(NMF(left, solver.components_))
            sums = values.sum(axis=1)
            normalised[number] = np.abs(found.row_totals / sums - 1.0).max()
            measure = deviance if likelihood else residual_sum_of_squares
            objectives[number] = measure(counts, found)
        except ValueError:  # a component or a row died: this start is lost, the others go on
            continue
        mixing[number], basis[number] = found.mixing, found.basis
        results[number] = MAX_STEPS if late else CONVERGED
    return collect(
        counts,
        f"NMF ({loss})",
        "deviance" if likelihood else "residual sum of squares",
        mixing=mixing,
        basis=basis,
        objectives=objectives,
        iterations=iterations,
        results=results,
        trace=objectives[:, None],
        normalised=normalised,
    )
