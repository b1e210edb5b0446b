import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from ._checks import Numbers
from ._permutation import Kernel, kernel_two_sample
from ._result import TestResult


def _distances(pooled: np.ndarray, rng: np.random.Generator) -> Kernel:
    from scipy.spatial.distance import cdist

    return lambda a, b: -cdist(a, b)


def energy_distance(
    x: Numbers,
    y: Numbers,
    key: PRNGKeyArray | ArrayLike,
    permutations: int = 499,
    max_points: int = 2048,
) -> TestResult:
    """Energy-distance test that two samples in any dimension come from one law (Székely and
    Rizzo: 2 E|X-Y| - E|X-X'| - E|Y-Y'|, zero only for equal laws with a first moment; without one
    the test is valid but sees little: take `maximum_mean_discrepancy`).

    The p-value counts random relabellings of the pooled draws, (1 + exceedances) /
    (1 + `permutations`), which is valid at every sample size. When no relabelling reaches the
    observed value, that floor is replaced by a bound from swaps in random pairs of one draw each
    (Chernoff's for a quadratic form in random signs), so that p-values below 1 / `permutations`
    mean something: also they are valid at every sample size and for every tail. They need 33 draws
    a side to reach 1e-6 (17 to be below 1 / 500), and use as many draws of the longer sample as the
    shorter has.

    **Arguments:** `x`: shape (n, *shape), `y`: shape (m, *shape), at least 8 independent draws
    each; a shape (n,) is one coordinate. The distance is Euclidean: bring the coordinates to a
    common scale (of the *pooled* draws) when their units differ. `key`: JAX key of the
    relabellings. `max_points`: a longer sample is cut to this many of its draws, chosen at random
    (time grows as the square); memory is bounded by blocks of rows.

    **Returns:** a `TestResult`; `statistic` is the energy distance (the V-statistic, >= 0, in the
    units of the samples), `n` is n m / (n + m) of the draws used.

    **Raises:** `ValueError` for too few or non-finite draws, different dimensions, draws that are
    all equal, fewer than 19 `permutations` or fewer than 8 `max_points`.
    """
    return kernel_two_sample(x, y, _distances, key, permutations, max_points)
