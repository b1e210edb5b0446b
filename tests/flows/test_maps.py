"""The catalogue of elementwise maps, against the closed forms of the publication."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

from .conftest import check_potential, derivatives

LINE = np.array([-4.0, -0.7, 0.01, 0.5, 3.0])
POSITIVE = np.array([0.02, 0.3, 1.0, 2.5, 7.0])
UNIT = np.array([-0.97, -0.3, 0.001, 0.5, 0.9])
# Map, points, potential as published (2308.04921), inverse.
MAPS = {
    "identity": (flows.Identity(), LINE, lambda x: x**2 / 2, lambda x: x),
    "w^3": (flows.Power(3), POSITIVE, lambda x: -0.5 * x ** (2 / 3), np.cbrt),
    "w^1.5": (flows.Power(1.5), POSITIVE, lambda x: x ** (4 / 3), lambda x: x ** (2 / 3)),
    "w^0.5": (flows.Power(0.5), POSITIVE, lambda x: x**4 / 3, lambda x: x**2),
    "w^2": (flows.Power(2), POSITIVE, lambda x: (x * np.log(x) - x) / 4, np.sqrt),
    "exp": (flows.Exponential(), POSITIVE, lambda x: -np.log(x), np.log),
    "sinh": (flows.Sinh(), LINE, lambda x: x * np.arctan(x) - np.log1p(x**2) / 2, np.arcsinh),
    "tan": (flows.Tan(), LINE, lambda x: x * np.arctan(x) / 2, np.arctan),
    "sin": (flows.Sine(), UNIT, lambda x: x * np.arctanh(x) + np.log1p(-(x**2)) / 2, np.arcsin),
    "tanh": (flows.Tanh(), UNIT, lambda x: x * np.arctanh(x) / 2, np.arctanh),
    "arcsinh": (flows.Arcsinh(), LINE, lambda x: x**2 / 4 + np.cosh(2 * x) / 8, np.sinh),
}


@pytest.mark.parametrize("name", MAPS)
def test_closed_forms(name):
    rho, x, published, inverse = MAPS[name]
    potential = rho.potential()
    check_potential(potential, jnp.asarray(x))
    w = inverse(x)
    np.testing.assert_allclose(potential.terms(x), published(x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(rho(w), x, rtol=1e-12)
    np.testing.assert_allclose(rho.lift(x), w, rtol=1e-12)
    # F'' = 1/rho'^2, with rho' by differences.
    h = 1e-5 * np.maximum(np.abs(w), 1.0) * (0.1 if name == "w^0.5" else 1.0)
    slope = (np.asarray(rho(w + h)) - np.asarray(rho(w - h))) / (2 * h)
    bend = derivatives(potential, jnp.asarray(x))[1]
    np.testing.assert_allclose(bend, slope**-2, rtol=1e-3)
    np.testing.assert_allclose(rho.gram(w) * bend, 1.0, rtol=1e-10)


def test_bregman_divergences():
    x, z = jnp.array([0.5, 2.0]), jnp.array([1.5, 0.3])
    kl = jnp.sum(z * jnp.log(z / x) - z + x)
    np.testing.assert_allclose(flows.Power(2).potential().bregman(z, x), kl / 4, rtol=1e-13)
    itakura = jnp.sum(z / x - jnp.log(z / x) - 1.0)
    np.testing.assert_allclose(flows.Exponential().potential().bregman(z, x), itakura, rtol=1e-13)


@pytest.mark.parametrize("rho", [*(m[0] for m in MAPS.values()), flows.Power(2.5)])
def test_dual_points_beyond_the_range_have_no_weights(rho):
    """Not those of the square of a negative number, nor of another branch."""
    potential = rho.potential()
    for end, out in zip(rho.dual_domain, (-1.0, 1.0), strict=True):
        if np.isfinite(end):
            s = jnp.asarray(end + 0.3 * out)
            assert not bool(potential.contains_dual(s))
            assert np.isnan(rho.dual_inverse(s)) and np.isnan(potential.from_dual(s))


def test_the_slope_of_an_l1_like_potential_is_bounded():
    assert flows.Tan().dual_domain[1] == pytest.approx(np.pi / 4)
    assert float(flows.Tan().potential().gradient(1e6)) == pytest.approx(np.pi / 4, abs=1e-9)
    assert not flows.Power(1.5).potential().legendre and flows.Power(3).potential().legendre


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`exponent` must be positive and not 1"):
        flows.Power(1.0)
    with pytest.raises(ValueError, match=r"`x` must lie in the open interval \(0, inf\).*entry 1"):
        flows.Power(3).lift(jnp.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="`start` must lie.*on which Tan is increasing"):
        flows.Tan().potential(jnp.array([2.0]))
