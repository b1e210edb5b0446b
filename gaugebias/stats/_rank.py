import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from ._checks import Numbers, as_array, as_sample, generator
from ._ks import kolmogorov_smirnov
from ._result import TestResult


def rank_test(x: Numbers, reference: Numbers, key: PRNGKeyArray | ArrayLike) -> TestResult:
    """Simulation-based check by ranks: each draw of the process among its own draws of the law.

    Under the law the rank of x_i among L independent draws of the law is uniform on 0, ..., L
    (Talts et al., arXiv 1804.06788), for any scalar function of the draw: a coordinate, a norm,
    or the log density, which sees what marginals do not.

    **Null distribution:** (rank + U) / (L + 1) with U uniform on (0, 1) is exactly uniform, ties
    broken at random, and independent over i since every draw has its own reference draws; so its
    Kolmogorov-Smirnov p-value is exact at every n and L, for continuous and discrete functions.
    (The chi-square test of the rank histogram, usual in the source, is asymptotic.)

    **Conditions:** independent draws of the process (one a chain), reference draws that are
    independent of them and of each other. L = 19 loses 1 part in 20 of the draws' information.

    **Arguments:** `x`: shape (n,), n >= 8, the function at the draws. `reference`: shape (n, L),
    the function at the law's draws, row i for draw i. `key`: JAX key of the randomisation.

    **Returns:** a `TestResult`; `statistic` is the Kolmogorov-Smirnov distance of the ranks from
    uniform, `location` where on (0, 1) it is reached.

    **Raises:** `ValueError` for fewer than 8 or non-finite draws, or a `reference` of another
    shape.

    ```python
    import jax
    import numpy as np
    from gaugebias.stats import rank_test
    rng = np.random.default_rng(0)
    x, reference = rng.exponential(size=1000), rng.exponential(size=(1000, 19))
    assert rank_test(x, reference, jax.random.key(0)).p_value > 1e-3
    assert rank_test(1.5 * x, reference, jax.random.key(0)).p_value < 1e-6
    ```
    """
    sample, among = as_sample(x, "x"), as_array(reference, "reference")
    if among.ndim != 2 or len(among) != len(sample):
        raise ValueError(
            f"`reference` must have shape ({len(sample)}, L), L draws of the law for each of `x`; "
            f"it has shape {among.shape}."
        )
    rng = generator(key)
    below = np.count_nonzero(among < sample[:, None], axis=1)
    ties = np.count_nonzero(among == sample[:, None], axis=1)
    place = below + rng.uniform(size=len(sample)) * (ties + 1)
    found = kolmogorov_smirnov(place / (among.shape[1] + 1), lambda u: u)
    detail = f"ranks differ most at {found.location:.3g}"
    return TestResult(found.statistic, found.p_value, found.n, detail, found.location)
