from typing import Any, Protocol


class OneDimensionalLaw(Protocol):
    """The least a target of `compare` must offer: a vectorised distribution function.

    Read where present: `quantile(u)` (Wasserstein-1), `name`, `reference`, `domain.dimension` (1
    without it), `marginal(fn)` and `sample(key, n)` (needed in several coordinates),
    `statistic(name)` with `expectation(fn) -> (mean, variance)`, `skewness(fn)` and
    `distribution(fn) -> (values, weights)` (the score tests; without the last two the third moment
    by `expectation`), `score(x)` with `domain` (the Stein test, which asks for nothing else:
    without walls in `domain` the law is taken to live on the whole space) and `log_density(x)` (its
    ranks).
    """

    def cdf(self, x: Any) -> Any:
        """P(X <= x), of the shape of `x`."""
        ...


def is_law(target: Any) -> bool:
    """Whether `target` is used as a law: it has a distribution function, marginals, draws or a
    score."""
    names = ("cdf", "marginal", "sample", "score")
    return any(callable(getattr(target, name, None)) for name in names)


def law_dimension(law: Any) -> int:
    """Number of coordinates of a law, 1 where it does not say."""
    return int(getattr(getattr(law, "domain", None), "dimension", 1))
