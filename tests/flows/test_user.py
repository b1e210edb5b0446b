"""Maps given by the user, by autodiff and quadrature."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

from .conftest import check_potential

X = jnp.array([-4.0, -0.7, 0.01, 0.5, 3.0])


def test_the_catalogue_comes_out_by_quadrature():
    own = flows.Elementwise(jnp.sinh, dual_range=(-np.pi / 2, np.pi / 2))
    check_potential(own.potential(), X)
    exact = flows.Sinh().potential()
    np.testing.assert_allclose(own.potential().terms(X), exact.terms(X), rtol=1e-11)
    np.testing.assert_allclose(own.potential().gradient(X), exact.gradient(X), rtol=1e-12)
    assert float(jnp.max(own.error(jnp.arcsinh(X)))) < 1e-11


def test_quadrature_up_to_a_singular_end():
    own = flows.Elementwise(lambda w: w**3, (0.0, np.inf), base=1.0)
    x = jnp.array([0.001, 0.5, 20.0])
    exact = flows.Power(3).potential()
    # Fixed up to a constant: the dual time is 0 at w = 1.
    slope = exact.gradient(x) - exact.gradient(1.0)
    np.testing.assert_allclose(own.potential().gradient(x), slope, rtol=1e-10, atol=1e-12)


def test_the_error_shows_where_the_rule_fails():
    # An oscillating slope, far from the base: 193 nodes do not resolve it.
    own = flows.Elementwise(lambda w: w + 0.009 * jnp.sin(100.0 * w), image=(-np.inf, np.inf))
    assert float(own.error(jnp.array(0.02))) < 1e-8
    assert float(own.error(jnp.array(40.0))) > 1e-3


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`fn` must be increasing on the branch.*SignedDifference"):
        flows.Elementwise(lambda w: w**2)
    with pytest.raises(ValueError, match="`branch` must be an interval"):
        flows.Elementwise(jnp.sinh, (1.0, 0.0))
    with pytest.raises(ValueError, match="`base` must be inside the branch"):
        flows.Elementwise(jnp.sinh, (0.0, 1.0), base=2.0)
    with pytest.raises(ValueError, match="give its range as `image`"):
        flows.Elementwise(lambda w: w + jnp.sin(0.5 * w))
