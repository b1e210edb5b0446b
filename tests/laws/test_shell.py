"""The exact shell density of `w = uv`, against integrals in the plane of (u, v)."""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from scipy import integrate, special

from gaugebias.laws import DensityLaw, log_bessel_k, shell
from gaugebias.laws._shell import log_shell_volume
from gaugebias.quotient import Domain

T, RIDGE, EPS = 0.1, 0.2, 0.02


def potential(w):
    return 0.5 * (w - 1.0) ** 2


def test_the_jacobian_of_product_and_moment_map():
    u, v = sympy.symbols("u v", real=True)
    w, chi = u * v, (u**2 - v**2) / 2
    jacobian = sympy.Matrix([w, chi]).jacobian([u, v]).det()
    assert sympy.simplify(jacobian + (u**2 + v**2)) == 0
    assert sympy.simplify((u**2 + v**2) ** 2 - 4 * (w**2 + chi**2)) == 0


def test_density_against_direct_integration():
    law = shell(potential, T, RIDGE, EPS)

    def direct(w):
        def integrand(c):
            root = np.sqrt(w * w + c * c)
            return np.exp(-RIDGE * root / T) / root

        value, _ = integrate.quad(integrand, 0.0, EPS, epsabs=1e-14, epsrel=1e-12)
        return np.log(value) - potential(w) / T

    w = np.array([-0.4, -1e-3, 1e-2, 0.6, 1.5])
    off = np.asarray(law.log_density(w)) - [direct(x) for x in w]
    np.testing.assert_allclose(off, -law.log_normaliser(), atol=1e-9)


def test_limits_of_thin_and_thick_shells():
    w = np.array([0.2, 0.7, 1.4])
    thin = shell(potential, T, RIDGE, 1e-7, domain=Domain.line(lower=0.1))
    limit = DensityLaw(
        lambda x, at: -(potential(x) + RIDGE * x) / at - jnp.log(x), Domain.line(lower=0.1), T
    )
    np.testing.assert_allclose(thin.log_density(w), limit.log_density(w), atol=1e-9)
    thick = shell(potential, T, RIDGE, 100.0)
    bessel = DensityLaw(
        lambda x, at: -potential(x) / at + log_bessel_k(0.0, RIDGE * jnp.abs(x) / at),
        Domain.line(),
        T,
    )
    np.testing.assert_allclose(thick.log_density(w), bessel.log_density(w), atol=1e-7)


@pytest.mark.parametrize("decay, half_width", [(1e3, 1e4), (1e5, 30.0), (1.0, 1e-3), (0.0, 2.0)])
def test_narrow_peaks_in_wide_shells(decay, half_width):
    """Far less than the shell decides where the decay is strong: `K_0` to rounding."""
    w = np.array([0.1, 1.0, 30.0])
    at = jnp.asarray(decay), jnp.asarray(half_width)
    found = [float(log_shell_volume(jnp.asarray(x), *at)) for x in w]
    if decay >= 1e3:
        expected = np.log(special.kve(0, decay * w)) - decay * w
    else:
        expected = [
            np.log(
                integrate.quad(
                    lambda c, x=x: np.exp(-decay * np.hypot(x, c)) / np.hypot(x, c),
                    0.0,
                    half_width,
                    epsabs=0.0,
                    epsrel=1e-12,
                )[0]
            )
            for x in w
        ]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("name, value", [("half_width", 0.0), ("ridge", -1.0), ("temperature", 0)])
def test_bad_values(name, value):
    values = {"temperature": T, "ridge": RIDGE, "half_width": EPS} | {name: value}
    with pytest.raises(ValueError, match=f"`{name}`"):
        shell(potential, values["temperature"], values["ridge"], values["half_width"])
