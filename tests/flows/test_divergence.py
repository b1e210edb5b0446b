"""Divergences by draws, in any dimension."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from gaugebias import flows

HALF = jnp.array([0.5, 0.5])
ONE = flows.GaussianMixture(HALF, jnp.array([-0.5, 1.0]))
OTHER = flows.GaussianMixture(jnp.array([0.3, 0.7]), jnp.array([0.0, 2.0]), 1.5)


def test_draws_agree_with_quadrature_in_their_errors(getkey):
    """Each of two values within 4.5 standard errors: false alarms below 2e-5."""
    exact = flows.mixture_divergence(ONE, OTHER)
    found = flows.mixture_divergence(ONE, OTHER, key=getkey(), draws=20_000)
    other = flows.mixture_divergence(OTHER, ONE)
    for name in ("kl", "hellinger"):
        error = float(getattr(found, name + "_error"))
        assert abs(float(getattr(found, name) - getattr(exact, name))) < 4.5 * error
    # The divergence the other way round is another number, and is told apart.
    assert abs(float(found.kl - other.kl)) > 6 * float(found.kl_error)
    assert exact.draws == 0 and found.draws == 20_000
    assert float(exact.kl_error) == float(exact.hellinger_error) == 0.0


@pytest.mark.parametrize(("shift", "stretch"), [(0.1, 1.0), (2.0, 3.0), (20.0, 1.0)])
def test_two_gaussians_in_space(getkey, shift, stretch):
    """Against the closed forms, from close to far apart: within 4.5 standard errors."""
    d = 3
    one = flows.GaussianMixture(jnp.ones(1), jnp.zeros((1, d)))
    other = flows.GaussianMixture(jnp.ones(1), jnp.full((1, d), shift), stretch * jnp.eye(d))
    kl = 0.5 * (d / stretch + d * shift**2 / stretch - d + d * np.log(stretch))
    middle = 0.5 * (1 + stretch)
    overlap = stretch ** (d / 4) / middle ** (d / 2) * np.exp(-d * shift**2 / (8 * middle))
    found = flows.mixture_divergence(one, other, key=getkey(), draws=20_000)
    assert abs(float(found.kl) - kl) < 4.5 * float(found.kl_error) + 1e-12
    hellinger = np.sqrt(1 - overlap)
    assert abs(float(found.hellinger) - hellinger) < 4.5 * float(found.hellinger_error) + 1e-12
    assert float(found.kl_error) < 0.05 * kl
    same = flows.mixture_divergence(other, other, key=getkey(), draws=100)
    assert float(same.kl) == float(same.hellinger) == float(same.hellinger_error) == 0.0


def test_the_fisher_distance_is_that_of_the_metric():
    """Of close mixtures: the length of the step in the Fisher metric, and the root of 2 KL."""
    model = flows.MixtureModel(ONE, flows.CentredChart(HALF))
    xi, step = model.inverse(ONE), 1e-3 * jnp.array([0.3, 1.0])
    matrix = flows.fisher_information(model, xi + 0.5 * step).matrix
    found = flows.mixture_divergence(model(xi), model(xi + step))
    length = float(jnp.sqrt(step @ matrix @ step))
    assert float(found.fisher_distance) == pytest.approx(length, rel=1e-5)
    assert float(jnp.sqrt(2 * found.kl)) == pytest.approx(length, rel=1e-3)
    far = flows.GaussianMixture(HALF, jnp.array([90.0, 91.0]))
    assert float(flows.mixture_divergence(ONE, far).fisher_distance) == pytest.approx(np.pi)


def test_narrow_components_are_resolved():
    """As narrow as is let through, against a fine rule: 1e-6."""
    from scipy import stats

    narrow = flows.GaussianMixture(HALF, jnp.array([0.0, 0.3]), jnp.array([1.0, 0.0009]))
    got = flows.mixture_divergence(ONE, narrow)
    x = np.linspace(-13.0, 13.0, 400_001)
    p = stats.norm.pdf(x[:, None], np.asarray(ONE.means), 1.0) @ [0.5, 0.5]
    q = stats.norm.pdf(x[:, None], [0.0, 0.3], [1.0, 0.03]) @ [0.5, 0.5]
    step = x[1] - x[0]
    assert float(got.kl) == pytest.approx(step * np.sum(p * np.log(p / q)), rel=1e-6)
    h2 = 0.5 * step * np.sum((np.sqrt(p) - np.sqrt(q)) ** 2)
    assert float(got.hellinger) == pytest.approx(np.sqrt(h2), rel=1e-6)


def test_the_loss_of_data_is_the_mean():
    x = jnp.array([0.3, -2.0, 1.0])
    loss = flows.NegativeLogLikelihood(x)
    assert float(loss(ONE)) == pytest.approx(-float(ONE.log_likelihood(x)) / 3)


PLANE = flows.GaussianMixture(HALF, jnp.zeros((2, 2)))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: flows.mixture_divergence(PLANE, PLANE), "`key` is needed above one dimension"),
        (lambda: flows.mixture_divergence(PLANE, ONE), "`mixture` has dimension 1, but `truth`"),
        (lambda: flows.mixture_divergence(ONE, ONE, draws=5), "`draws` must be an even number"),
        (
            lambda: flows.mixture_divergence(ONE, ONE, key=jnp.zeros(3)),
            "`key` must be a jax.random key",
        ),
        (lambda: flows.NegativeLogLikelihood(jnp.array([jnp.nan])), "1 values that are not finite"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_the_key_decides_the_draws():
    a, b = (flows.mixture_divergence(PLANE, PLANE, key=jr.key(0), draws=100) for _ in range(2))
    assert float(a.kl) == float(b.kl)
