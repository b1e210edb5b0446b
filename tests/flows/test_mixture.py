"""Gaussian mixtures and models of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from gaugebias import flows

LINE = flows.GaussianMixture(
    jnp.array([0.3, 0.5, 0.2]), jnp.array([-1.0, 0.5, 3.0]), jnp.array([0.5, 1.0, 2.0])
)
PLANE = flows.GaussianMixture(
    jnp.array([0.4, 0.6]), jnp.array([[0.0, 1.0], [2.0, -1.0]]), jnp.array([[1.0, 0.3], [0.3, 0.5]])
)


def test_density_on_the_line_and_in_the_plane():
    x = np.linspace(-3.0, 4.0, 7)
    parts = stats.norm.pdf(x[:, None], LINE.means, np.sqrt(LINE.covariance))
    np.testing.assert_allclose(LINE.log_density(x), np.log(parts @ LINE.weights), rtol=1e-12)
    y = np.random.default_rng(0).standard_normal((5, 2))
    gaps, cov = y[:, None] - np.asarray(PLANE.means)[None], np.asarray(PLANE.covariance)
    squares = np.einsum("nki,ij,nkj->nk", gaps, np.linalg.inv(cov), gaps)
    each = np.exp(-0.5 * squares) / (2 * np.pi * np.sqrt(np.linalg.det(cov)))
    expected = np.log(each @ np.asarray(PLANE.weights))
    np.testing.assert_allclose(PLANE.log_density(y), expected, rtol=1e-12)
    assert float(PLANE.log_likelihood(y)) == pytest.approx(expected.sum())


def test_the_likelihood_of_given_data_is_jitted():
    """Data that are known while something else is traced."""
    x = jnp.array([0.1, 2.0])
    got = jax.jit(lambda mu: flows.GaussianMixture(LINE.weights, mu).log_likelihood(x))(LINE.means)
    alone = flows.GaussianMixture(LINE.weights, LINE.means).log_likelihood(x)
    assert float(got) == pytest.approx(float(alone))


def test_draws_have_the_moments_of_the_mixture(getkey):
    """Each of 5 moments within 4.5 standard errors: false-alarm rate below 4e-5."""
    n = 20_000
    x = np.asarray(PLANE.sample(getkey(), n))
    mean = np.asarray(PLANE.weights @ PLANE.means)
    gaps = np.asarray(PLANE.means) - mean
    cov = np.asarray(PLANE.covariance) + np.einsum("k,ki,kj->ij", PLANE.weights, gaps, gaps)
    z = (x.mean(0) - mean) / np.sqrt(np.diag(cov) / n)
    outer = (x - mean)[:, :, None] * (x - mean)[:, None, :]
    second = (outer.mean(0) - cov) / (outer.std(0) / np.sqrt(n))
    assert np.abs(z).max() < 4.5 and np.abs(second).max() < 4.5
    without_offsets = (outer.mean(0) - np.asarray(PLANE.covariance)) / (outer.std(0) / np.sqrt(n))
    assert np.abs(without_offsets).max() > 20


def test_divergences_against_adaptive_quadrature():
    other = flows.GaussianMixture(jnp.array([0.5, 0.5]), jnp.array([0.0, 1.0]))

    @jax.jit
    def logs(x):
        return LINE.log_density(x[None])[0], other.log_density(x[None])[0]

    def pointwise(x):
        return [float(v) for v in logs(jnp.asarray(x))]

    def kl(x):
        p, q = pointwise(x)
        return np.exp(p) * (p - q)

    def square(x):
        p, q = pointwise(x)
        return 0.5 * (np.exp(0.5 * p) - np.exp(0.5 * q)) ** 2

    got = eqx.filter_jit(flows.mixture_divergence)(LINE, other)
    for value, fn in ((got.kl, kl), (got.hellinger**2, square)):
        exact = integrate.quad(fn, -14, 20, epsabs=1e-11, limit=200)[0]
        assert float(value) == pytest.approx(exact, rel=1e-9)
    same = flows.mixture_divergence(LINE, LINE)
    assert float(same.kl) == float(same.hellinger) == float(same.kl_error) == 0.0


@pytest.mark.parametrize("kind", ["fixed", "shared", "free"])
def test_models_invert(kind):
    for like in (LINE, PLANE) if kind != "shared" else (PLANE,):
        chart = flows.RelativeChart()
        cov = like.covariances if kind == "free" else like.covariance
        like = flows.GaussianMixture(like.weights, like.means, cov)
        model = flows.MixtureModel(like, chart, flows.SimplexChart(), kind)
        xi = model.inverse(like)
        assert xi.shape == (model.size,)
        back = model(xi)
        for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(like), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


W, M = jnp.array([0.5, 0.5]), jnp.array([0.0, 1.0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: flows.GaussianMixture(jnp.array([0.5, 0.6]), M), "`weights` must be non-negative"),
        (lambda: flows.GaussianMixture(jnp.array([1.5, -0.5]), M), "`weights` must be"),
        (lambda: flows.GaussianMixture(W, jnp.zeros(3)), "one for each of `means`"),
        (lambda: flows.GaussianMixture(W, jnp.array([0.0, jnp.nan])), "`means` must be finite"),
        (lambda: flows.GaussianMixture(W, M, 0.0), "`covariance` must be positive definite"),
        (lambda: flows.GaussianMixture(W, M, jnp.nan), "`covariance` must be positive definite"),
        (lambda: flows.GaussianMixture(W, M, jnp.eye(2)), r"shape \(\) \(shared\)"),
        (
            lambda: flows.GaussianMixture(W, jnp.zeros((2, 2)), jnp.ones((2, 2))),
            "positive definite",
        ),
        (
            lambda: flows.GaussianMixture(
                W, jnp.zeros((2, 2)), jnp.array([[1.0, 0.5], [0.0, 1.0]])
            ),
            "`covariance` must be symmetric",
        ),
        (
            lambda: flows.PopulationDivergence(flows.GaussianMixture(W, M, jnp.array([1.0, 1e-4]))),
            "standard deviation 0.01, too narrow",
        ),
        (
            lambda: flows.mixture_divergence(
                flows.GaussianMixture(W, M), flows.GaussianMixture(W, M, jnp.array([1.0, 1e-4]))
            ),
            "too narrow for quadrature over its range of 23",
        ),
        (lambda: LINE.log_likelihood(jnp.array([0.0, jnp.nan])), "1 values that are not finite"),
        (lambda: LINE.log_density(jnp.zeros((3, 2))), r"`x` must have shape \(N,\)"),
        (lambda: flows.PopulationDivergence(PLANE), "on the line"),
        (lambda: flows.MixtureModel(LINE, flows.AbsoluteChart(), None, "some"), "`covariance`"),
        (lambda: flows.MixtureModel(LINE, flows.AbsoluteChart(), None, "shared"), "`like`"),
        (lambda: flows.MixtureModel(LINE, flows.AbsoluteChart())(jnp.zeros(2)), "`coordinates`"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
