import math

from ._checks import as_level


def _critical(n: int | float, level: float) -> float:
    from scipy.stats import kstwo

    if not (math.isfinite(n) and n >= 1):
        raise ValueError(f"`n` must be at least 1, not {n}.")
    return float(kstwo.isf(as_level(level, "level"), round(n)))


def ks_power(n: int | float, distance: int | float, level: float = 1e-6) -> float:
    """A rigorous lower bound on the power of the Kolmogorov-Smirnov test.

    If the draws follow F with sup |F - F_0| = `distance`, the test of F_0 at `level` with n draws
    rejects with at least this probability. The critical distance c is exact; at the point of the
    largest difference F_n falls short of it by more than `distance` - c with probability at most
    exp(-2 n (distance - c)^2) (Hoeffding at one point: Massart's one-sided
    Dvoretzky-Kiefer-Wolfowitz bound). It says 0 where `distance` <= c.

    **Arguments:** `n`: number of draws; for two samples of sizes n and m pass n m / (n + m).
    `distance`: in (0, 1]. `level`: the test's level.

    **Raises:** `ValueError` for a number out of its range.
    """
    if not 0.0 < distance <= 1.0:
        raise ValueError(f"`distance` must lie in (0, 1], not {distance}.")
    margin = distance - _critical(n, level)
    return 0.0 if margin <= 0.0 else -math.expm1(-2.0 * n * margin**2)


def ks_detectable(n: int | float, level: float = 1e-6, power: float = 0.9) -> float:
    """The Kolmogorov-Smirnov distance that n draws are sure to see: every law at least this far
    away is rejected at `level` with probability at least `power` (the inverse of `ks_power`, so
    rigorous; capped at 1).

    **Arguments:** `n`: number of draws; for two samples of sizes n and m pass n m / (n + m).

    **Raises:** `ValueError` for a number out of its range.

    ```python
    from gaugebias.stats import ks_detectable, ks_power
    distance = ks_detectable(4096, level=1e-6, power=0.9)
    assert abs(ks_power(4096, distance, level=1e-6) - 0.9) < 1e-9
    ```
    """
    missed = 1.0 - as_level(power, "power")
    return min(1.0, _critical(n, level) + math.sqrt(-math.log(missed) / (2.0 * n)))
