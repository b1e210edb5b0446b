"""Reference measures: Lebesgue in `w`, the quotient's volume, the slice's surface."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.laws import LawRefused, ParameterLaw, conditioned, horizontal, projected
from gaugebias.quotient import Domain, FunctionGauge, Quotient
from gaugebias.symmetry import Orthogonal, Rescaling

T = 0.2
HALF = Domain.line(lower=0.05)


def potential(w):
    return 0.5 * (w - 1.0) ** 2


PRODUCT = Quotient(
    lambda p: p[0] * p[1],
    Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None)),
    lift=lambda w: (jnp.sqrt(jnp.abs(w)), jnp.sign(w) * jnp.sqrt(jnp.abs(w))),
    at=(jnp.array(1.0), jnp.array(1.0)),
)
RADIAL = Quotient(
    lambda x: jnp.sqrt(jnp.sum(x**2)),
    Orthogonal(lambda x: x),
    lift=lambda r: jnp.stack([r, 0.0 * r, 0.0 * r]),
    at=jnp.array([1.0, 0.5, -0.3]),
    domain=Domain.line(0.0),
)


def total_over_the_slice(law):
    """Integral along the line u = v > 0, parametrised by arc length, of the law's density."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = np.sqrt(2 * 0.05), 3.0
    arc = low + (high - low) * (nodes + 1) / 2
    values = jax.vmap(lambda u: jnp.exp(law.log_density((u, u))))(jnp.asarray(arc / np.sqrt(2)))
    return float(np.sum(weights * np.asarray(values)) * (high - low) / 2)


@pytest.mark.parametrize("builder", [horizontal, conditioned])
@pytest.mark.parametrize("reference", ["quotient", "slice"])
def test_densities_integrate_to_one_over_their_own_measure(builder, reference):
    law = builder(PRODUCT, potential, T, domain=HALF).to(reference)
    assert law.normalised and law.reference == reference
    # For abelian groups the residual group is finite: both measures are the arc length here.
    assert total_over_the_slice(law) == pytest.approx(1.0, abs=1e-8)


def test_conversions_agree_with_the_jacobian_and_return():
    law = horizontal(PRODUCT, potential, T, domain=HALF)
    w = jnp.array(0.6)
    point = PRODUCT.representative(w)
    converted = law.to("quotient")
    expected = law.log_density(w) + 0.5 * jnp.log(2 * w)
    assert float(converted.log_density(point)) == pytest.approx(float(expected), abs=1e-12)
    assert converted.to("lebesgue") is law and law.to("lebesgue") is law
    score = converted.score(point)
    # The density on the quotient is exp(-l/T): the score is -l' grad(uv) / T.
    assert float(score[0]) == pytest.approx(float(-(w - 1) * point[1] / T))
    assert float(converted.effective_loss(point)) == pytest.approx(float(potential(w)))
    with pytest.raises(ValueError, match="lebesgue"):
        converted.cdf(0.5)
    with pytest.raises(ValueError, match="`reference`"):
        law.to("other")


def test_the_gauge_correction_on_the_slice():
    law = conditioned(PRODUCT, potential, T, domain=HALF, ridge=0.3, reference="slice")
    assert isinstance(law, ParameterLaw)
    values = [float(law.effective_loss((jnp.array(u), jnp.array(u)))) for u in (0.5, 1.2)]
    expected = [potential(u**2) + 0.3 * u**2 + 0.5 * T * np.log(2 * u**2) for u in (0.5, 1.2)]
    assert values[0] - values[1] == pytest.approx(expected[0] - expected[1], abs=1e-12)


def test_the_residual_group_counts_on_the_slice():
    law = projected(RADIAL, lambda r: 0.5 * r**2, T, 1.0, 1.0)
    on_slice, on_quotient = law.to("slice"), law.to("quotient")
    assert isinstance(on_slice, ParameterLaw) and isinstance(on_quotient, ParameterLaw)
    assert on_slice.residual_dimension == 3 and not on_slice.normalised
    points = jnp.array([[0.3, 0.2, -0.1], [0.8, -0.4, 0.5]])
    # Isotropic noise: exp(-l/T) with respect to Lebesgue measure in space, and r^2 more in dr.
    flat = jax.vmap(on_slice.log_density)(points) + 0.5 * jnp.sum(points**2, axis=1) / T
    np.testing.assert_allclose(flat, flat[0] * np.ones(2), atol=1e-10)
    radial = jax.vmap(on_quotient.log_density)(points)
    np.testing.assert_allclose(
        radial, law.log_density(jnp.sqrt(jnp.sum(points**2, axis=1))), atol=1e-10
    )
    with pytest.raises(LawRefused, match="residual"):
        on_slice.sample(jax.random.key(0), 10)


def test_draws_are_on_the_slice(getkey):
    draws = horizontal(PRODUCT, potential, T, domain=HALF, reference="quotient").sample(
        getkey(), 100
    )
    np.testing.assert_allclose(draws[0], draws[1])
    mean, _ = (
        horizontal(PRODUCT, potential, T, domain=HALF)
        .to("quotient")
        .expectation(lambda p: p[0] * p[1])
    )
    assert 0.5 < float(mean) < 1.5


def test_the_slice_of_a_gauge_of_ones_own_is_a_surface_of_its_own():
    """Given `u = 1` the slice is the line `v = w`, whose length is `dw`: one density for both.

    The quotient's volume there is `dw / sqrt(1 + w^2)`: the slice is not orthogonal to the orbits.
    """
    q = Quotient(
        PRODUCT.phi,
        PRODUCT.action,
        gauge=FunctionGauge(lambda p: p[0] - 1.0),
        lift=lambda w: (jnp.ones_like(w), w),
        at=(jnp.array(1.0), jnp.array(0.7)),
    )
    law = conditioned(q, potential, T)
    on_slice, on_quotient = law.to("slice"), law.to("quotient")
    assert isinstance(on_slice, ParameterLaw) and isinstance(on_quotient, ParameterLaw)
    assert on_slice.residual_dimension == 0 and on_slice.normalised
    for w in (0.5, 1.0, 2.0):
        point = (jnp.array(1.0), jnp.array(w))
        density = float(law.log_density(w))
        assert float(on_slice.log_density(point)) == pytest.approx(density, abs=1e-12)
        # exp(-L/T) on a line with |grad chi| = 1
        assert float(on_slice.log_weight(point)) == pytest.approx(-potential(w) / T, abs=1e-12)
        quotient = float(on_quotient.log_density(point))
        assert quotient == pytest.approx(density + 0.5 * np.log(1 + w**2), abs=1e-12)


def test_the_slice_of_another_law_must_be_that_of_the_moment_map():
    q = Quotient(
        RADIAL.phi,
        RADIAL.action,
        gauge=FunctionGauge(lambda x: x[1:]),
        lift=RADIAL.lift,
        at=RADIAL.at,
        domain=RADIAL.domain,
    )
    law = projected(q, lambda r: 0.5 * r**2, T, 1.0, 1.0)
    with pytest.raises(LawRefused, match="slice of a gauge function"):
        law.to("slice")
    # The same gauge, conditioned on: the half-line along the first axis.
    on_slice = conditioned(q, lambda r: 0.5 * r**2, T, reference="slice")
    at = [jnp.array([r, 0.0, 0.0]) for r in (0.4, 1.1)]
    values = [float(on_slice.log_weight(x)) for x in at]
    assert values[0] - values[1] == pytest.approx(0.5 * (1.1**2 - 0.4**2) / T, abs=1e-10)
