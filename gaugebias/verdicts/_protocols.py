from typing import Any, Protocol


class OneDimensionalLaw(Protocol):
    """The least a target of `compare` must offer: a vectorised distribution function.

    Read where present: `quantile(u)` (Wasserstein-1), `name`, `reference`, `domain.dimension` (1
    without it), `marginal(fn)` and `sample(key, n)` (needed in several coordinates), and
    `statistic(name)` with `expectation(fn) -> (mean, variance)` (the score tests).
    """

    def cdf(self, x: Any) -> Any:
        """P(X <= x), of the shape of `x`."""
        ...


def is_law(target: Any) -> bool:
    """Whether `target` is used as a law: it has a distribution function, marginals or draws."""
    return any(callable(getattr(target, name, None)) for name in ("cdf", "marginal", "sample"))


def law_dimension(law: Any) -> int:
    """Number of coordinates of a law, 1 where it does not say."""
    return int(getattr(getattr(law, "domain", None), "dimension", 1))
