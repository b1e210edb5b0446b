"""The stationary law of a diagonal linear network, against its printed formula and quadrature."""

from typing import Any

import jax
import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from gaugebias.laws import LawRefused, NotNormalisable, RegressionMoments, diagonal_linear

MOMENTS = RegressionMoments(2.3, 1.1, 1.9, 1.05, 0.6)
TAU = 0.1


def printed(v, depth, width, scale=1.0, moments=MOMENTS, tau=TAU):
    """Log of the density of 2308.06671, Thm 4.2, from v_0 = 1, at the precision of mpmath."""
    m, n = moments, depth + 1

    def g(s):
        return m.a1 * s**2 - 2 * m.a2 * s + m.a3

    def inner(s):
        power = mpmath.mpf(width) ** (1 - mpmath.mpf(2) / n)
        return power * (m.b1 * s - m.b2) / (n * s ** (mpmath.mpf(2 * depth) / n) * g(s))

    integral: Any = mpmath.quad(inner, [1, v])
    energy = integral / (tau * scale)
    return float(-3 * (1 - mpmath.mpf(1) / n) * mpmath.log(v) - mpmath.log(g(v)) - energy)


@pytest.mark.parametrize(
    "depth, width, scale", [(0, 3, 1.0), (1, 1, 1.0), (1, 4, 0.5), (2, 3, 1.0)]
)
def test_the_printed_formula(depth, width, scale):
    points = np.array([0.05, 0.3, 0.8, 2.0])
    law = diagonal_linear(MOMENTS, 4 * TAU, 4, depth=depth, width=width, scale=scale)
    found = np.asarray(law.log_density(points))
    expected = np.array([printed(v, depth, width, scale) for v in points])
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-9)
    assert law.domain.lower[0] == (-np.inf if depth == 0 else 0.0)


def test_one_hidden_layer_is_elementary_and_its_mass_is_one():
    """`int (b1 s - b2)/(s g) ds` by partial fractions: logarithms and an arc tangent."""
    m = MOMENTS
    left, slope = -m.b2 / m.a3, m.b2 * m.a1 / m.a3
    rest, root = m.b1 - 2 * m.a2 * m.b2 / m.a3, np.sqrt(m.a1 * m.a3 - m.a2**2)

    def density(v):
        g = m.a1 * v**2 - 2 * m.a2 * v + m.a3
        turn = (rest + slope * m.a2 / m.a1) / root * np.arctan((m.a1 * v - m.a2) / root)
        energy = left * np.log(v) + slope / (2 * m.a1) * np.log(g) + turn
        return v**-1.5 / g * np.exp(-energy / (2 * TAU))

    mass = quad(lambda t: density(np.exp(t)) * np.exp(t), -25.0, 15.0, limit=200, epsabs=0)[0]
    law = diagonal_linear(MOMENTS, TAU, depth=1)
    v = np.array([0.01, 0.2, 0.5, 3.0])
    np.testing.assert_allclose(law.log_density(v), np.log(density(v) / mass), atol=1e-8)
    below = quad(lambda t: density(np.exp(t)) * np.exp(t), -25.0, np.log(0.5), epsabs=0)[0]
    assert float(law.cdf(0.5)) == pytest.approx(below / mass, abs=1e-9)


def test_without_hidden_layers_it_is_a_pearson_law_on_the_line():
    law = diagonal_linear(MOMENTS, TAU, depth=0, width=2)
    m = MOMENTS
    # (log p)' = -g'/g - (b1 v - b2)/(2 tau g)
    v = np.array([-1.0, 0.2, 3.0])
    g = m.a1 * v**2 - 2 * m.a2 * v + m.a3
    expected = -(2 * m.a1 * v - 2 * m.a2) / g - (m.b1 * v - m.b2) / (2 * TAU * g)
    np.testing.assert_allclose(law.score(v), expected, rtol=1e-9)
    far = np.array([1e6, 1e7])
    slope = np.diff(np.asarray(law.log_density(far))) / np.log(10.0)
    assert slope[0] == pytest.approx(-2 - m.b1 / (2 * TAU * m.a1), abs=1e-4)


def test_one_hidden_layer_collapses_at_the_critical_point():
    critical = MOMENTS.b2 / MOMENTS.a3
    with pytest.raises(NotNormalisable, match=rf"= {critical:.6g}, and the mass collapses"):
        diagonal_linear(MOMENTS, critical, depth=1, width=5)
    near = diagonal_linear(MOMENTS, 0.95 * critical, depth=1)
    v = np.array([1e-9, 1e-8])
    slope = np.diff(np.asarray(near.log_density(v))) / np.log(10.0)
    assert slope[0] == pytest.approx(-1.5 + 0.5 / 0.95, abs=1e-5)
    # with 1/2 (v x - y)^2 the noise is smaller, and so is the pull: twice the critical point
    diagonal_linear(MOMENTS, 1.9 * critical, depth=1, scale=0.5)
    with pytest.raises(NotNormalisable):
        diagonal_linear(MOMENTS, 2.1 * critical, depth=1, scale=0.5)


@pytest.mark.parametrize("depth", [0, 2, 3])
def test_other_depths_have_no_critical_point(depth):
    law = diagonal_linear(MOMENTS, 20.0, depth=depth)
    assert np.isfinite(law.log_normaliser())


def test_against_descent_to_zero_there_is_collapse_from_one_hidden_layer_on():
    down = RegressionMoments(2.3, -1.1, 1.9, 1.05, -0.6)
    for depth in (1, 2):
        with pytest.raises(NotNormalisable, match="give `\\(x, -y\\)`"):
            diagonal_linear(down, TAU, depth=depth)
    mirrored = diagonal_linear(down, TAU, depth=0)
    np.testing.assert_allclose(
        mirrored.log_density(-0.4),
        diagonal_linear(MOMENTS, TAU, depth=0).log_density(0.4),
        atol=1e-10,
    )
    with pytest.raises(NotNormalisable, match="v = 0"):
        diagonal_linear(RegressionMoments(2.3, 0.0, 1.9, 1.05, 0.0), TAU, depth=2)


def test_moments():
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    x, e = 1.5 * nodes[:, None], 0.7 * nodes[None, :]
    w = np.outer(weights, weights) / np.sum(weights) ** 2
    y = 0.4 * x + e

    def mean(v):
        return float(np.sum(w * v))

    square, cross = x**2 + 0 * e, x * y
    exact = RegressionMoments(
        mean(square**2) - mean(square) ** 2,
        mean(square * cross) - mean(square) * mean(cross),
        mean(cross**2) - mean(cross) ** 2,
        mean(square),
        mean(cross),
    )
    found = RegressionMoments.gaussian(0.4, 0.7, 1.5)
    for name in ("a1", "a2", "a3", "b1", "b2"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-9)
    few = RegressionMoments.of(np.array([1.0, 2.0, -1.0]), np.array([0.5, 1.0, 2.0]))
    assert few.a1 == pytest.approx(np.var([1.0, 4.0, 1.0]))
    assert few.b2 == pytest.approx((0.5 + 2.0 - 2.0) / 3)


def test_inputs_of_constant_size_have_noise_that_does_not_depend_on_v():
    """`x = +-1.1`: a normal law without hidden layers; the variance of `x^2` is no rounding."""
    x = np.array([1.1, -1.1, 1.1, 1.1, -1.1, 1.1, -1.1])
    y = np.array([0.3, 0.2, 1.0, 0.7, -0.4, 0.1, -0.9])
    m = RegressionMoments.of(x, y)
    assert m.a1 == m.a2 == 0.0 and m.a3 == pytest.approx(np.var(x * y))
    law = diagonal_linear(m, TAU, depth=0)
    v = np.array([-0.2, 0.4, 1.0])
    size = np.sqrt(TAU * m.a3 / m.b1)  # dv = -2 (b1 v - b2) dt + 2 sqrt(tau a3) dB
    np.testing.assert_allclose(law.cdf(v), norm.cdf((v - m.b2 / m.b1) / size), atol=1e-9)
    found = np.asarray(diagonal_linear(m, TAU, depth=1).log_density(v[1:]))
    expected = np.array([printed(u, 1, 1, moments=m) for u in v[1:]])
    np.testing.assert_allclose(np.diff(found), np.diff(expected), atol=1e-9)


def test_moments_are_of_the_data_in_double_precision():
    x = 1.0 + 1e-3 * np.arange(5.0)
    with jax.enable_x64(False):
        m = RegressionMoments.of(x, x**2)
    assert m.a1 == pytest.approx(np.var(x**2), rel=1e-12)


def test_moments_of_a_heavy_tail():
    """`E v^2` from the stationarity of `v^2`; infinite from `tau a1 = b1` on."""
    m = MOMENTS
    tau = 0.4 * m.b1 / m.a1
    mean = m.b2 / m.b1
    second = (m.b2 * mean + tau * (m.a3 - 2 * m.a2 * mean)) / (m.b1 - tau * m.a1)
    found = diagonal_linear(m, tau, depth=0).expectation(lambda v: v)
    assert float(found[0]) == pytest.approx(mean, rel=1e-6)
    assert float(found[1]) == pytest.approx(second - mean**2, rel=1e-5)
    found = diagonal_linear(m, 2.0 * m.b1 / m.a1, depth=0).expectation(lambda v: v)
    assert float(found[0]) == pytest.approx(mean, rel=1e-3) and found[1] == np.inf
    with pytest.raises(ValueError, match="`fn` has no mean under the diagonal-linear law that"):
        diagonal_linear(m, 1e4, depth=0).expectation(lambda v: v)


def test_what_is_refused():
    with pytest.raises(LawRefused, match="fitted at w = 0.7, where gradients and noise vanish"):
        x = np.array([1.0, 2.0, -0.5])
        diagonal_linear(RegressionMoments.of(x, 0.7 * x), TAU)
    with pytest.raises(ValueError, match="`a2` is 3, which no data have"):
        RegressionMoments(1.0, 3.0, 1.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="`a3` is -1, which no data have"):
        RegressionMoments(1.0, 0.0, -1.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="`b2` must be finite"):
        RegressionMoments(1.0, 0.0, 1.0, 1.0, float("nan"))
    with pytest.raises(ValueError, match="shape \\(n,\\)"):
        RegressionMoments.of(np.ones((3, 1)), np.ones((3, 1)))
    with pytest.raises(LawRefused, match="there is no noise"):
        diagonal_linear(RegressionMoments(0.0, 0.0, 0.0, 1.0, 0.5), TAU)
    with pytest.raises(LawRefused, match="agree at w = 0, so that noise vanishes"):
        diagonal_linear(RegressionMoments(1.0, 0.0, 0.0, 1.0, 0.5), TAU, depth=0)
    with pytest.raises(LawRefused, match="fitted at w = 3e\\+08"):
        x = np.array([1.0, 2.0, -0.5])
        diagonal_linear(RegressionMoments.of(x, 3e8 * x), 1e-8 * TAU)
    with pytest.raises(ValueError, match="`depth` must be at least 0"):
        diagonal_linear(MOMENTS, TAU, depth=-1)
    with pytest.raises(ValueError, match="`learning_rate`"):
        diagonal_linear(MOMENTS, 0.0)
