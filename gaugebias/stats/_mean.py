import math

import numpy as np
from jax.typing import ArrayLike

from ._checks import Numbers, as_level, as_sample
from ._result import TestResult


def _tail(z: float, skewness: float) -> float:
    """P(Z >= z) of a standardised mean: the larger of the normal tail and of that of the gamma law
    with this skewness (Pearson's type III; exact where the draws follow a gamma law)."""
    from scipy.stats import norm, pearson3

    plain = float(norm.sf(z))
    # Below 1e-6 the shape is that of a normal law, and the formula loses its digits.
    return plain if abs(skewness) < 1e-6 else max(plain, float(pearson3.sf(z, skewness)))


def saddlepoint_tail(values: np.ndarray, weights: np.ndarray, away: float, n: int) -> float:
    """P(mean of n draws - its expectation >= away), away > 0, of the discrete law with these
    weights: Lugannani and Rice (Adv. Appl. Probab. 12, 1980), relative error of order 1/n however
    far out; never less than the normal tail."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    centred = values - np.sum(weights * values)
    spread = math.sqrt(float(np.sum(weights * centred**2)))
    y, goal = centred / spread, away / spread
    plain = float(norm.sf(goal * math.sqrt(n)))

    def tilted(s: float) -> tuple[float, float, float]:
        """The cumulant generating function and its two derivatives."""
        top = float(np.max(s * y))
        mass = weights * np.exp(s * y - top)
        total = float(np.sum(mass))
        first = float(np.sum(mass * y)) / total
        return top + math.log(total), first, float(np.sum(mass * (y - first) ** 2)) / total

    end = 1.0
    while tilted(end)[1] < goal:
        end *= 2.0
        if end > 1e6:  # beyond every value that the law takes
            return plain
    s = float(brentq(lambda s: tilted(s)[1] - goal, 0.0, end, xtol=1e-12))  # pyright: ignore
    cumulant, _, curvature = tilted(s)
    r = math.sqrt(max(2.0 * n * (s * goal - cumulant), 0.0))
    u = s * math.sqrt(n * curvature)
    if r < 1e-3 or u <= 0.0:  # the middle of the law: no tail
        return plain
    return max(plain, float(norm.sf(r + math.log(u / r) / r)))


def _reach(level: float, skewness: float) -> float:
    """The z beyond which `_tail` is below `level`, on the side where it is larger."""
    from scipy.stats import norm, pearson3

    plain = float(norm.isf(level))
    heavy = abs(skewness)
    return plain if heavy < 1e-6 else max(plain, float(pearson3.isf(level, heavy)))


def mean_test(
    x: Numbers, mean: ArrayLike, variance: ArrayLike | None = None, skewness: ArrayLike = 0.0
) -> TestResult:
    """Two-sided test that independent draws have a given mean (a score test, for a sufficient
    statistic of the law).

    With p_eta(x) proportional to exp(eta t(x)), the score for eta at the law itself is
    t(x) - E t, so the test of t's mean with its exact variance is the locally most powerful test
    of eta: t = l/T tests the temperature, t = log V the exponent of the volume.

    **Arguments:** `x`: shape (n,), n >= 8 independent values of the statistic. `mean`: its
    expectation under the law. `variance`: its exact variance under the law; None estimates it and
    uses Student's t with n - 1 degrees of freedom. `skewness`: that of one draw under the law
    (with `variance` only).

    **Returns:** a `TestResult`; `statistic` is z (or t). The p-value is that of the central limit
    theorem, which at |z| is off by a factor of about exp(skewness z^3 / (6 sqrt(n))): for the
    mean of squared normal draws (skewness 2.8) p < 1e-6 happens 5e-4 of the time with 8 draws, and
    5e-6 with 100. Given `skewness`, each tail is the larger of the normal one and of the gamma
    law's with that skewness (Pearson's type III), which mends that; what is left is the kurtosis,
    a factor of about exp(kurtosis z^4 / (24 n)).

    **Raises:** `ValueError` for fewer than 8 or non-finite draws, a non-finite `mean`, a
    `variance` that is not positive, or draws that are all equal when it is None.

    ```python
    import numpy as np
    from gaugebias.stats import mean_test
    draws = np.random.default_rng(0).normal(size=1000)
    assert mean_test(draws, 0.0, 1.0).p_value > 1e-3
    assert mean_test(draws, 0.3).p_value < 1e-6
    ```
    """
    from scipy.stats import t

    sample = as_sample(x, "x")
    n = sample.size
    centre = float(np.asarray(mean))
    if not math.isfinite(centre):
        raise ValueError(f"`mean` must be finite, not {mean}.")
    if variance is None:
        spread = float(np.var(sample, ddof=1))
        if spread == 0.0:
            raise ValueError("`x`: all draws are equal; give `variance`, or check the statistic.")
    else:
        spread = float(np.asarray(variance))
        if not (math.isfinite(spread) and spread > 0.0):
            raise ValueError(f"`variance` must be positive and finite, not {variance}.")
    z = (float(np.mean(sample)) - centre) / math.sqrt(spread / n)
    lean = float(np.asarray(skewness))
    if not math.isfinite(lean) or (lean != 0.0 and variance is None):
        raise ValueError(f"`skewness` must be finite, and given with `variance`, not {skewness}.")
    if variance is None:
        tail = float(t.sf(abs(z), n - 1))
    else:
        tail = _tail(abs(z), math.copysign(1.0, z) * lean / math.sqrt(n))
    return TestResult(z, float(min(1.0, 2.0 * tail)), n, f"z = {z:+.2f}")


def mean_detectable(
    n: int, variance: float, level: float = 1e-6, power: float = 0.9, skewness: float = 0.0
) -> float:
    """The shift of a mean that the two-sided z-test at `level` sees with probability `power`
    (normal approximation; `variance` and `skewness` are those of one draw, `n` the number of draws;
    the critical value is that of `mean_test`, on its heavier side).

    For a score test divide by `variance`: the mean of a sufficient statistic moves by its
    variance per unit of its parameter, so the smallest visible exponent is
    `mean_detectable(n, var) / var`, and likewise the relative change of the temperature.

    **Raises:** `ValueError` for `n` < 1, a `variance` that is not positive, or probabilities
    outside (0, 1).
    """
    from scipy.stats import norm

    if n < 1:
        raise ValueError(f"`n` must be at least 1, not {n}.")
    if not (math.isfinite(variance) and variance > 0.0):
        raise ValueError(f"`variance` must be positive and finite, not {variance}.")
    critical = _reach(as_level(level, "level") / 2, skewness / math.sqrt(n))
    reach = critical + norm.ppf(as_level(power, "power"))
    return float(reach) * math.sqrt(variance / n)
