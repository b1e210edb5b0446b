"""Two-sample tests of kernel type: s^T K s over random relabellings of the pooled draws."""

from collections.abc import Callable

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from ._checks import Numbers, as_points, generator
from ._quadratic import SPECTRUM_POINTS, spectral_tail
from ._result import TestResult

# Rows of the kernel matrix held at once.
_ROWS = 1024

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


def kernel_two_sample(
    x: Numbers,
    y: Numbers,
    make_kernel: Callable[[np.ndarray, np.random.Generator], Kernel],
    key: PRNGKeyArray | ArrayLike,
    permutations: int,
    max_points: int,
) -> TestResult:
    """The test on s^T K s, s = 1/n on the draws of `x` and -1/m on those of `y`.

    `make_kernel(pooled, rng)` gives the kernel from the pooled draws; it must not know which draw
    is whose, so that the relabellings are exact. The p-value is (1 + exceedances) /
    (1 + `permutations`); where no relabelling reaches the observed value, at most the tail of the
    limiting law, a weighted sum of chi-squares with the eigenvalues of the centred kernel.
    """
    if permutations < 19:
        raise ValueError(f"`permutations` must be at least 19, not {permutations}.")
    if max_points < 8:
        raise ValueError(f"`max_points` must be at least 8, not {max_points}.")
    first, second = as_points(x, "x"), as_points(y, "y")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"`x` and `y` must have the same dimension: {first.shape[1]} and {second.shape[1]}."
        )
    rng = generator(key)
    first, second = (
        p if len(p) <= max_points else p[rng.choice(len(p), max_points, replace=False)]
        for p in (first, second)
    )
    n, m = len(first), len(second)
    pooled = np.concatenate([first, second])
    total = n + m
    if np.all(pooled == pooled[:1]):
        raise ValueError("`x` and `y`: all draws are equal.")
    kernel = make_kernel(pooled, rng)

    signs = np.concatenate([np.full(n, 1.0 / n), np.full(m, -1.0 / m)])
    labels = np.empty((total, permutations + 1))
    labels[:, 0] = signs
    for column in range(1, permutations + 1):
        labels[:, column] = rng.permutation(signs)
    # s^T K s for every labelling s at once: one matrix product per block of rows.
    values = np.zeros(permutations + 1)
    for start in range(0, total, _ROWS):
        rows = slice(start, start + _ROWS)
        values += np.sum(labels[rows] * (kernel(pooled[rows], pooled) @ labels), axis=0)
    observed = float(values[0])
    exceed = int(np.count_nonzero(values[1:] >= observed * (1.0 - 1e-12)))
    p_value = (1.0 + exceed) / (1.0 + permutations)
    detail = f"{exceed} of {permutations} relabellings reach it"
    if exceed == 0:
        chosen = pooled[rng.choice(total, min(total, SPECTRUM_POINTS), replace=False)]
        centred = kernel(chosen, chosen)
        centred = centred - centred.mean(axis=0, keepdims=True)
        centred -= centred.mean(axis=1, keepdims=True)
        p_value = min(p_value, spectral_tail(centred, observed * n * m / total))
        detail = "beyond every relabelling; p from the limiting law"
    return TestResult(max(observed, 0.0), p_value, max(1, round(n * m / total)), detail)
