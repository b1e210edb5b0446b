"""Two-sample tests of kernel type: s^T K s over random relabellings of the pooled draws."""

from collections.abc import Callable

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from ._checks import Numbers, as_points, generator
from ._quadratic import least_sign_tail, sign_tail
from ._result import TestResult

# Rows of the kernel matrix held at once.
_ROWS = 1024
# Pairs whose swaps bound the far tail.
_PAIRS = 2048

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
    (1 + `permutations`); where no relabelling reaches the observed value, at most `_paired`. Both
    are valid at every level and sample size, and so is this choice: below 1 / (1 + `permutations`)
    only the second can speak, from there on only the first.
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
        p_value = min(p_value, _paired(first, second, kernel, rng))
        detail = f"beyond all {permutations} relabellings; p bounded by swaps in pairs"
    least = min(1.0 / (1.0 + permutations), least_sign_tail(min(n, m, _PAIRS)))
    return TestResult(
        max(observed, 0.0), p_value, max(1, round(n * m / total)), detail, least=least
    )


def _paired(
    first: np.ndarray, second: np.ndarray, kernel: Kernel, rng: np.random.Generator
) -> float:
    """A p-value below the resolution of relabellings: draws of the two samples are paired at
    random, and under the null hypothesis the two of a pair may be swapped. Then the statistic of
    the paired draws is a quadratic form in independent random signs, whose tail has a bound at
    every sample size (`sign_tail`). The limiting law has none: one far draw among a few, against
    many, passes for impossible there.
    """
    size = min(len(first), len(second), _PAIRS)
    a, b = (p[rng.permutation(len(p))[:size]] for p in (first, second))
    cross = kernel(a, b)
    return sign_tail(kernel(a, a) + kernel(b, b) - cross - cross.T)
