import math

import equinox as eqx
import numpy as np

from ._checks import Numbers, as_array, as_level, as_points
from ._result import TestResult

# Level at which a change of the step is told from none, and from what the draws can show.
_MATTERS = 1e-3


class HalvingResult(eqx.Module):
    """Outcome of `step_halving_test`, all in standard deviations of the test functions.

    - `test`: the `TestResult`; its p-value is against "the deviation is that of the step".
    - `deviation`: the largest deviation from the law at the finer step.
    - `effect`: the largest change of a mean between the two steps.
    - `effect_p_value`: two-sided p-value of "the step changes nothing" (Bonferroni).
    - `explained`: whether the deviation is within kappa times the effect: what is estimated, with
      no regard to errors.
    - `visible`: the deviation that would have been seen beyond that of the step, see
      `step_halving_test`.
    - `matters`: whether halving the step moved a mean by more than the errors of the finer run
      allow a deviation to be seen (both at 1e-3): a law that agrees with such a run may agree by
      chance, with the bias of the step against its own.
    """

    test: TestResult
    deviation: float
    effect: float
    effect_p_value: float
    explained: bool
    visible: float
    matters: bool


def step_halving_test(
    coarse: Numbers,
    fine: Numbers,
    mean: Numbers,
    variance: Numbers,
    mean_error: Numbers | None = None,
    order: float = 0.5,
    level: float = 1e-6,
    power: float = 0.9,
) -> HalvingResult:
    """Is the deviation of a simulation from a law due to its step size?

    Test functions f_1, ..., f_K (indicators of the law's quantiles, sufficient statistics) are
    averaged over runs at dt and dt/2. With D_k(dt) = E_dt f_k - E_law f_k, in standard deviations
    of f_k under the law, a right law and a discretisation of weak order `order` or better give

        max_k |D_k(dt/2)| <= kappa max_j |D_j(dt) - D_j(dt/2)|,   kappa = 1 / (2^order - 1),

    the deviation left is no more than what the first halving has taken away; a wrong law keeps
    its deviation however small the step. **The null hypothesis is that inequality.** It is
    rejected where, for some k, |D_k(dt/2)| - kappa |D_j(dt) - D_j(dt/2)| is significantly positive
    for *every* j (an intersection-union test, so the largest step effect need not be known):
    p = min(1, 2 K min_k max_j p_kj), with one-sided Student's t over the chains, of the same chains
    in both runs. The deviation and the step effect may be of different functions, so that a bias
    that passes through zero for one of them does not look like a wrong law.

    **False alarms:** at most the level, and fewer (Bonferroni, and the bound is not an equality):
    the test is conservative by design. **Power:** the deviation must exceed `visible`. With the
    default `order` 1/2, kappa is 2.4: also the slower convergence of Euler steps near a singular
    boundary is covered; order 1 (kappa = 1) is that of Euler steps with smooth coefficients.
    **Conditions:** independent chains, some hundreds (central limit theorem); the remainder of
    higher order in dt is within kappa (both runs in the range where halving the step reduces the
    error by 2^order at least).

    Source: Richardson's extrapolation of weak errors (Talay and Tubaro, Stoch. Anal. Appl. 8,
    1990); the test is derived for this package.

    **Arguments:** `coarse`, `fine`: shape (n, K), the functions at the draws of the two runs, row
    i from chain i of both (coupled noise makes their difference, and so the test, sharper).
    `mean`, `variance`: shape (K,), under the law. `mean_error`: standard errors of `mean` where
    it was estimated, shape (K,). `level`, `power`: for `visible`.

    **Returns:** a `HalvingResult`.

    **Raises:** `ValueError` for fewer than 8 or non-finite draws, shapes that do not match,
    variances that are not positive, `order` outside (0, 4].
    """
    from scipy.stats import norm, t

    first, second = as_points(coarse, "coarse"), as_points(fine, "fine")
    if first.shape != second.shape:
        raise ValueError(
            f"`coarse` and `fine` must have one shape, chains first: {first.shape} and "
            f"{second.shape}."
        )
    n, count = first.shape
    centre, spread = as_array(mean, "mean"), as_array(variance, "variance")
    errors = np.zeros(count) if mean_error is None else as_array(mean_error, "mean_error")
    for name, array in (("mean", centre), ("variance", spread), ("mean_error", errors)):
        if array.shape != (count,):
            raise ValueError(f"`{name}` must have shape ({count},), not {array.shape}.")
    if np.any(spread <= 0.0):
        raise ValueError("`variance` must be positive.")
    if not 0.0 < order <= 4.0:
        raise ValueError(f"`order` must lie in (0, 4], not {order}.")
    kappa = 1.0 / (2.0**order - 1.0)
    scale = np.sqrt(spread)[None, :]
    away = (second - centre[None, :]) / scale
    step = (first - second) / scale
    deviation, effect = away.mean(axis=0), step.mean(axis=0)
    away, step = away - deviation[None, :], step - effect[None, :]
    # Under the law the variance is 1: a sample that happens to vary less must not look certain.
    left = np.maximum(np.sum(away**2, axis=0) / (n - 1), 1.0) + n * (errors / scale[0]) ** 2
    right = np.sum(step**2, axis=0) / (n - 1)
    cross = away.T @ step / (n - 1)
    # The sign of a small effect is not known: the larger of the two variances.
    total = left[:, None] + kappa**2 * right[None, :] + 2.0 * kappa * np.abs(cross)
    excess = np.abs(deviation)[:, None] - kappa * np.abs(effect)[None, :]
    p = np.max(t.sf(excess / np.sqrt(total / n), n - 1), axis=1)
    worst = int(np.argmin(p))
    changed = np.where(right > 0.0, right, 1.0)
    effect_p = 2.0 * np.min(t.sf(np.abs(effect) / np.sqrt(changed / n), n - 1))
    effect_p = float(min(1.0, count * effect_p))
    seen = np.abs(effect) > norm.isf(_MATTERS / (2 * count)) * np.sqrt(left / n)
    reach = float(norm.isf(as_level(level, "level") / (2 * count)) + norm.ppf(power))
    largest = float(np.max(np.abs(effect)))
    visible = kappa * largest + reach * math.sqrt(
        float(np.max(left) + kappa**2 * np.max(right)) / n
    )
    most = float(np.max(np.abs(deviation)))
    return HalvingResult(
        TestResult(
            most,
            float(min(1.0, 2.0 * count * p[worst])),
            n,
            f"off by {most:.3g} sd at the finer step, which moved by up to {largest:.3g} sd",
        ),
        most,
        largest,
        effect_p,
        most <= kappa * largest,
        visible,
        bool(effect_p < _MATTERS and np.any(seen)),
    )
