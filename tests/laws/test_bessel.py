"""Bessel functions by integrals along the group."""

import jax
import mpmath
import numpy as np
import pytest
from scipy import special

from gaugebias.laws import log_bessel_k


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


def test_derivative_is_minus_k_1_over_k_0():
    z = 0.7
    expected = -special.k1(z) / special.k0(z)
    assert float(jax.grad(lambda x: log_bessel_k(0.0, x))(z)) == pytest.approx(expected, abs=1e-9)


def test_order_must_be_a_scalar():
    with pytest.raises(ValueError, match="`order`"):
        log_bessel_k(np.array([0.0, 1.0]), 1.0)
