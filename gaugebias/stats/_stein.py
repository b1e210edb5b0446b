from collections.abc import Callable

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from ._checks import Numbers, as_array, as_points, generator
from ._mmd import median_distance
from ._quadratic import SPECTRUM_POINTS, spectral_tail
from ._result import TestResult

# Rows of the Stein kernel held at once.
_ROWS = 1024
# Fewer draws than this have no far tail: the limiting law is measured from here on.
_FAR_DRAWS = 100


def _stein_kernel(
    points: np.ndarray,
    scores: np.ndarray,
    weight: np.ndarray,
    slope: np.ndarray,
    width: float,
) -> Callable[[slice | np.ndarray, slice | np.ndarray], np.ndarray]:
    """Blocks of h(x, y) = A_x A_y [g(x) g(y) k(x, y)], A f = score . f + div f, for the inverse
    multiquadric k = (1 + |x - y|^2 / width^2)^(-1/2). With b = g score + grad g:

    h = b(x).b(y) k + g(y) b(x).d_y k + g(x) b(y).d_x k + g(x) g(y) tr d_x d_y k.
    """
    from scipy.spatial.distance import cdist

    b = weight[:, None] * scores + slope
    along = np.sum(b * points, axis=1)
    inverse, dimension = 1.0 / width**2, points.shape[1]

    def block(rows, columns):
        square = cdist(points[rows], points[columns], "sqeuclidean")
        u = 1.0 / (1.0 + inverse * square)
        root = np.sqrt(u)
        cubed = root * u * inverse
        # d_x k = -(x - y) cubed and d_y k = (x - y) cubed.
        left = along[rows][:, None] - b[rows] @ points[columns].T
        right = points[rows] @ b[columns].T - along[columns][None, :]
        g, gy = weight[rows][:, None], weight[columns][None, :]
        out = (b[rows] @ b[columns].T) * root
        out += cubed * (gy * left - g * right)
        out += (g * gy) * cubed * (dimension - 3.0 * inverse * square * u)
        return out

    return block


def _skew_factor(witness: np.ndarray, p_value: float) -> float:
    """How many times more often a skewed sample goes so far than the limiting law says.

    Along its largest direction the statistic is the square of a self-normalised sum, which draws
    of skewness s bring beyond t about exp(|s| t^3 / (3 sqrt(n))) times as often as a normal number
    (Jing, Shao and Wang, Ann. Probab. 31, 2003), on one of its sides. The skewness is that of the
    witness function at the draws; beyond t = 5 (p = 6e-7) no more is added.
    """
    from scipy.stats import norm

    away = witness - witness.mean()
    spread = float(np.mean(away**2))
    if spread == 0.0:
        return 1.0
    skewness = abs(float(np.mean(away**3))) / spread**1.5
    t = min(5.0, float(norm.isf(max(p_value, 1e-300) / 2.0)))
    return float(np.exp(skewness * max(t, 0.0) ** 3 / (3.0 * np.sqrt(len(witness)))))


def kernel_stein(
    x: Numbers,
    score: Numbers,
    key: PRNGKeyArray | ArrayLike,
    weight: Numbers | None = None,
    weight_gradient: Numbers | None = None,
    replicates: int = 499,
    max_points: int = 2048,
) -> TestResult:
    """Kernel Stein discrepancy: do draws follow a law that is known by its score, the gradient of
    its log density, alone? No normalisation and no draws of the law are needed.

    The statistic is the V-statistic n^-2 sum_ij h(x_i, x_j) of the Stein kernel h made of the
    inverse multiquadric k = (1 + |x - y|^2 / l^2)^(-1/2) (Liu, Lee and Jordan, arXiv 1602.03253;
    Chwialkowski, Strathmann and Gretton, arXiv 1602.02964; this kernel sees draws escape to
    infinity, Gorham and Mackey, arXiv 1703.01717), in coordinates divided by their standard
    deviations, l the median distance of the draws.

    **Null distribution:** under the law h is degenerate and n times the statistic tends to a
    weighted sum of chi-squares. It is imitated by the wild bootstrap with independent signs,
    n^-1 sum_ij e_i e_j h(x_i, x_j) (1602.02964, for independent draws): p = (1 + exceedances) /
    (1 + `replicates`). The diagonal of h is the same in all of them, so that the U-statistic has
    the same p-value. Where no replicate reaches the observed value, the tail of the weighted sum,
    with the eigenvalues of h / n as weights, made larger where the draws are skewed, replaces the
    floor from 100 draws on; fewer draws cannot have a p-value below it. Both are asymptotic: false
    alarms at 0.05 measured by `python -m benchmarks.calibration` from 100 draws on.

    **Conditions:** independent draws (one a chain); E h(X, X) finite; and the Stein identity
    E[score . f + div f] = 0, which needs the density times the test functions to *vanish on the
    boundary*. On w > 0 the density |w|^(-1/2) exp(-l/T) does not: there (and at every wall or
    interior singularity) give a `weight` g that vanishes linearly at the wall. The test functions
    are then g(x) k(x, .), density times g goes to zero at every integrable power, and g times the
    score stays bounded.

    **Arguments:** `x`: shape (n, *shape), at least 8 draws. `score`: the gradient of the log
    density at the draws, of the same shape. `weight`: g at the draws, shape (n,), >= 0;
    `weight_gradient`: its gradient, of the shape of `x`; None is g = 1, for laws on the whole
    space. `key`: JAX key of the signs. `max_points`: a longer sample is cut to this many draws,
    chosen at random (time grows as the square; memory is bounded by blocks of rows).

    **Returns:** a `TestResult`; `statistic` is the squared discrepancy (no units), `n` the draws
    used.

    **Raises:** `ValueError` for too few or non-finite draws or scores (an infinite score says that
    a draw sits where the density is zero or singular), shapes that do not match, a negative
    `weight`, one of `weight` and `weight_gradient` without the other, a coordinate that never
    changes, fewer than 19 `replicates` or fewer than 8 `max_points`.

    ```python
    import jax
    import numpy as np
    from gaugebias.stats import kernel_stein
    x = np.random.default_rng(0).normal(size=(500, 3))
    assert kernel_stein(x, -x, jax.random.key(0)).p_value > 1e-3  # N(0, I)
    assert kernel_stein(x, -x / 1.5, jax.random.key(0)).p_value < 1e-3  # N(0, 1.5 I)
    ```
    """
    if replicates < 19:
        raise ValueError(f"`replicates` must be at least 19, not {replicates}.")
    if max_points < 8:
        raise ValueError(f"`max_points` must be at least 8, not {max_points}.")
    points, scores = as_points(x, "x"), as_points(score, "score")
    if scores.shape != points.shape:
        raise ValueError(
            f"`score` must have the shape of `x`: {np.shape(score)} and {np.shape(x)}."
        )
    if (weight is None) != (weight_gradient is None):
        raise ValueError("`weight` needs `weight_gradient`, and the other way round.")
    if weight is None or weight_gradient is None:
        g, slope = np.ones(len(points)), np.zeros_like(points)
    else:
        g = as_array(weight, "weight")
        slope = as_points(weight_gradient, "weight_gradient")
        if g.shape != (len(points),) or slope.shape != points.shape or np.any(g < 0.0):
            raise ValueError(
                f"`weight` must have shape ({len(points)},) and no negative entry, and "
                f"`weight_gradient` the shape of `x`: {g.shape} and {slope.shape}."
            )
    scale = np.std(points, axis=0, keepdims=True)
    if np.any(scale == 0.0):
        raise ValueError("`x` has a coordinate that never changes: a law with a density moves it.")
    rng = generator(key)
    if len(points) > max_points:
        kept = rng.choice(len(points), max_points, replace=False)
        points, scores, g, slope = points[kept], scores[kept], g[kept], slope[kept]
    points, scores, slope = points / scale, scores * scale, slope * scale
    # Distances only: a common offset would cost digits.
    points = points - points.mean(axis=0, keepdims=True)
    n = len(points)
    block = _stein_kernel(points, scores, g, slope, median_distance(points, rng))

    signs = rng.integers(0, 2, size=(n, replicates + 1)) * 2.0 - 1.0
    signs[:, 0] = 1.0
    values, witness = np.zeros(replicates + 1), np.empty(n)
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        forms = block(rows, slice(None)) @ signs
        witness[rows] = forms[:, 0]
        values += np.sum(signs[rows] * forms, axis=0)
    observed = float(values[0])
    exceed = int(np.count_nonzero(values[1:] >= observed * (1.0 - 1e-12)))
    p_value = (1.0 + exceed) / (1.0 + replicates)
    detail = f"{exceed} of {replicates} sign changes reach it"
    if exceed == 0 and n >= _FAR_DRAWS:
        chosen = rng.choice(n, min(n, SPECTRUM_POINTS), replace=False)
        far = spectral_tail(block(chosen, chosen), observed / n)
        p_value = min(p_value, far * _skew_factor(witness, far))
        detail = f"beyond all {replicates} sign changes; p from the limiting law"
    least = 0.0 if n >= _FAR_DRAWS else 1.0 / (1.0 + replicates)
    return TestResult(max(observed, 0.0) / n**2, p_value, n, detail, least=least)
