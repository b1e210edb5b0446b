"""Tables of densities: known integrals, distribution functions, and what cannot be integrated."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import special

from gaugebias.laws import DensityLaw, NotNormalisable
from gaugebias.quotient import Domain

LINE = Domain.line()


def law(weight, domain=LINE, **kwargs):
    return DensityLaw(lambda x, _: weight(x), domain, **kwargs)


@pytest.mark.parametrize(
    "weight, domain, log_integral",
    [
        (lambda x: -0.5 * x**2, LINE, 0.5 * np.log(2 * np.pi)),
        (
            lambda x: -0.5 * x**2 - 0.5 * jnp.log(jnp.abs(x)),
            LINE,
            np.log(2 ** (0.25) * special.gamma(0.25)),
        ),
        (
            lambda x: -0.5 * x**2 - 0.9 * jnp.log(jnp.abs(x)),
            LINE,
            0.05 * np.log(2.0) + special.gammaln(0.05),
        ),
        (lambda x: -0.5e4 * (x - 50.0) ** 2, LINE, 0.5 * np.log(2e-4 * np.pi)),
        (lambda x: -jnp.log1p(x**2), LINE, np.log(np.pi)),
        (
            lambda x: -0.5 * jnp.log(x - 1.0) - 0.5 * jnp.log(2.0 - x),
            Domain.line(1.0, 2.0),
            np.log(np.pi),
        ),
        (lambda x: -0.5 * jnp.log(x) - x, Domain.line(0.0), 0.5 * np.log(np.pi)),
    ],
    ids=["normal", "root", "nearly-divergent", "narrow", "heavy-tail", "arcsine", "gamma"],
)
def test_known_integrals_to_1e_9(weight, domain, log_integral):
    assert law(weight, domain).log_normaliser() == pytest.approx(log_integral, abs=1e-9)


def test_two_modes_on_both_sides_of_a_singular_stratum():
    x = law(lambda w: -((w**2 - 1.0) ** 2) / 4e-3 - 0.5 * jnp.log(jnp.abs(w)))
    with mpmath.workdps(20):
        half = mpmath.quad(
            lambda y: 2 * mpmath.exp(-((y**4 - 1) ** 2) / mpmath.mpf("0.004")),
            [0, 0.8, 0.9, 1, 1.1, 1.2],
        )
    assert x.log_normaliser() == pytest.approx(float(mpmath.log(2 * half)), abs=1e-9)
    assert float(x.cdf(0.0)) == pytest.approx(0.5, abs=1e-12)


def test_cdf_and_quantile_are_inverse_and_right():
    x = law(lambda w: -0.5 * w**2)
    points = np.linspace(-5.0, 5.0, 101)
    np.testing.assert_allclose(x.cdf(points), special.ndtr(points), atol=1e-12)
    p = np.linspace(1e-6, 1 - 1e-6, 501)
    np.testing.assert_allclose(x.cdf(x.quantile(p)), p, atol=1e-12)
    np.testing.assert_allclose(x.quantile(p), special.ndtri(p), atol=1e-8)
    root = law(lambda w: -0.5 * jnp.log(w), Domain.line(0.0, 4.0))
    np.testing.assert_allclose(
        root.cdf(np.array([0.0, 1e-30, 1.0, 4.0])), [0, 5e-16, 0.5, 1], atol=1e-12
    )
    np.testing.assert_allclose(root.quantile(p), 4 * p**2, rtol=1e-9)


def test_moments_and_marginals_of_one_coordinate():
    x = law(lambda w: -0.5 * w**2)
    mean, variance = x.expectation(lambda w: jnp.stack([w, w**2]))
    np.testing.assert_allclose(mean, [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(variance, [1.0, 2.0], atol=1e-11)
    square = x.marginal(lambda w: w**2)
    levels = np.linspace(0.0, 12.0, 200)
    np.testing.assert_allclose(square.cdf(levels), special.gammainc(0.5, levels / 2), atol=2e-5)
    np.testing.assert_allclose(square.moments(), [1.0, 2.0], rtol=1e-3)
    assert float(square.quantile(0.5)) == pytest.approx(0.454936, abs=1e-4)


@pytest.mark.parametrize(
    "weight, domain, words",
    [
        (lambda w: -jnp.log(jnp.abs(w)) - w**2, LINE, r"x = 0 .*\|x - b\|\^-1 "),
        (lambda w: -0.5 * jnp.log(jnp.abs(w)), LINE, "infinity"),
        (lambda w: 0.0 * w, LINE, "infinity"),
        (lambda w: -jnp.log(1.0 - w), Domain.line(0.0, 1.0), r"x = 1 \(from below\)"),
    ],
    ids=["stratum", "tail", "flat", "end"],
)
def test_divergent_densities_are_refused_saying_where(weight, domain, words):
    with pytest.raises(NotNormalisable, match=words) as error:
        law(weight, domain).log_normaliser()
    assert error.value.alternatives and not error.value.conditions[-1].holds


def test_a_restricted_domain_is_normalisable():
    x = law(lambda w: -jnp.log(w) - 5 * (w - 1.0) ** 2, Domain.line(lower=0.1))
    with mpmath.workdps(20):
        integral = mpmath.quad(lambda w: mpmath.exp(-5 * (w - 1) ** 2) / w, [0.1, 0.5, 1, 2, 6])
    assert x.log_normaliser() == pytest.approx(float(mpmath.log(integral)), abs=1e-9)
    assert float(x.log_density(0.05)) == -np.inf
    assert np.isnan(float(x.log_density(np.nan)))


def test_nan_and_unlisted_singularities_are_errors():
    with pytest.raises(ValueError, match="`domain`.*NaN"):
        law(lambda w: jnp.log(w) - w**2).log_normaliser()
    with pytest.raises(ValueError, match="temperature"):
        law(lambda w: -(w**2), temperature=-1.0)
    with pytest.raises(ValueError, match="temperature"):
        law(lambda w: -(w**2), temperature=jnp.nan)


def vandermonde(x):
    m = x.shape[0]
    return sum(jnp.log(jnp.abs(x[i] - x[j])) for i in range(m) for j in range(i + 1, m))


def ordered(m, low):
    return Domain(np.full(m, low), np.full(m, np.inf), ordered=True)


@pytest.mark.parametrize("m, tolerance", [(2, 1e-9), (3, 2e-5)])
def test_mehta_and_selberg_integrals(m, tolerance):
    gaussian = law(lambda x: -0.5 * jnp.sum(x**2) + vandermonde(x), ordered(m, -np.inf))
    j = np.arange(1, m + 1)
    mehta = m / 2 * np.log(2 * np.pi) + np.sum(special.gammaln(1 + j / 2) - special.gammaln(1.5))
    expected = mehta - special.gammaln(m + 1)
    assert gaussian.log_normaliser() == pytest.approx(expected, abs=tolerance)
    wishart = law(
        lambda x: -0.5 * jnp.sum(x) - 0.5 * jnp.sum(jnp.log(x)) + vandermonde(x), ordered(m, 0.0)
    )
    i = np.arange(m)
    terms = special.gammaln(0.5 + i / 2) + special.gammaln(1 + (i + 1) / 2) - special.gammaln(1.5)
    selberg = np.sum(terms) - special.gammaln(m + 1) + np.log(2) * (m / 2 + m * (m - 1) / 2)
    assert wishart.log_normaliser() == pytest.approx(selberg, abs=tolerance)


def test_two_coordinates_with_a_singular_cross():
    def one(w, at):
        return -0.5 * (w - 1.0) ** 2 / at - 0.5 * jnp.log(jnp.abs(w))

    single = DensityLaw(one, LINE, 0.1)
    both = DensityLaw(
        lambda w, at: jnp.sum(one(w, at)), Domain(np.full(2, -np.inf), np.full(2, np.inf)), 0.1
    )
    assert both.log_normaliser() == pytest.approx(2 * single.log_normaliser(), abs=1e-8)
    points = np.linspace(-1.0, 2.5, 200)
    np.testing.assert_allclose(
        both.marginal(lambda w: w[1]).cdf(points), single.cdf(points), atol=1e-4
    )
    mean, _ = both.expectation(lambda w: w)
    np.testing.assert_allclose(mean, np.full(2, single.expectation(lambda w: w)[0]), atol=1e-8)
    with pytest.raises(ValueError, match="marginal"):
        both.cdf(points)


def test_a_corner_that_cannot_be_integrated_is_refused():
    quadrant = Domain(np.zeros(2), np.full(2, np.inf))
    fine = law(lambda w: -0.9 * jnp.log(jnp.sum(w**2)) - jnp.sum(w), quadrant)
    assert np.isfinite(fine.log_normaliser())
    with pytest.raises(NotNormalisable, match="corner"):
        law(lambda w: -1.1 * jnp.log(jnp.sum(w**2)) - jnp.sum(w), quadrant).log_normaliser()


def test_inside_jit_with_closed_over_and_with_traced_temperature():
    x = DensityLaw(lambda w, at: -0.5 * w**2 / at, LINE, 0.3)
    assert x.normalised
    expected = -0.5 * 0.49 / 0.3 - 0.5 * np.log(2 * np.pi * 0.3)
    assert float(jax.jit(lambda w: x.log_density(w))(0.7)) == pytest.approx(expected, abs=1e-9)

    @jax.jit
    def traced(temperature, w):
        new = DensityLaw(lambda w, at: -0.5 * w**2 / at, LINE, temperature)
        assert not new.normalised
        return new.log_density(w), new.score(w)

    weight, score = traced(0.3, 0.7)
    assert float(weight) == pytest.approx(-0.5 * 0.49 / 0.3)
    assert float(score) == pytest.approx(-0.7 / 0.3)


def test_three_correlated_coordinates():
    """Tables of three coordinates take millions of points, each a sum over small products."""
    mix = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [3.0**-0.5] * 3])
    back = jnp.asarray(np.linalg.inv(mix))
    everywhere = Domain(np.full(3, -np.inf), np.full(3, np.inf), ((),) * 3)
    law = DensityLaw(lambda d, t: -0.5 * jnp.sum((back @ d - 0.5) ** 2) / 0.1, everywhere)
    exact = 1.5 * np.log(2 * np.pi * 0.1) + np.log(abs(np.linalg.det(mix)))
    assert abs(law.log_normaliser() - exact) < 1e-4
    third = law.marginal(lambda d: d[2])
    assert abs(float(third.cdf(mix[2] @ np.full(3, 0.5))) - 0.5) < 1e-3


PLANE = Domain.box((-np.inf,) * 2, (np.inf,) * 2)


@pytest.mark.parametrize("rho", [0.9, -0.99])
def test_a_ridge_oblique_to_the_axes_is_followed(rho):
    """Lines through the mode see a tenth or so of its length."""
    inverse = jnp.asarray(np.linalg.inv([[1.0, rho], [rho, 1.0]]))
    x = law(lambda w: -0.5 * (w - 2.0) @ inverse @ (w - 2.0), PLANE)
    assert x.log_normaliser() == pytest.approx(np.log(2 * np.pi * np.sqrt(1 - rho**2)), abs=1e-9)
    mean, variance = x.expectation(lambda w: jnp.stack([w[0], w[0] - w[1]]))
    np.testing.assert_allclose(mean, [2.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(variance, [1.0, 2.0 - 2.0 * rho], atol=1e-8)


def test_a_ridge_that_bends_is_followed():
    """`x ~ N(0, 1)`, `y ~ N(x^2, 1)`."""
    x = law(lambda w: -0.5 * w[0] ** 2 - 0.5 * (w[1] - w[0] ** 2) ** 2, PLANE)
    assert x.log_normaliser() == pytest.approx(np.log(2 * np.pi), abs=1e-6)
    mean, variance = x.expectation(lambda w: w)
    np.testing.assert_allclose(mean, [0.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(variance, [1.0, 3.0], atol=1e-4)


def test_a_ridge_between_singular_strata():
    """The Hadamard law of a regression on two correlated features, against a grid of the roots."""
    rho, t, centre = -0.98, 0.02, np.array([1.0, 0.6])
    matrix = np.array([[1.0, rho], [rho, 1.0]])

    def weight(w):
        away = w - centre
        return -0.5 * away @ jnp.asarray(matrix) @ away / t - 0.5 * jnp.sum(jnp.log(w))

    x = law(weight, Domain.box((0.0, 0.0), (np.inf, np.inf)))
    mean, _ = x.expectation(lambda w: w)
    w = ((np.arange(2000) + 0.5) * 1.5e-3) ** 2
    away = np.stack(np.meshgrid(w, w, indexing="ij"), axis=-1) - centre
    mass = np.exp(-0.5 * np.einsum("abi,ij,abj->ab", away, matrix, away) / t)
    expected = [np.sum(mass.sum(axis=1 - a) * w) / np.sum(mass) for a in range(2)]
    np.testing.assert_allclose(mean, expected, atol=1e-6)


def test_a_ridge_too_narrow_for_a_grid_is_refused():
    inverse = jnp.asarray(np.linalg.inv([[1.0, 0.99999], [0.99999, 1.0]]))
    with pytest.raises(ValueError, match="oblique to the axes.*over the budget"):
        law(lambda w: -0.5 * (w - 40.0) @ inverse @ (w - 40.0), PLANE).log_normaliser()
