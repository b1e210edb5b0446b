import math

import numpy as np
from jax.typing import ArrayLike

from ._checks import Numbers, as_level, as_sample
from ._result import TestResult


def mean_test(x: Numbers, mean: ArrayLike, variance: ArrayLike | None = None) -> TestResult:
    """Two-sided test that independent draws have a given mean (a score test, for a sufficient
    statistic of the law).

    With p_eta(x) proportional to exp(eta t(x)), the score for eta at the law itself is
    t(x) - E t, so the test of t's mean with its exact variance is the locally most powerful test
    of eta: t = l/T tests the temperature, t = log V the exponent of the volume.

    **Arguments:** `x`: shape (n,), n >= 8 independent values of the statistic. `mean`: its
    expectation under the law. `variance`: its exact variance under the law; None estimates it and
    uses Student's t with n - 1 degrees of freedom.

    **Returns:** a `TestResult`; `statistic` is z (or t). The p-value is that of the central limit
    theorem: at |z| it is off by a factor of about exp(skewness z^3 / (6 sqrt(n))).

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
    from scipy.stats import norm, t

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
    tail = norm.sf(abs(z)) if variance is not None else t.sf(abs(z), n - 1)
    return TestResult(z, float(min(1.0, 2.0 * tail)), n, f"z = {z:+.2f}")


def mean_detectable(n: int, variance: float, level: float = 1e-6, power: float = 0.9) -> float:
    """The shift of a mean that the two-sided z-test at `level` sees with probability `power`
    (normal approximation; `variance` is that of one draw, `n` the number of draws).

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
    reach = norm.isf(as_level(level, "level") / 2) + norm.ppf(as_level(power, "power"))
    return float(reach) * math.sqrt(variance / n)
