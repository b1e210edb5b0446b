"""The four laws on models with known answers, and their refusals."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import special

from gaugebias.laws import (
    LawRefused,
    NotNormalisable,
    ParameterLaw,
    conditioned,
    fibre_integral,
    horizontal,
    log_bessel_k,
    projected,
    pushforward,
)
from gaugebias.quotient import Domain, FunctionGauge, MomentMapGauge, Quotient
from gaugebias.symmetry import (
    GeneralLinear,
    LinearFields,
    Orthogonal,
    Product,
    Rescaling,
    Translation,
)

T, RIDGE = 0.1, 0.2
POINTS = np.array([-0.6, -1e-3, 0.02, 0.5, 1.3])


def potential(w):
    return 0.5 * (w - 1.0) ** 2


def signed_roots(w):
    return jnp.sqrt(jnp.abs(w)), jnp.sign(w) * jnp.sqrt(jnp.abs(w))


PAIR = Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
AT = (jnp.array(1.0), jnp.array(0.5))
BALANCED = (jnp.array(1.0), jnp.array(1.0))


def product(gauge=None, lift=signed_roots, at=AT):
    return Quotient(lambda p: p[0] * p[1], PAIR, gauge=gauge, lift=lift, at=at)


PRODUCT = product()


def differences(values):
    values = np.asarray(values)
    return values - values[0]


def test_horizontal_law_of_a_product_is_the_inverse_root():
    law = horizontal(PRODUCT, potential, T)
    with mpmath.workdps(20):
        # w = x |x|: int |w|^-1/2 f(w) dw = 2 int f(x |x|) dx.
        total = 2 * mpmath.quad(
            lambda x: mpmath.exp(-5 * (x * abs(x) - 1) ** 2), [-2, -0.5, 0, 0.5, 1, 1.5, 2.5]
        )
    expected = -potential(POINTS) / T - 0.5 * np.log(np.abs(POINTS)) - float(mpmath.log(total))
    np.testing.assert_allclose(law.log_density(POINTS), expected, atol=1e-9)
    np.testing.assert_allclose(law.score(POINTS), -(POINTS - 1) / T - 0.5 / POINTS, rtol=1e-10)
    effective = potential(POINTS) + 0.5 * T * np.log(2 * np.abs(POINTS))
    np.testing.assert_allclose(
        differences(law.effective_loss(POINTS)), differences(effective), atol=1e-12
    )
    assert law.reference == "lebesgue" and float(law.exponent) == 0.0
    assert all(c.holds for c in law.conditions)


@pytest.mark.slow
def test_pushforward_of_a_product_is_the_bessel_law_at_any_representative():
    law = pushforward(PRODUCT, potential, T, RIDGE)
    expected = -potential(POINTS) / T + np.log(special.k0(RIDGE * np.abs(POINTS) / T))
    offset = np.asarray(law.log_density(POINTS)) - expected
    np.testing.assert_allclose(offset, offset[0], atol=1e-9)
    closed = lambda w: jnp.exp(-potential(w) / T + log_bessel_k(0.0, RIDGE * jnp.abs(w) / T))  # noqa: E731
    mass = law.expectation(lambda w: closed(w) / jnp.exp(law.log_weight(w)))[0].item()
    total = mass * np.exp(law.log_normaliser())
    with mpmath.workdps(15):
        reference = mpmath.quad(
            lambda w: mpmath.exp(-5 * (w - 1) ** 2) * mpmath.besselk(0, 2 * abs(w)),
            [-1.5, -0.3, 0, 0.3, 1, 1.6, 3],
        )
    assert np.log(total) == pytest.approx(float(mpmath.log(reference)), abs=1e-8)
    unbalanced = product(
        lift=lambda w: (2.0 * jnp.sqrt(jnp.abs(w)), jnp.sign(w) * 0.5 * jnp.sqrt(jnp.abs(w)))
    )
    elsewhere = fibre_integral(unbalanced, potential, T, RIDGE)
    np.testing.assert_allclose(elsewhere.log_density(POINTS), law.log_density(POINTS), atol=1e-9)


def test_without_decay_the_pushforward_is_refused_with_the_reason():
    with pytest.raises(LawRefused, match="infinite volume.*`ridge` > 0"):
        pushforward(PRODUCT, potential, T)
    with pytest.raises(ValueError, match="`ridge`"):
        fibre_integral(PRODUCT, potential, T, 0.0)


@pytest.mark.parametrize(
    "gauge, exponent",
    [
        (MomentMapGauge(), -1.0),
        (FunctionGauge(lambda p: p[0] - p[1]), -0.5),
        (FunctionGauge(lambda p: jnp.log(p[0] / p[1])), 0.0),
    ],
    ids=["moment-map", "difference", "log-ratio"],
)
def test_conditioning_depends_on_the_gauge_function(gauge, exponent):
    law = conditioned(
        product(gauge, at=BALANCED), potential, T, ridge=RIDGE, domain=Domain.line(0.1)
    )
    w = np.array([0.15, 0.5, 1.0, 1.6])
    expected = -(potential(w) + RIDGE * w) / T + exponent * np.log(w)
    np.testing.assert_allclose(differences(law.log_density(w)), differences(expected), atol=1e-10)


def test_conditioning_on_the_whole_line_is_not_normalisable():
    with pytest.raises(NotNormalisable, match="x = 0 ") as error:
        conditioned(PRODUCT, potential, T, ridge=RIDGE)
    assert any("domain" in a for a in error.value.alternatives)


def neuron(d):
    def lift(z):
        size = jnp.sqrt(jnp.sum(z**2))
        return z / jnp.sqrt(size), jnp.sqrt(size)

    act = Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
    return Quotient(
        lambda p: p[0] * jnp.abs(p[1]), act, lift=lift, at=(jnp.arange(1.0, d + 1), jnp.array(0.7))
    )


@pytest.mark.slow
def test_relu_neuron():
    q, d = neuron(2), 2
    energy = lambda z: 0.5 * jnp.sum((z - 1.0) ** 2)  # noqa: E731
    z = np.array([[1.0, 0.3], [0.2, -0.1], [-0.4, 2.0]])
    size = np.linalg.norm(z, axis=1)
    base = -0.5 * np.sum((z - 1) ** 2, axis=1) / T
    with pytest.raises(LawRefused, match=r"tr\(P A\).*Stratonovich") as error:
        horizontal(q, energy, T)
    failing = [c for c in error.value.conditions if not c.holds]
    # tr(P A) = d - 1 on the slice for the generator (w, -v), of Frobenius norm sqrt(d + 1).
    assert failing[0].value == pytest.approx((d - 1) / np.sqrt(d + 1), rel=1e-6)
    law = horizontal(q, energy, T, calculus="stratonovich")
    expected = base - 0.5 * d * np.log(size)
    weights = -law.effective_loss(z) / T
    np.testing.assert_allclose(differences(weights), differences(expected), atol=1e-9)
    law = fibre_integral(q, energy, T, RIDGE)
    order = (d - 1) / 2
    expected = base - order * np.log(size) + np.log(special.kv(order, RIDGE * size / T))
    weights = -law.effective_loss(z) / T
    np.testing.assert_allclose(differences(weights), differences(expected), atol=1e-9)


@pytest.mark.slow
def test_hadamard_product_under_decay_is_a_product_of_bessel_laws():
    act = Rescaling(lambda p: p[0], lambda p: p[1])
    q = Quotient(
        lambda p: p[0] * p[1],
        act,
        lift=signed_roots,
        at=(jnp.array([1.0, 0.5, 1.2, 0.8]), jnp.array([0.7, -1.0, 0.3, 0.9])),
        domain=Domain(np.zeros(4), np.full(4, np.inf)),
    )
    law = pushforward(q, lambda w: 0.5 * jnp.sum((w - 1.0) ** 2), T, RIDGE)
    w = np.array([[0.5, 1.0, 0.3, 0.2], [1.0, 1.0, 1.0, 1.0], [0.1, 2.0, 0.7, 0.01]])
    expected = np.sum(-0.5 * (w - 1) ** 2 / T + np.log(special.k0(RIDGE * w / T)), axis=1)
    np.testing.assert_allclose(differences(law.log_density(w)), differences(expected), atol=1e-8)
    assert not law.normalised and float(law.log_density(-w[0])) == -np.inf
    with pytest.raises(NotNormalisable):
        conditioned(q, lambda w: 0.5 * jnp.sum((w - 1.0) ** 2), T)


RADIAL = Quotient(
    lambda x: jnp.sqrt(jnp.sum(x**2)),
    Orthogonal(lambda x: x),
    lift=lambda r: jnp.stack([r, 0.0 * r, 0.0 * r]),
    at=jnp.array([1.0, 0.5, -0.3]),
    domain=Domain.line(0.0),
)


@pytest.mark.parametrize("beta, exponent", [(1.0, 1.0), (0.5, 0.25), (0.0, 0.0)])
def test_projected_noise_on_spheres(beta, exponent):
    alpha, decay = 0.8, 0.6
    law = projected(RADIAL, lambda r: 0.0 * r, T, alpha, alpha * beta, ridge=decay)
    # p ~ r^(2 s) exp(-decay r^2 / 2 alpha^2 T): r^2 is a gamma variable.
    r = np.linspace(0.05, 1.5, 12)
    rate = decay / (2 * alpha**2 * T)
    np.testing.assert_allclose(
        law.cdf(r), special.gammainc(exponent + 0.5, rate * r**2), atol=1e-10
    )
    assert float(law.exponent) == pytest.approx(exponent)
    assert float(law.temperature) == pytest.approx(alpha**2 * T)


def test_isometric_laws_agree_at_the_ends_of_projected_noise():
    energy = lambda r: 0.5 * r**2  # noqa: E731
    r = np.array([0.3, 1.0])
    for law, beta in ((pushforward, 1.0), (horizontal, 0.0)):
        np.testing.assert_allclose(
            law(RADIAL, energy, T).log_density(r),
            projected(RADIAL, energy, T, 1.0, beta).log_density(r),
            atol=1e-10,
        )


def test_refusals_name_the_condition_and_what_still_holds():
    with pytest.raises(LawRefused, match="not isometric.*QuotientSDE") as error:
        projected(PRODUCT, potential, T, 1.0, 0.5)
    assert error.value.law == "projected" and error.value.alternatives
    with pytest.raises(LawRefused, match="nothing to condition on.*pushforward"):
        conditioned(RADIAL, lambda r: r**2, T)
    with pytest.raises(LawRefused, match="moment map"):
        horizontal(product(FunctionGauge(lambda p: p[0] - p[1]), at=BALANCED), potential, T)


def test_translations_leave_the_law_alone_but_not_the_decay():
    q = Quotient(
        lambda b: b[0] - b[1],
        Translation(lambda b: b),
        gauge=FunctionGauge(lambda b: b[0] + b[1]),
        lift=lambda w: jnp.stack([0.5 * w, -0.5 * w]),
        at=jnp.array([0.3, -0.4]),
    )
    law = pushforward(q, potential, T)
    np.testing.assert_allclose(law.cdf(POINTS), special.ndtr((POINTS - 1) / np.sqrt(T)), atol=1e-10)
    with pytest.raises(LawRefused, match="weight decay"):
        pushforward(q, potential, T, RIDGE)


def test_a_predictor_must_see_the_whole_quotient():
    half = Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
    q = Quotient(
        lambda p: p[0] * p[1] * p[2],
        half,
        lift=lambda w: (jnp.cbrt(w),) * 3,
        at=(jnp.array(1.0), jnp.array(0.8), jnp.array(0.9)),
    )
    with pytest.raises(LawRefused, match="not a coordinate of the quotient"):
        horizontal(q, potential, T)
    whole = Product(half, Rescaling(lambda p: p[1], lambda p: p[2], axes=(None, None)))
    law = horizontal(Quotient(q.phi, whole, lift=q.lift, at=q.at), potential, T)
    expected = -potential(POINTS) / T - 2 / 3 * np.log(np.abs(POINTS))
    np.testing.assert_allclose(
        differences(law.log_density(POINTS)), differences(expected), atol=1e-10
    )
    with pytest.raises(LawRefused, match="fibre integral"):
        pushforward(Quotient(q.phi, whole, lift=q.lift, at=q.at), potential, T, RIDGE)


@pytest.mark.slow
def test_rectangular_factors_have_laws_on_the_slice_only():
    act = GeneralLinear(lambda p: p[0], lambda p: p[1], axes=(1, 1))
    at = (jnp.array([[1.0], [0.5]]), jnp.array([[0.3], [0.8], [-0.4]]))
    q = Quotient(lambda p: p[0] @ p[1].T, act, at=at)
    energy = lambda w: 0.5 * jnp.sum(w**2)  # noqa: E731
    with pytest.raises(LawRefused, match="rank Dphi = 4 of 6"):
        conditioned(q, energy, T)
    law = conditioned(q, energy, T, reference="slice")
    assert isinstance(law, ParameterLaw)
    assert not law.normalised and law.reference == "slice"
    size = jnp.sum(at[0] ** 2) + jnp.sum(at[1] ** 2)
    expected = float(energy(q.phi(at)) + 0.5 * T * jnp.log(size))
    # One symmetric generator of Frobenius norm sqrt(5): a constant in S_sym.
    assert float(law.effective_loss(at)) == pytest.approx(expected - 0.5 * T * np.log(5.0))


def test_traced_temperature_alpha_and_beta():
    @jax.jit
    def both(temperature, beta, r):
        law = projected(RADIAL, lambda x: 0.5 * x**2, temperature, 1.0, beta)
        return law.log_density(r), law.score(r)

    for temperature, beta in ((0.1, 0.5), (0.3, 1.0)):
        _, score = both(temperature, beta, 0.7)
        assert float(score) == pytest.approx(2 * beta**2 / 0.7 - 0.7 / temperature)
    with pytest.raises(ValueError, match="traced"):
        jax.jit(lambda t: horizontal(PRODUCT, potential, t).log_normaliser())(0.1)


def test_sufficient_statistics():
    law = pushforward(RADIAL, lambda r: 0.5 * r**2, T)
    r = np.array([0.2, 0.9])
    np.testing.assert_allclose(law.statistic("temperature")(r), 0.5 * r**2 / T, rtol=1e-10)
    np.testing.assert_allclose(
        differences(law.statistic("exponent")(r)), differences(2 * np.log(r)), atol=1e-10
    )
    # Equipartition: three directions, T/2 each.
    mean, variance = law.expectation(law.statistic("temperature"))
    assert (float(mean), float(variance)) == pytest.approx((1.5, 1.5), abs=1e-10)
    # Under decay the fibre integral depends on the temperature too.
    bessel = pushforward(PRODUCT, potential, T, RIDGE)
    z = RIDGE * 0.5 / T
    expected = potential(0.5) / T + z * special.k1(z) / special.k0(z)
    assert float(bessel.statistic("temperature")(0.5)) == pytest.approx(expected, abs=1e-7)
    with pytest.raises(ValueError, match="`name`"):
        law.statistic("other")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: horizontal(PRODUCT, potential, 0.0), "`temperature` must be positive"),
        (lambda: horizontal(PRODUCT, potential, np.ones(2)), "`temperature` must be a scalar"),
        (lambda: horizontal(PRODUCT, potential, T, calculus="other"), "`calculus`"),
        (lambda: horizontal(PRODUCT, potential, T, reference="other"), "`reference`"),
        (lambda: projected(PRODUCT, potential, T, 0.0, 1.0), "`alpha`"),
        (lambda: projected(PRODUCT, potential, T, 1.0, -1.0), "`beta`"),
        (lambda: pushforward(PRODUCT, potential, T, -0.1), "`ridge`"),
        (lambda: horizontal(Quotient(PRODUCT.phi, PAIR), potential, T), "`at=`"),
        (
            lambda: horizontal(PRODUCT, potential, T, domain=Domain(np.zeros(2), np.ones(2))),
            "`domain`",
        ),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_newton_lift():
    q = product(lift=None)
    law = horizontal(q, potential, T, domain=Domain.line(0.0))
    exact = horizontal(PRODUCT, potential, T, domain=Domain.line(0.0))
    w = np.linspace(0.05, 2.0, 9)
    np.testing.assert_allclose(law.cdf(w), exact.cdf(w), atol=1e-6)


def test_a_gauge_of_ones_own_conditions_without_a_residual_group():
    """`r = |x|` in the plane given `y = 0`: `e^(-r^2/2T)` itself, not `r` times it."""
    import gaugebias as gb

    action = gb.symmetry.Orthogonal("0")
    q = gb.Quotient(
        lambda p: jnp.sqrt(jnp.sum(p[0] ** 2)),
        action,
        gauge=gb.quotient.FunctionGauge(lambda p: p[0][1]),
        lift=lambda r: (jnp.stack([r, 0.0 * r]),),
        at=(jnp.array([0.6, 0.8]),),
        domain=gb.quotient.Domain.line(lower=0.0),
    )
    law = gb.laws.conditioned(q, lambda r: 0.5 * r**2, 1.0)
    r = np.array([0.3, 1.0, 2.0])
    np.testing.assert_allclose(np.diff(law.log_density(r)), np.diff(-0.5 * r**2), atol=1e-8)
    free = gb.quotient.FunctionGauge(lambda p: 0.0 * p[0][1])
    loose = gb.Quotient(q.phi, action, gauge=free, lift=q.lift, at=q.at, domain=q.domain)
    with pytest.raises(gb.laws.LawRefused, match="fixes 0 of the 1 directions"):
        gb.laws.conditioned(loose, lambda r: 0.5 * r**2, 1.0)


def test_a_lift_off_the_slice_is_refused_where_the_slice_matters():
    """Balanced at `w = 1` alone: the law would be `(1 + w^2)^(-1/2)`."""
    action = Rescaling("0", "1", axes=(None, None))
    q = Quotient(
        lambda p: p[0] * p[1],
        action,
        lift=lambda w: (w, jnp.ones_like(w)),
        at=(jnp.array(1.0), jnp.array(1.0)),
        domain=Domain.line(lower=0.0),
    )
    for build in (horizontal, conditioned):
        with pytest.raises(LawRefused, match="`lift` does not give points of the slice"):
            build(q, lambda w: 0.5 * (w - 1.0) ** 2, 0.1)


def test_a_scaling_has_no_slice():
    action = Rescaling("0", "1", axes=(None, None), powers=(1.0, 1.0))
    q = Quotient(lambda p: p[0] / p[1], action, at=(jnp.array(1.0), jnp.array(2.0)))
    with pytest.raises(LawRefused, match="there may be no slice"):
        horizontal(q, lambda w: 0.5 * w**2, 0.1, calculus="stratonovich")


def test_a_lift_that_inverts_at_one_predictor_only_is_refused():
    """`(w, 0, 0)` has `|x|^2 = w` at `w = 1`: the law of `|x|^2` would be that of `|x|`."""
    q = Quotient(
        lambda x: jnp.sum(x**2),
        Orthogonal(lambda x: x),
        lift=lambda w: jnp.stack([w, 0.0 * w, 0.0 * w]),
        at=jnp.array([1.0, 0.0, 0.0]),
        domain=Domain.line(lower=0.0),
    )
    for build in (pushforward, horizontal):
        with pytest.raises(LawRefused, match="`lift` does not invert `phi`"):
            build(q, lambda w: 0.5 * w, 1.0)


def turning(basis):
    """`|x|^2` in space, with representatives that turn from one axis to another."""
    return Quotient(
        lambda x: jnp.sum(x**2),
        LinearFields({("", 0): jnp.asarray(basis)}),
        lift=lambda w: jnp.sqrt(w) * jnp.stack([jnp.cos(w), 0.0 * w, jnp.sin(w)]),
        at=jnp.array([1.0, 0.2, 0.3]),
        domain=Domain.line(lower=0.0),
    )


def test_orbit_volumes_need_a_basis_that_the_group_keeps():
    """Where points have a stabiliser: with another basis `log V` changes along the orbit."""
    basis = np.zeros((3, 3, 3))
    for a, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        basis[a, i, j], basis[a, j, i] = 1.0, -1.0
    law = pushforward(turning(basis), lambda w: 0.5 * w, 1.0)
    x = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(law.cdf(x), special.gammainc(1.5, 0.5 * x), atol=1e-9)
    stretched = turning(basis * np.array([2.0, 1.0, 1.0])[:, None, None])
    with pytest.raises(LawRefused, match="Ad-invariant inner product"):
        pushforward(stretched, lambda w: 0.5 * w, 1.0)
    with pytest.raises(LawRefused, match="Ad-invariant inner product"):
        projected(stretched, lambda w: 0.5 * w, 1.0, 1.0, 0.5)
    # Noise across orbits does not see their volume.
    law = horizontal(stretched, lambda w: 0.5 * w, 1.0)
    np.testing.assert_allclose(law.cdf(x), special.gammainc(0.5, 0.5 * x), atol=1e-9)


def test_parameters_of_two_precisions_are_checked_at_the_coarser():
    at = {"u": jnp.array([1.0, 2.0], jnp.float32), "v": jnp.array([1.0, 0.5])}
    q = Quotient(lambda p: p["u"] * p["v"], Rescaling("u", "v"), at=at)
    box = Domain.box((0.0, 0.0), (5.0, 5.0))
    law = horizontal(q, lambda w: jnp.sum(w**2), T, domain=box, reference="quotient")
    assert isinstance(law, ParameterLaw)
    expected = -float(jnp.sum((at["u"] * at["v"]) ** 2)) / T
    assert float(law.log_weight(at)) == pytest.approx(expected, rel=1e-6)


def test_a_bad_temperature_is_named_as_it_was_given():
    with pytest.raises(ValueError, match="`temperature` must be positive, but is -1.0"):
        projected(PRODUCT, potential, -1.0, 2.0, 0.5)
