from typing import ClassVar

import equinox as eqx


class TestResult(eqx.Module):
    """The outcome of one statistical test.

    `statistic` is the test's own number (a Kolmogorov-Smirnov distance, a z-score, an energy
    distance), `p_value` is two-sided and lies in [0, 1], `n` is the number of independent draws
    that entered (for two samples of sizes n and m the effective number n m / (n + m), rounded).
    `detail` is one clause for a report, `location` the point where the difference is largest
    (None for tests without one). `least` is the smallest p-value that the test can give with so
    many draws, whatever they are; 0 where there is no such limit.
    """

    # The name begins with "Test": without this pytest takes the class for a test case.
    __test__: ClassVar[bool] = False

    statistic: float
    p_value: float
    n: int
    detail: str = eqx.field(default="", static=True)
    location: float | None = None
    least: float = 0.0


class DistanceInterval(eqx.Module):
    """A distance with a confidence interval: `value`, `lower`, `upper` in the units of the
    samples, at confidence `level`; `n` is the number of draws (effective, for two samples)."""

    value: float
    lower: float
    upper: float
    level: float
    n: int
