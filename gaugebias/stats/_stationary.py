import numpy as np

from ._chains import chain_array
from ._checks import MINIMUM_DRAWS, Numbers
from ._mean import mean_test
from ._result import TestResult


def stationarity_test(values: Numbers, first: float = 0.1, last: float = 0.5) -> TestResult:
    """Burn-in check: is the first part of the chains like their last part?

    Geweke's comparison of the `first` tenth of a chain with its `last` half, but with the
    *independent chains* as replicates: for each chain the mean over its first part minus that over
    its last part, of the draw's normal score (its rank among all draws, location) and of the
    normal score of its distance from the median (spread). Under stationarity each has mean zero,
    whatever the autocorrelation of the chains, and Student's t over the chains tests it: no
    spectral density is estimated (Geweke 1992 has to, from one chain). Rank scores: no moments
    are needed.

    **Null distribution:** Student's t with (chains - 1) degrees of freedom, two tests a
    coordinate, min(1, 2 d min p); false alarms at 0.05 measured by
    `python -m benchmarks.calibration`, autocorrelated chains included.

    **What it cannot see:** chains that have not moved, or that relax more slowly than the record
    is long; `split_rhat` of over-dispersed starts sees those.

    **Arguments:** `values`: shape (chains, draws, *shape), at least 8 chains of 2 draws. `first`,
    `last`: fractions of the record compared, at least one draw each, together at most 1.

    **Returns:** a `TestResult`; `statistic` is the largest |t|, `n` the number of chains.

    **Raises:** `ValueError` for fewer than 8 chains or 2 draws, non-finite values, fractions that
    overlap, or a coordinate that never changes.

    ```python
    import numpy as np
    from gaugebias.stats import stationarity_test
    x = np.random.default_rng(0).normal(size=(200, 20))
    assert stationarity_test(x).p_value > 1e-3
    assert stationarity_test(x + np.exp(-np.arange(20.0))[None]).p_value < 1e-6
    ```
    """
    from scipy.stats import norm, rankdata

    if not (0.0 < first and 0.0 < last and first + last <= 1.0):
        raise ValueError(
            f"`first` and `last` must be positive and at most 1 together, not {first} and {last}."
        )
    array = chain_array(values, 2)
    chains, draws = array.shape[:2]
    if chains < MINIMUM_DRAWS:
        raise ValueError(f"`values` holds {chains} chains; at least {MINIMUM_DRAWS} are needed.")
    flat = array.reshape(chains, draws, -1)
    head = max(1, round(first * draws))
    tail = min(max(1, round(last * draws)), draws - head)
    found = []
    for i in range(flat.shape[2]):
        away = np.abs(flat[..., i] - np.median(flat[..., i]))
        for what, x in (("location", flat[..., i]), ("spread", away)):
            ranks = rankdata(x).reshape(chains, draws)
            scores = np.asarray(norm.ppf((ranks - 0.375) / (ranks.size + 0.25)))
            moved = scores[:, :head].mean(axis=1) - scores[:, -tail:].mean(axis=1)
            if np.ptp(moved) > 1e-9:  # scores are of order one; frozen chains have not moved
                found.append((mean_test(moved, 0.0), what, i))
    if not found:
        return TestResult(0.0, 1.0, chains, "no chain has moved")
    worst, what, i = min(found, key=lambda entry: entry[0].p_value)
    where = f" of coordinate {i}" if flat.shape[2] > 1 else ""
    return TestResult(
        abs(worst.statistic),
        min(1.0, len(found) * worst.p_value),
        chains,
        f"{what}{where}: t = {worst.statistic:+.2f}, first against last draws",
    )
