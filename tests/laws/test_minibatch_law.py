"""The law of minibatch noise on one predictor: derivation, simulation, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.laws import (
    DensityLaw,
    LawRefused,
    NotNormalisable,
    QuotientLaw,
    minibatch,
)
from gaugebias.laws._grid._push import predictor_rates
from gaugebias.quotient import Domain, FunctionGauge, Quotient
from gaugebias.symmetry import Orthogonal, Product, Rescaling, Translation

N, RATE, BATCH = 16, 0.1, 2
X = 1.0 + 0.3 * jax.random.normal(jax.random.key(1), (N,))
Y = 0.8 * X + 0.7 * jax.random.normal(jax.random.key(2), (N,))
DATA = (X, Y)
POSITIVE = Domain.line(lower=0.0)
POINTS = np.array([0.05, 0.3, 0.9, 1.7])


def loss(w, sample):
    x, y = sample
    return 0.5 * (w * x - y) ** 2


def logistic(w, sample):
    x, y = sample
    return jnp.logaddexp(0.0, -w * x * y) + 0.05 * (w - x) ** 2


def rescaling(powers):
    return Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None), powers=powers)


AT = (jnp.array(1.0), jnp.array(0.6))
PRODUCT = Quotient(
    lambda p: p[0] * p[1], rescaling((1.0, -1.0)), lift=lambda w: (jnp.sqrt(w), jnp.sqrt(w)), at=AT
)
CUBIC = Quotient(
    lambda p: p[0] * p[1] ** 2,
    rescaling((2.0, -1.0)),
    lift=lambda w: ((w / 2) ** (1 / 3), 2**0.5 * (w / 2) ** (1 / 3)),
    at=AT,
)
RADIAL = Quotient(
    lambda p: jnp.sum(p**2),
    Orthogonal(lambda p: p, axis=0),
    lift=lambda w: jnp.sqrt(w) * jnp.array([1.0, 0.0, 0.0]),
    at=jnp.array([0.4, 0.5, 0.6]),
)


LINE = Quotient(
    lambda p: p["w"],
    Translation(lambda p: p["z"], axis=0),
    lift=lambda w: {"w": w, "z": jnp.zeros(1)},
    at={"w": jnp.array(0.3), "z": jnp.array([0.1])},
)


@pytest.mark.parametrize(
    "q, potential, options",
    [
        pytest.param(PRODUCT, logistic, dict(replacement=False), marks=pytest.mark.slow),
        pytest.param(CUBIC, loss, dict(second_order=True), marks=pytest.mark.slow),
        pytest.param(RADIAL, loss, dict(), marks=pytest.mark.slow),
    ],
)
def test_the_law_has_no_flux_under_the_process_itself(q, potential, options):
    """`b p - (a p)'/2 = 0` with `b`, `a` from the process on parameters: another way round."""
    law = minibatch(q, potential, DATA, RATE, BATCH, domain=POSITIVE, **options)
    sde = gb.dynamics.MinibatchSDE(
        lambda p, s: potential(q.phi(p), s), DATA, RATE, BATCH, **options
    )

    def covariance(w):
        return predictor_rates(sde, q.phi, q.lift(w))[1][0, 0]

    drift = jax.vmap(lambda w: predictor_rates(sde, q.phi, q.lift(w))[0][0])(jnp.asarray(POINTS))
    a, slope = jax.vmap(jax.value_and_grad(covariance))(jnp.asarray(POINTS))
    expected = np.asarray((2 * drift - slope) / a)
    np.testing.assert_allclose(law.score(POINTS), expected, rtol=1e-8)
    # K^-1 in place of K^-3/2 would be seen
    wrong = np.asarray(jax.vmap(jax.grad(lambda w: 0.5 * q.predictor_log_det(w)))(POINTS))
    assert np.all(np.abs(wrong) > 1e-3 * np.abs(expected))
    assert all(c.holds for c in law.conditions)
    assert law.reference == "lebesgue"
    assert float(law.exponent) == -1.0


@pytest.mark.slow
def test_the_law_in_numbers():
    """Against quadrature of the formula by scipy, and on other reference measures."""
    from scipy.integrate import quad

    law = minibatch(PRODUCT, loss, DATA, RATE, BATCH, domain=POSITIVE)
    x, y = np.asarray(X), np.asarray(Y)
    tau = RATE / BATCH

    def slopes(w):
        return (w * x - y) * x

    def force(t):
        w = np.exp(t)
        return np.mean(slopes(w)) / (np.var(slopes(w)) * 2 * w) * w

    def log_p(w):
        energy = quad(force, 0.0, np.log(w), epsabs=1e-12, epsrel=1e-12)[0]
        return -1.5 * np.log(2 * w) - np.log(np.var(slopes(w))) - 2 / tau * energy

    expected = np.array([log_p(w) for w in POINTS])
    found = np.asarray(law.log_density(POINTS))
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-8)
    mass = quad(lambda t: np.exp(float(law.log_density(np.exp(t))) + t), -6.0, 0.0, limit=200)[0]
    np.testing.assert_allclose(mass, law.cdf(1.0) - law.cdf(np.exp(-6.0)), atol=1e-7)
    there = law.to("quotient").log_density(PRODUCT.representative(jnp.array(0.9)))
    assert float(there) == pytest.approx(found[2] + 0.5 * np.log(1.8), abs=1e-9)
    special = gb.laws.diagonal_linear(gb.laws.RegressionMoments.of(X, Y), RATE, BATCH, scale=0.5)
    np.testing.assert_allclose(found, special.log_density(POINTS), atol=1e-10)
    np.testing.assert_allclose(law.cdf(POINTS), special.cdf(POINTS), atol=1e-10)
    effective = np.asarray(law.effective_loss(POINTS)) + 0.5 * tau * expected
    np.testing.assert_allclose(effective, effective[0], atol=1e-8)


@pytest.mark.slow
def test_newton_representatives_and_a_predictor_of_shape_one_give_the_same():
    plain = Quotient(lambda p: (p[0] * p[1])[None], PRODUCT.action, at=AT)
    law = minibatch(
        plain, lambda w, s: loss(w[0], s), DATA, RATE, BATCH, domain=Domain.line(0.02, 4.0)
    )
    exact = minibatch(PRODUCT, loss, DATA, RATE, BATCH, domain=Domain.line(0.02, 4.0))
    found = np.asarray(law.log_density(POINTS[1:, None]))
    np.testing.assert_allclose(found, exact.log_density(POINTS[1:]), atol=1e-7)


def test_minibatch_noise_follows_the_law_and_no_other_power():
    """False alarm 1e-3 for the law (Bonferroni over the tests of its row), 1e-6 for the rivals."""
    law = minibatch(PRODUCT, loss, DATA, RATE, 1, domain=POSITIVE)
    sde = gb.dynamics.MinibatchSDE(lambda p, s: loss(p[0] * p[1], s), DATA, RATE, 1)
    run = gb.simulate(
        sde,
        (jnp.array(0.9), jnp.array(0.9)),
        key=jax.random.key(4),
        chains=2048,
        steps=600,
        dt=0.02,
        observe=lambda p: p[0] * p[1],
    )

    def powered(extra):
        return DensityLaw(
            lambda w, t: law.log_weight_at(w, t, law.exponent) + extra * jnp.log(w),
            POSITIVE,
            law.temperature,
        )

    verdict = gb.compare(run, [law, powered(0.5), powered(1.0)], ["K^-3/2", "K^-1", "K^-1/2"])
    assert verdict["K^-3/2"].verdict == "consistent"
    assert verdict["K^-1"].verdict == "rejected"
    assert verdict["K^-1/2"].verdict == "rejected"


def test_discrete_descent_has_more_variance_than_either_equation():
    """Linear regression, `w' = w - eta (a w - b)`: its second moment is known exactly.

    By `1 + eta r/2` and `1 + eta r`, as documented: `second_order` is not the closer of the two.
    """
    a, b = np.asarray(X**2), np.asarray(X * Y)
    rate, fit = np.mean(a), np.mean(b) / np.mean(a)
    eta = 0.05 / rate
    noise = np.var(b - a * fit) / BATCH
    exact = eta**2 * noise / (1.0 - (1.0 - eta * rate) ** 2 - eta**2 * np.var(a) / BATCH)
    for second_order, expected in ((False, 0.025), (True, 0.05)):
        law = minibatch(LINE, loss, DATA, eta, BATCH, second_order=second_order)
        mean, variance = law.expectation(lambda w: w)
        assert float(mean) == pytest.approx(fit, rel=1e-9)
        assert exact / float(variance) - 1.0 == pytest.approx(expected, rel=0.1)


def test_collapse_names_the_critical_rate():
    """At `w -> 0` the exponent is `-3/2 + E xy / (tau Var xy)` for the loss with 1/2."""
    x, y = np.asarray(X), np.asarray(Y)
    critical = 2.0 * np.mean(x * y) / np.var(x * y)
    with pytest.raises(NotNormalisable, match=f"collapses.*below {critical:.6g}"):
        minibatch(PRODUCT, loss, DATA, 1.02 * critical, 1, domain=POSITIVE)
    law = minibatch(PRODUCT, loss, DATA, 0.98 * critical, 1, domain=POSITIVE)
    assert isinstance(law, QuotientLaw)
    # without replacement the noise is smaller by (n - B)/(n - 1)
    rate = 0.98 * critical * BATCH * (N - 1) / (N - BATCH)
    minibatch(PRODUCT, loss, DATA, rate, BATCH, replacement=False, domain=POSITIVE)
    with pytest.raises(NotNormalisable, match="no learning rate"):
        minibatch(PRODUCT, loss, (X, -Y), RATE, BATCH, domain=POSITIVE)


@pytest.mark.slow
def test_what_is_refused():
    def law(q=PRODUCT, potential=loss, data=DATA, rate=RATE, batch=BATCH, **options):
        return minibatch(q, potential, data, rate, batch, **{"domain": POSITIVE, **options})

    with pytest.raises(LawRefused, match="K vanishes inside of `domain`, at w = 0"):
        law(domain=None, q=Quotient(lambda p: p[0] * p[1], PRODUCT.action, at=AT))
    with pytest.raises(LawRefused, match="fitted at w = 0.8, where gradients and noise vanish"):
        law(data=(X, 0.8 * X))
    with pytest.raises(LawRefused, match="agree at w = 0.5, so that noise vanishes"):
        law(potential=lambda w, s: 0.5 * (w - 1.0) ** 2 + 0.5 * s[0] * (w - 0.5) ** 2)
    with pytest.raises(LawRefused, match="there is no noise"):
        law(data=(jnp.ones(4), jnp.ones(4)))
    # zeros of the noise far from 1, and at the point 0 where the line is cut
    with pytest.raises(LawRefused, match="fitted at w = 3e\\+06"):
        law(data=(X, 3e6 * X), rate=1e-6 * RATE)
    with pytest.raises(LawRefused, match="agree at w = 0, so that noise vanishes"):
        law(q=LINE, domain=None, potential=lambda w, s: 0.5 * (w - 1) ** 2 + 0.5 * s[1] * w**2)
    with pytest.raises(NotNormalisable, match="vanishes there, and descent does not lead away"):
        law(
            potential=lambda w, s: 0.5 * (w - 1.0) ** 2 + 0.5 * s[1] * (w - 0.5) ** 2,
            q=LINE,
            domain=Domain.line(upper=0.5),
        )
    # K = 2|w - 1| vanishes at a point that no break names
    with pytest.raises(LawRefused, match="K vanishes inside of `domain`, at w = 1"):
        law(domain=None, q=Quotient(lambda p: 1.0 + p[0] * p[1], PRODUCT.action, at=AT))
    two = Quotient(
        lambda p: p["u"] * p["v"],
        Rescaling(lambda p: p["u"], lambda p: p["v"], axes=(0, 0)),
        at={"u": jnp.array([1.0, 0.5]), "v": jnp.array([0.7, 0.4])},
    )
    with pytest.raises(LawRefused, match="2 coordinates.*fokker_planck"):
        law(q=two, potential=lambda w, s: loss(jnp.sum(w), s), domain=Domain.box([0, 0], [1, 1]))
    leaning = Quotient(PRODUCT.phi, PRODUCT.action, at=AT, lift=lambda w: (jnp.ones(()), w))
    with pytest.raises(LawRefused, match="does not give points of the slice"):
        law(q=leaning)
    other = Quotient(PRODUCT.phi, PRODUCT.action, at=AT, gauge=FunctionGauge(lambda p: p[0] - p[1]))
    with pytest.raises(LawRefused, match="the gauge is not the moment map"):
        law(q=other)
    with pytest.raises(ValueError, match="`batch_size` is all of the data"):
        law(batch=N, replacement=False)
    with pytest.raises(ValueError, match="`batch_size` .17. is larger"):
        law(batch=N + 1)
    with pytest.raises(ValueError, match="`learning_rate`.*positive"):
        law(rate=0.0)
    with pytest.raises(ValueError, match="`data` holds values that are not finite"):
        law(data=(X.at[3].set(jnp.nan), Y))


@pytest.mark.slow
def test_three_factors_are_the_deep_diagonal_network():
    """`w = u_1 u_2 u_3`, K = 3 w^(4/3): the general law against the special one."""
    act = Product(
        Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None)),
        Rescaling(lambda p: p[1], lambda p: p[2], axes=(None, None)),
    )
    q = Quotient(
        lambda p: p[0] * p[1] * p[2],
        act,
        lift=lambda w: (jnp.cbrt(w), jnp.cbrt(w), jnp.cbrt(w)),
        at=(jnp.array(1.0), jnp.array(0.6), jnp.array(1.2)),
    )
    law = minibatch(q, loss, DATA, RATE, BATCH, domain=POSITIVE)
    moments = gb.laws.RegressionMoments.of(X, Y)
    special = gb.laws.diagonal_linear(moments, RATE, BATCH, depth=2, scale=0.5)
    np.testing.assert_allclose(law.log_density(POINTS), special.log_density(POINTS), atol=1e-8)
