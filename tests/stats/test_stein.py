import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from gaugebias.stats import kernel_stein
from gaugebias.stats._stein import _skew_factor, _stein_kernel


@pytest.mark.slow
def test_the_kernel_is_the_stein_operator_applied_twice():
    # Against autodiff: A_x A_y [g(x) g(y) k(x, y)] with A f = s . f + div f, in both arguments.
    rng = np.random.default_rng(0)
    points = rng.uniform(0.2, 2.0, size=(4, 3))
    width = 1.3

    def g(x):
        return x[0] / (1.0 + x[0]) * jnp.cos(0.3 * x[1])

    def score(x):
        return jnp.sin(x) - x**2

    def k(x, y):
        return g(x) * g(y) / jnp.sqrt(1.0 + jnp.sum((x - y) ** 2) / width**2)

    def h(x, y):
        s, t = score(x), score(y)
        return (
            s @ t * k(x, y)
            + s @ jax.grad(k, 1)(x, y)
            + t @ jax.grad(k, 0)(x, y)
            + jnp.trace(jax.jacfwd(jax.grad(k, 1), 0)(x, y))
        )

    x = jnp.asarray(points)
    expected = jax.vmap(lambda a: jax.vmap(lambda b: h(a, b))(x))(x)
    weight, slope = jax.vmap(jax.value_and_grad(g))(x)
    scores = np.asarray(jax.vmap(score)(x))
    block = _stein_kernel(points, scores, np.asarray(weight), np.asarray(slope), width)
    np.testing.assert_allclose(block(slice(None), slice(None)), expected, rtol=1e-9, atol=1e-12)


def test_wrong_scale_and_wrong_dependence_are_rejected(getkey):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(800, 2))
    assert kernel_stein(x, -x, getkey()).p_value > 1e-3
    assert kernel_stein(x, -x / 1.5, getkey()).p_value < 1e-6
    tied = x.copy()
    tied[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    assert kernel_stein(tied, -tied, getkey()).p_value < 1e-6
    precision = np.linalg.inv(np.array([[1.0, 0.6], [0.6, 1.0]]))
    assert kernel_stein(tied, -tied @ precision, getkey()).p_value > 1e-3


def test_a_wall_needs_a_weight_that_vanishes_there(getkey):
    # w^(-1/2) e^(-w) on w > 0: density times kernel does not vanish at 0, and without a weight the
    # right law is rejected; with one it is not, and a wrong power is.
    w = np.random.default_rng(2).gamma(0.5, size=1500)
    weight, slope = w / (1.0 + w), 1.0 / (1.0 + w) ** 2
    right, wrong = -0.5 / w - 1.0, -0.3 / w - 1.0
    assert kernel_stein(w, right, getkey()).p_value < 0.01
    assert kernel_stein(w, right, getkey(), weight, slope).p_value > 1e-3
    assert kernel_stein(w, wrong, getkey(), weight, slope).p_value < 1e-6


def test_offsets_and_units_do_not_matter(getkey):
    key = getkey()
    x = np.random.default_rng(3).normal(size=(200, 2))
    plain = kernel_stein(x, -x, key)
    moved = kernel_stein(1e6 + 1e3 * x, -x / 1e3, key)
    assert moved.statistic == pytest.approx(plain.statistic, rel=1e-6)
    assert moved.p_value == plain.p_value
    assert kernel_stein(x, -x, key, max_points=50).n == 50


def test_bad_input_is_named(getkey):
    x = np.random.default_rng(4).normal(size=(20, 2))
    with pytest.raises(ValueError, match="`score`.*shape of `x`"):
        kernel_stein(x, -x[:, 0], getkey())
    with pytest.raises(ValueError, match="`score`.*non-finite"):
        kernel_stein(x, np.full_like(x, np.inf), getkey())
    with pytest.raises(ValueError, match="`weight` needs `weight_gradient`"):
        kernel_stein(x, -x, getkey(), weight=np.ones(20))
    with pytest.raises(ValueError, match="`weight` must have shape"):
        kernel_stein(x, -x, getkey(), -np.ones(20), np.zeros_like(x))
    with pytest.raises(ValueError, match="never changes"):
        kernel_stein(np.ones((20, 1)), np.ones((20, 1)), getkey())
    with pytest.raises(ValueError, match="`replicates`"):
        kernel_stein(x, -x, getkey(), replicates=3)
    with pytest.raises(ValueError, match="`max_points`"):
        kernel_stein(x, -x, getkey(), max_points=3)


def test_few_draws_have_no_far_tail(getkey):
    x = np.random.default_rng(5).normal(size=(100, 1)) + 4.0
    assert kernel_stein(x[:99], -x[:99], getkey()).p_value == 1 / 500
    assert kernel_stein(x, -x, getkey()).p_value < 1e-6


def test_skewed_draws_have_a_heavier_far_tail():
    # Self-normalised sums of 100 exponential draws: beyond 1e-4 of the normal law there are 7 in
    # place of 1, and with the factor no more than 1 (40,000 sums: 4 expected, more than 13 have
    # probability 1e-4).
    y = np.random.default_rng(6).exponential(size=(40_000, 100)) - 1.0
    p = 2.0 * norm.sf(np.abs(y.sum(axis=1)) / np.sqrt(np.sum(y**2, axis=1)))
    far = np.flatnonzero(p < 1e-3)
    mended = np.asarray([p[i] * _skew_factor(y[i], p[i]) for i in far])
    assert np.sum(mended < 1e-4) <= 13 < np.sum(p < 1e-4)
    assert _skew_factor(np.ones(10), 1e-3) == 1.0
