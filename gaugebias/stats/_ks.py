import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ._checks import Numbers, as_sample
from ._result import TestResult

# Below this product of sample sizes the two-sample p-value is counted exactly.
_EXACT_PAIRS = 4_000_000


def evaluate_cdf(cdf: Callable[[Any], Any], ordered: np.ndarray) -> np.ndarray:
    """`cdf` at increasing points, checked to be a distribution function there."""
    out = np.asarray(cdf(ordered), dtype=np.float64)
    if out.shape != ordered.shape:
        raise ValueError(
            f"`cdf` must keep the shape of its argument: it gave {out.shape} for {ordered.shape}. "
            "Vectorise it."
        )
    # Slack for float32 distribution functions and quadrature; nothing statistical is that small.
    slack = 1e-5
    if not np.all(np.isfinite(out)) or out.min() < -slack or out.max() > 1.0 + slack:
        raise ValueError("`cdf` must give numbers between 0 and 1 at every draw.")
    if np.any(np.diff(out) < -slack):
        raise ValueError("`cdf` must not decrease; is it a density?")
    return np.clip(out, 0.0, 1.0)


def kolmogorov_smirnov(x: Numbers, cdf: Callable[[Any], Any]) -> TestResult:
    """Kolmogorov-Smirnov test of independent draws against a continuous law.

    **Arguments:** `x`: shape (n,), n >= 8 *independent* draws (one a chain). `cdf`: vectorised
    distribution function of the law, (n,) -> (n,) values in [0, 1].

    **Returns:** a `TestResult`: `statistic` is sup |F_n - F|, `p_value` is two-sided and exact at
    every n (Simard and L'Ecuyer, as in `scipy.stats.kstwo`), `location` is where the supremum is
    reached. A law with atoms (`cdf` continuous from the right) has p-values that are too large
    (safe). Rounded draws of a continuous law are draws of another law, with atoms, and many of
    them are rejected: rounding to a grid of spacing h moves F by up to h / 2 times the density.

    **Autocorrelated draws** are not independent: take the last draw of each of many chains, which
    is exact whatever the autocorrelation, or draws many autocorrelation times apart. With 10 AR(1)
    chains (rho 0.9) of 500 draws, all pooled, 75% of the p-values of the right law are below 0.05;
    with the effective sample size in place of n 0.3% are (the autocorrelation of the indicators
    x <= t is another than that of x); one draw a chain gives 5%, and so does every 50th draw
    (`python -m benchmarks.calibration`, 2,000 repetitions).

    **Raises:** `ValueError` for fewer than 8 draws, NaN or infinite draws, more than one
    coordinate, or a `cdf` that is not a distribution function at the draws.

    ```python
    import numpy as np
    from gaugebias.stats import kolmogorov_smirnov
    draws = np.random.default_rng(0).uniform(size=1000)
    assert kolmogorov_smirnov(draws, lambda u: u).p_value > 1e-3
    assert kolmogorov_smirnov(draws, lambda u: u**2).p_value < 1e-6
    ```
    """
    from scipy.stats import kstwo

    ordered = np.sort(as_sample(x, "x"))
    n = ordered.size
    values = evaluate_cdf(cdf, ordered)
    grid = np.arange(n + 1) / n
    before = values
    if np.any(ordered[1:] == ordered[:-1]):
        # Ties: where the law has an atom, F_n and F are to be compared on both sides of the jump.
        before = evaluate_cdf(cdf, np.nextafter(ordered, -np.inf))
    # Within a tie neither of the two is the supremum: F_n jumps from its first index to its last.
    first = np.searchsorted(ordered, ordered, side="left")
    last = np.searchsorted(ordered, ordered, side="right")
    gaps = np.maximum(np.abs(grid[last] - values), np.abs(before - grid[first]))
    worst = int(np.argmax(gaps))
    statistic = float(gaps[worst])
    p_value = float(np.clip(kstwo.sf(statistic, n), 0.0, 1.0))
    return TestResult(
        statistic,
        p_value,
        n,
        f"largest gap at {ordered[worst]:.4g}",
        float(ordered[worst]),
    )


def kolmogorov_smirnov_two_sample(x: Numbers, y: Numbers) -> TestResult:
    """Two-sample Kolmogorov-Smirnov test of independent draws.

    **Arguments:** `x`: shape (n,), `y`: shape (m,), each at least 8 independent draws.

    **Returns:** a `TestResult`: `statistic` is sup |F_n - G_m|; the two-sided `p_value` is exact
    while n m <= 4e6 and from the one-sample law at n m / (n + m) above (`scipy.stats.ks_2samp`);
    `n` is n m / (n + m), rounded.

    **Raises:** `ValueError` for fewer than 8 draws, non-finite draws or more than one coordinate.
    """
    from scipy.stats import ks_2samp

    first, second = as_sample(x, "x"), as_sample(y, "y")
    n, m = first.size, second.size
    exact = n * m <= _EXACT_PAIRS
    with warnings.catch_warnings():
        # scipy warns when its exact count overflows and it falls back to the asymptotic law.
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Any = ks_2samp(first, second, method="exact" if exact else "asymp")
    where = float(found.statistic_location)
    return TestResult(
        float(found.statistic),
        float(np.clip(found.pvalue, 0.0, 1.0)),
        max(1, round(n * m / (n + m))),
        f"largest gap at {where:.4g}",
        where,
        2.0 / float(math.comb(n + m, n)) if exact and n + m < 1000 else 0.0,
    )
