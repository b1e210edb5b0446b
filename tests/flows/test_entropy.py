"""The hyperbolic entropy in its three guises, and the kernel/rich family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from gaugebias import flows

from .conftest import check_potential

X = jnp.array([-4.0, -0.7, 0.01, 0.5, 3.0])


def test_psi_alpha_as_published():
    alpha = 0.4
    potential = flows.psi_alpha(alpha)
    check_potential(potential, X)
    root = np.sqrt(X**2 + 4 * alpha**4)
    published = 0.25 * (X * np.arcsinh(X / (2 * alpha**2)) - root)
    shifted = published + 0.5 * alpha**2  # without its value at 0
    np.testing.assert_allclose(potential.terms(X), shifted, rtol=1e-12)


def test_large_scale_is_the_square_without_cancellation():
    potential = flows.HyperbolicEntropy(1e8)
    expected = X**2 / (2 * 4 * 1e8)
    np.testing.assert_allclose(potential.terms(X), expected, rtol=1e-9)


@pytest.mark.parametrize("depth", [2, *(pytest.param(d, marks=pytest.mark.slow) for d in (3, 4.5))])
def test_kernel_rich_is_the_integral_of_the_inverse_of_h(depth):
    alpha = 0.7
    potential = flows.kernel_rich(depth, alpha)

    def h(z):
        if depth == 2:
            return 2 * np.sinh(z)
        k = depth / (depth - 2)
        return (1 - z) ** -k - (1 + z) ** -k

    top = 50.0 if depth == 2 else 1 - 1e-9

    def q_slope(y):
        return brentq(lambda z: h(z) - y, -top, top, xtol=1e-14)

    x = 1.3
    scale = alpha**depth
    value = scale * quad(q_slope, 0.0, x / scale, epsabs=1e-12, epsrel=1e-12)[0]
    assert float(potential.value(jnp.array([x]))) == pytest.approx(value, rel=1e-9)
    assert float(potential.gradient(jnp.array([x]))[0]) == pytest.approx(
        q_slope(x / scale), rel=1e-9
    )


@pytest.mark.slow
def test_kernel_rich_limits():
    x = jnp.array([0.3, -2.0])
    far = flows.kernel_rich(2, 100.0)
    np.testing.assert_allclose(far.value(x), jnp.sum(x**2) / (4 * 100.0**2), rtol=1e-6)
    near = flows.kernel_rich(3, 1e-6)
    ratio = near.value(jnp.array([1.0, 0.0])) / near.value(jnp.array([0.5, 0.5]))
    assert float(ratio) == pytest.approx(1.0, abs=1e-4)  # the l1 norm, polynomially in alpha


def test_decayed_entropy_is_the_potential_of_a_shrunk_start():
    rng = np.random.default_rng(0)
    m, w = rng.uniform(0.5, 1, 4), rng.uniform(-0.4, 0.4, 4)
    decay = 0.3
    found = flows.decayed_entropy((m, w), decay)
    # Each weight shrinks by exp(-2 A): a potential of `u v` on that start.
    shrink = np.exp(-2 * decay)
    moved = flows.Product().potential((jnp.asarray(m * shrink), jnp.asarray(w * shrink)))
    x = X[:4]
    np.testing.assert_allclose(found.terms(x), moved.terms(x), rtol=1e-12)
    half = flows.decayed_entropy((m, w), 2 * decay, penalty="half-sum")
    np.testing.assert_allclose(half.scale, found.scale, rtol=1e-12)
    printed = flows.decayed_entropy((m, w), decay, constant="published")
    np.testing.assert_allclose(printed.scale, (m**2 - w**2) * np.exp(-2 * decay), rtol=1e-12)


def test_inverse_hessian_is_the_gram():
    m, w = jnp.array([0.9, 1.2]), jnp.array([0.3, -0.7])
    potential = flows.Product().potential((m, w))
    hessian = jax.jit(lambda p: flows.mirror_hessian(lambda q: q[0] * q[1], p))((m, w))
    auto = jax.jit(lambda p, x: jax.hessian(p.value)(x))(potential, m * w)
    np.testing.assert_allclose(hessian, auto, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(jnp.diagonal(hessian), 1 / (m**2 + w**2), rtol=1e-12)


def test_what_bad_input_says():
    ones = jnp.ones(2)
    with pytest.raises(ValueError, match="`scale` must be positive: at 0 signs"):
        flows.HyperbolicEntropy(0.0)
    with pytest.raises(ValueError, match="`start` is balanced"):
        flows.decayed_entropy((ones, ones), 0.1)
    with pytest.raises(ValueError, match="`decay` is an integral"):
        flows.decayed_entropy((ones, 0.5 * ones), -0.1)
    with pytest.raises(ValueError, match="`penalty`"):
        flows.decayed_entropy((ones, 0.5 * ones), 0.1, penalty="sums")
    with pytest.raises(ValueError, match="`constant`"):
        flows.decayed_entropy((ones, 0.5 * ones), 0.1, constant="printed")
    with pytest.raises(ValueError, match="`depth` must be at least 2"):
        flows.kernel_rich(1.5, 0.1)
    with pytest.raises(ValueError, match="`alpha` must be positive"):
        flows.kernel_rich(2, 0.0)
    with pytest.raises(ValueError, match="`alpha` to the power 10 leaves the range of numbers"):
        flows.kernel_rich(10, 1e-40)
    with pytest.raises(ValueError, match="`alpha` must be a scalar above depth 2"):
        flows.kernel_rich(3, ones)
