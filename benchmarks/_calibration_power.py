"""How often each test sees a 5% error of the temperature, or a power of w off by 0.1."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import gaugebias as gb
from gaugebias import stats

from ._calibration_cases import TEMPERATURE, product_model

LEVELS = (0.05, 1e-6)
CHEAP, COSTLY = (100, 300, 1000, 3000, 10_000, 30_000), (100, 300, 1000, 2048)


class Power(NamedTuple):
    """Detection probabilities of one test at one sample size, at both levels."""

    test: str
    error: str
    draws: int
    repetitions: int
    detected: tuple[float, float]


# The temperature and the power of w in the right law, and what is wrong in the others.
RIGHT = (TEMPERATURE, -0.5)
ERRORS = {
    "temperature + 5%": (1.05 * TEMPERATURE, -0.5),
    "power -0.4, not -0.5": (TEMPERATURE, -0.4),
}


def exact_draws(n: int, temperature: float, power: float, rng: np.random.Generator) -> np.ndarray:
    """Draws of w^power exp(-(w - 1)^2 / 2T) on w > 0, by rejection in x = sqrt(w) on (0, 2): the
    density there is x^(2 power + 1) exp(-(x^2 - 1)^2 / 2T), and mass 1e-19 lies beyond."""
    rise = 2.0 * power + 1.0
    parts, have = [], 0
    while have < n:
        x = rng.uniform(0.0, 2.0, size=6 * n)
        accept = (x / 2.0) ** rise * np.exp(-((x**2 - 1.0) ** 2) / (2.0 * temperature))
        parts.append(x[rng.uniform(size=x.size) < accept] ** 2)
        have += parts[-1].size
    return np.concatenate(parts)[:n]


def _tests(law: Any) -> dict[str, tuple[Callable[..., float], tuple[int, ...]]]:
    """Each test as `(draws, fresh, rng) -> p`; `fresh(n)` gives draws of the law."""
    import jax

    from gaugebias.verdicts import compare

    def key(rng: np.random.Generator) -> Any:
        return jax.random.key(int(rng.integers(2**31)))

    def by_name(*names: str) -> Callable[..., float]:
        def one(x: np.ndarray, fresh: Callable, rng: np.random.Generator) -> float:
            row = compare(x, law, key=key(rng), tests=names)[0]
            return min(test.p_value for test in row.tests.values())

        return one

    def score(name: str) -> Callable[..., float]:
        statistic = law.statistic(name)
        mean, variance = law.expectation(statistic)

        def one(x: np.ndarray, fresh: Callable, rng: np.random.Generator) -> float:
            return stats.mean_test(np.asarray(statistic(x)), mean, variance).p_value

        return one

    def pair(fn: Callable) -> Callable[..., float]:
        def one(x: np.ndarray, fresh: Callable, rng: np.random.Generator) -> float:
            return fn(x, fresh(len(x)), key(rng), permutations=199).p_value

        return one

    def two_sample(x: np.ndarray, fresh: Callable, rng: np.random.Generator) -> float:
        return stats.kolmogorov_smirnov_two_sample(x, fresh(len(x))).p_value

    def rank(x: np.ndarray, fresh: Callable, rng: np.random.Generator) -> float:
        return stats.rank_test(x, fresh(19 * len(x)).reshape(len(x), 19), key(rng)).p_value

    def virial(x: np.ndarray, fresh: Callable, rng: np.random.Generator) -> float:
        # theta . grad L = 2 w l'(w) on w = uv, and rank P = 1.
        return gb.verdicts.virial_test(2.0 * x * (x - 1.0), TEMPERATURE).p_value

    return {
        "ks": (lambda x, fresh, rng: stats.kolmogorov_smirnov(x, law.cdf).p_value, CHEAP),
        "score: temperature": (score("temperature"), CHEAP),
        "score: exponent": (score("exponent"), CHEAP),
        "ks two-sample": (two_sample, CHEAP),
        "virial": (virial, CHEAP),
        "rank": (rank, CHEAP[:5]),
        "energy": (pair(stats.energy_distance), COSTLY),
        "mmd": (pair(stats.maximum_mean_discrepancy), COSTLY),
        "stein": (by_name("stein"), COSTLY),
    }


def power_rows(repetitions: int, largest: int = 30_000) -> Iterator[Power]:
    """Every test against both errors; draws of the wrong law are tested against the right one."""
    _, _, law = product_model()
    for error, wrong in ERRORS.items():
        for test, (one, sizes) in _tests(law).items():
            for n in sizes:
                if n > largest:
                    continue
                rng = np.random.default_rng(n)
                # Time grows as the square, so these are repeated less often.
                times = repetitions if sizes is not COSTLY else max(40, repetitions // 4)

                def fresh(k: int, rng: np.random.Generator = rng) -> np.ndarray:
                    return exact_draws(k, *RIGHT, rng)

                p = np.asarray([one(exact_draws(n, *wrong, rng), fresh, rng) for _ in range(times)])
                low, far = (float(np.mean(p <= level)) for level in LEVELS)
                yield Power(test, error, n, times, (low, far))
