"""Bessel functions by integrals along the group."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import special

from gaugebias.laws import log_bessel_k
from gaugebias.laws._bessel import log_orbit_integral


@pytest.mark.parametrize("order", [0.0, 0.5, 1.0, 2.5])
def test_against_scipy(order):
    z = np.geomspace(1e-8, 1e4, 25)
    expected = np.log(special.kve(order, z)) - z
    np.testing.assert_allclose(log_bessel_k(order, z), expected, atol=1e-10, rtol=1e-12)


def test_far_beyond_the_range_of_exp():
    with mpmath.workdps(30):
        expected = [float(mpmath.log(mpmath.besselk(0, x))) for x in ("1e-25", "1e-60", "2000")]
    found = np.asarray(log_bessel_k(0.0, np.array([1e-25, 1e-60, 2000.0])))
    np.testing.assert_allclose(found[[0, 2]], np.array(expected)[[0, 2]], rtol=1e-10)
    assert found[1] == pytest.approx(expected[1], abs=1e-7)


@pytest.mark.parametrize("order", [3.0, 5.0, 50.0])
def test_high_orders_near_zero(order):
    """The peak of the integrand lies far out: `K_v(z) -> Gamma(v)/2 (2/z)^v`."""
    z = np.array([1e-25, 1e-12, 1e-8, 1e-4])
    with mpmath.workdps(30):
        expected = [float(mpmath.log(mpmath.besselk(order, x))) for x in z]
    np.testing.assert_allclose(log_bessel_k(order, z), expected, atol=1e-9, rtol=1e-12)
    np.testing.assert_allclose(log_bessel_k(-order, z), expected, atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize("rates, drift", [((2.0, -1.0), 1.0), ((0.02, -1.0), 8.0)])
def test_uneven_rates_against_quadrature(rates, drift):
    """A slow rate reaches its peak late: where the drift has carried the integrand far up."""
    a = np.array([1e-6, 0.3])
    ends = np.linspace(-20.0, 600.0, 2_000_001)
    logs = drift * ends - sum(
        x * np.exp(np.minimum(2 * r * ends, 50.0)) for x, r in zip(a, rates, strict=True)
    )
    expected = special.logsumexp(logs) + np.log(ends[1] - ends[0])
    found = log_orbit_integral(jnp.asarray(a), jnp.asarray(rates), drift)
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_derivative_is_minus_k_1_over_k_0():
    z = 0.7
    expected = -special.k1(z) / special.k0(z)
    assert float(jax.grad(lambda x: log_bessel_k(0.0, x))(z)) == pytest.approx(expected, abs=1e-9)


def test_order_must_be_a_scalar():
    with pytest.raises(ValueError, match="`order`"):
        log_bessel_k(np.array([0.0, 1.0]), 1.0)
