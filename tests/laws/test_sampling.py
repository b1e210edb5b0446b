"""Samplers against distribution functions.

Every Kolmogorov-Smirnov test here uses a fixed seed and the critical value of level 1e-4 (2.23 for
sqrt(n) D), so that a correct sampler would fail one with probability 1e-4 at another seed; each has
a sibling with a wrong law that must be rejected.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from gaugebias.laws import DensityLaw, sample_nuts, spectral
from gaugebias.quotient import Domain

CRITICAL = 2.23


def distance(values, cdf):
    """sqrt(n) times the Kolmogorov-Smirnov distance."""
    u = np.sort(np.asarray(cdf(np.asarray(values))))
    n = len(u)
    steps = np.arange(n + 1) / n
    return np.sqrt(n) * max(np.max(steps[1:] - u), np.max(u - steps[:-1]))


def root_law(exponent):
    return DensityLaw(
        lambda w, at: -0.5 * (w - 1.0) ** 2 / at + exponent * jnp.log(jnp.abs(w)),
        Domain.line(),
        0.1,
    )


def test_one_coordinate(getkey):
    draws = root_law(-0.5).sample(getkey(), 20_000)
    assert draws.shape == (20_000,)
    assert distance(draws, root_law(-0.5).cdf) < CRITICAL
    assert distance(draws, root_law(-0.4).cdf) > CRITICAL


def spectrum(beta):
    def weight(x, _):
        return -0.5 * jnp.sum(x) - 0.5 * jnp.sum(jnp.log(x)) + beta * jnp.log(x[0] - x[1])

    return DensityLaw(weight, Domain(np.zeros(2), np.full(2, np.inf), ordered=True))


def test_two_ordered_coordinates(getkey):
    draws = spectrum(1.0).sample(getkey(), 10_000)
    assert draws.shape == (10_000, 2) and bool(jnp.all(draws[:, 0] > draws[:, 1]))
    for fn in (lambda x: x[0], lambda x: x[1], lambda x: x[0] - x[1]):
        values = jax.vmap(fn)(draws)
        assert distance(values, spectrum(1.0).marginal(fn).cdf) < CRITICAL
    gap = jax.vmap(lambda x: x[0] - x[1])(draws)
    assert distance(gap, spectrum(0.8).marginal(lambda x: x[0] - x[1]).cdf) > CRITICAL


def test_three_coordinates(getkey):
    law = DensityLaw(
        lambda x, _: -0.5 * jnp.sum((x - 0.5) ** 2) / 0.2 - 0.5 * x[0] * x[1],
        Domain(np.array([-np.inf, 0.0, 0.0]), np.array([np.inf, np.inf, 1.0])),
    )
    draws = law.sample(getkey(), 5_000)
    for fn in (lambda x: x[0], lambda x: x[2], lambda x: x[0] * x[1]):
        marginal = law.marginal(fn)
        assert distance(jax.vmap(fn)(draws), marginal.cdf) < CRITICAL
    independent = special.ndtr
    assert distance((draws[:, 0] - 0.5) / np.sqrt(0.2), independent) > CRITICAL


def test_nuts_above_three_dimensions(getkey):
    law = DensityLaw(
        lambda w, _: jnp.sum(-0.5 * jnp.log(w) - w), Domain(np.zeros(4), np.full(4, np.inf))
    )
    draws = law.sample(getkey(), 1_000)
    assert draws.shape == (1_000, 4)
    pooled = np.asarray(draws).ravel()
    for column in np.asarray(draws).T:
        assert distance(column, lambda x: special.gammainc(0.5, x)) < CRITICAL
    assert distance(pooled, lambda x: special.gammainc(0.65, x)) > CRITICAL


def test_nuts_says_what_it_cannot_do(getkey):
    law = DensityLaw(
        lambda w, _: -jnp.sum(w**2),
        Domain(np.full(4, -np.inf), np.full(4, np.inf), ((0.0,), (), (), ())),
    )
    with pytest.raises(ValueError, match="`domain`.*break 0 inside coordinate 0"):
        law.sample(getkey(), 10)
    positive = DensityLaw(lambda w, _: -jnp.sum(w), Domain(np.zeros(4), np.ones(4)))
    with pytest.raises(ValueError, match="`start`"):
        sample_nuts(positive, getkey(), 10, start=-jnp.ones(4))
    with pytest.raises(ValueError, match="at most 3"):
        positive.log_normaliser()


def test_spectra_of_random_matrices(getkey):
    """Singular values of Gaussian matrices: the law of `W` taken to its spectrum."""
    gaussian = DensityLaw(
        lambda w, at: -0.5 * jnp.sum(w**2) / at,
        Domain(np.full(6, -np.inf), np.full(6, np.inf)),
        shape=(2, 3),
    )
    law = spectral(gaussian)
    matrices = jax.random.normal(getkey(), (10_000, 2, 3))
    s = jnp.linalg.svd(matrices, compute_uv=False)
    square = DensityLaw(
        lambda w, at: -0.5 * jnp.sum(w**2) / at,
        Domain(np.full(4, -np.inf), np.full(4, np.inf)),
        shape=(2, 2),
    )
    for i in range(2):
        assert distance(s[:, i], law.marginal(lambda x, i=i: x[i]).cdf) < CRITICAL
        assert distance(s[:, i], spectral(square).marginal(lambda x, i=i: x[i]).cdf) > CRITICAL
