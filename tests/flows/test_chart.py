"""Charts of components: inverse, image, Jacobian, pull-back."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.linalg import expm

import gaugebias as gb
from gaugebias import flows

WEIGHTS = jnp.array([0.2, 0.5, 0.3])
CHARTS = [
    (flows.AbsoluteChart(), 3),
    (flows.RelativeChart(), 3),
    (flows.CentredChart(WEIGHTS), 3),
    (flows.OrderedChart(), 3),
    (flows.FlooredChart(jnp.array([0.3, 0.1])), 3),
    (flows.FixedChart(jnp.array([0.4, -1.0])), 1),
    (flows.SimplexChart(), 2),
    (flows.SimplexChart(0.1), 2),
]

_image = eqx.filter_jit(lambda chart, xi: chart(xi))
_inverse = eqx.filter_jit(lambda chart, theta: chart.inverse(theta))
_jacobian = eqx.filter_jit(lambda chart, xi: chart.jacobian(xi))


@pytest.mark.parametrize(("chart", "rows"), CHARTS)
@given(seed=st.integers(0, 2**31))
def test_the_inverse_undoes_the_chart(chart, rows, seed):
    xi = jnp.asarray(3.0 * np.random.default_rng(seed).standard_normal(rows))
    assert chart.rows(3) == rows
    theta = _image(chart, xi)
    assert theta.shape == (3,) and bool(chart.contains(theta))
    np.testing.assert_allclose(_inverse(chart, theta), xi, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("chart", "rows"), CHARTS)
def test_the_jacobian_is_that_of_finite_differences(chart, rows):
    xi, h = jnp.array([0.3, -0.7, 0.4])[:rows], 1e-5
    steps = h * jnp.eye(rows)
    moved = [(_image(chart, xi + e) - _image(chart, xi - e)) / (2 * h) for e in steps]
    j = _jacobian(chart, xi)
    np.testing.assert_allclose(j, jnp.stack(moved, axis=1), atol=1e-9)
    metric = jnp.asarray(np.diag([1.0, 2.0, 3.0]) + 0.1)
    np.testing.assert_allclose(chart.pull_back(xi, metric), j.T @ metric @ j, atol=1e-12)


@pytest.mark.parametrize("chart", [CHARTS[0][0], CHARTS[1][0], CHARTS[2][0]])
def test_linear_charts_in_the_plane(chart):
    theta = jnp.asarray(np.random.default_rng(1).standard_normal((3, 2)))
    np.testing.assert_allclose(chart(chart.inverse(theta)), theta, atol=1e-14)
    assert chart.jacobian(theta).shape == (6, 6)


U = jnp.array([3.0, 4.0])


@pytest.mark.parametrize("direction", [None, U])
@pytest.mark.parametrize(("kind", "floor"), [(flows.OrderedChart, 0.0), (flows.FlooredChart, 1e-9)])
def test_differences_near_the_singular_set_keep_their_digits(kind, floor, direction):
    chart = kind(*([floor] if floor else []), direction)
    for rho in (-15.0, -20.0, -28.0):
        xi = jnp.array([0.0, rho])
        u = None if direction is None else direction / 5.0
        theta = chart(xi if u is None else jnp.outer(xi, u))
        size = theta[1] - theta[0] if u is None else (theta[1] - theta[0]) @ u
        want = floor + np.log1p(np.exp(rho)) if floor else np.exp(rho)
        np.testing.assert_allclose(size, want, rtol=1e-13)


PLANAR = [
    (flows.OrderedChart(U), 0.0),
    (flows.FlooredChart(jnp.array([0.3, 0.1]), U), jnp.array([0.3, 0.1])),
]


@pytest.mark.parametrize(("chart", "floor"), PLANAR)
def test_order_along_a_direction(chart, floor):
    """Inverse, image and Jacobian in the plane; across the direction nothing is moved."""
    xi = jnp.asarray(2.0 * np.random.default_rng(2).standard_normal((3, 2)))
    theta = _image(chart, xi)
    np.testing.assert_allclose(_inverse(chart, theta), xi, atol=1e-12)
    steps = jnp.diff(theta, axis=0)
    assert bool(jnp.all(steps @ U / 5.0 > floor))
    across = jnp.array([-4.0, 3.0]) / 5.0
    np.testing.assert_allclose(steps @ across, xi[1:] @ across, atol=1e-12)
    h, j = 1e-5, np.asarray(_jacobian(chart, xi))
    moved = [
        (_image(chart, xi + h * e) - _image(chart, xi - h * e)).ravel() / (2 * h)
        for e in jnp.eye(6).reshape(6, 3, 2)
    ]
    np.testing.assert_allclose(j, np.stack(moved, axis=1), atol=1e-8)
    assert not bool(chart.contains(theta[::-1]))
    with pytest.raises(ValueError, match="increasing order along `direction`"):
        chart.inverse(theta[::-1])


def test_charts_are_parametrisations_of_the_room():
    """Their kernel is `J J^T`, and gradient flow through a shear is that of a linear map."""
    chart, xi = flows.FlooredChart(jnp.array([0.3, 0.1])), jnp.array([0.3, -0.7, 0.4])
    j = _jacobian(chart, xi)
    np.testing.assert_allclose(flows.tangent_kernel(chart, xi), j @ j.T, atol=1e-12)
    goal, shear = jnp.array([1.0, 2.0, 4.0]), flows.RelativeChart()
    path = flows.gradient_flow(
        shear, lambda t: 0.5 * jnp.sum((t - goal) ** 2), jnp.zeros(3), jnp.array([0.0, 0.7])
    )
    k = np.asarray(_jacobian(shear, xi))
    expected = goal - expm(-0.7 * k @ k.T) @ goal
    np.testing.assert_allclose(path.end, expected, atol=1e-8)


@pytest.mark.slow
def test_charts_go_into_discovery_and_laws(getkey):
    """Coordinates that are products: the symmetry is found, and the law is that of the means."""
    chart, w = flows.RelativeChart(), jnp.array([0.3, 0.7])
    x = jnp.asarray(np.random.default_rng(0).standard_normal(64))
    params = {"u": jnp.array([0.5, 1.2]), "v": jnp.array([-0.7, 1.1])}

    def means(p):
        return chart(p["u"] * p["v"])

    def predict(p, x):
        return flows.GaussianMixture(w, means(p)).log_density(x)

    found = gb.discover(predict, params, x)
    gb.check_invariance(predict, found.action, params, x)
    act = gb.symmetry.Rescaling("u", "v", axes=(0, 0))
    gb.check_invariance(predict, act, params, x)

    def lift(theta):
        xi = chart.inverse(theta)
        root = jnp.sqrt(jnp.abs(xi))
        return {"u": jnp.sign(xi) * root, "v": root}

    quotient = gb.Quotient(means, act, at=params, lift=lift)

    def potential(theta):
        return flows.NegativeLogLikelihood(x)(flows.GaussianMixture(w, theta)) + jnp.sum(theta**2)

    law = gb.laws.horizontal(quotient, potential, 0.1)
    # det K = (det J)^2 prod 2 |xi|, and det J = 1: the Gram correction is that of the coordinates.
    one, other = jnp.array([-0.4, 1.0]), jnp.array([-0.2, 0.7])
    gap = law.log_density(one) - law.log_density(other)
    steps = [jnp.array([t[0], t[1] - t[0]]) for t in (one, other)]
    expected = -(potential(one) - potential(other)) / 0.1
    expected -= 0.5 * jnp.sum(jnp.log(jnp.abs(steps[0] / steps[1])))
    assert float(gap) == pytest.approx(float(expected), rel=1e-6)


def test_shears_have_determinant_one():
    for chart in (flows.RelativeChart(), flows.CentredChart(WEIGHTS)):
        assert float(jnp.linalg.det(_jacobian(chart, jnp.arange(3.0)))) == pytest.approx(1.0)


def test_the_images_keep_their_floors():
    xi = jnp.array([1.0, -30.0, 2.0])
    theta = flows.FlooredChart(jnp.asarray(0.25))(xi)
    assert bool(jnp.all(jnp.diff(theta) >= 0.25))
    assert float(jnp.min(flows.SimplexChart(0.1)(jnp.array([-50.0, 3.0])))) >= 0.1


def test_outside_the_image_under_jit_is_nan():
    assert bool(jnp.all(jnp.isnan(_inverse(flows.OrderedChart(), jnp.array([0.0, 1.0, 0.5])))))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: flows.OrderedChart().inverse(jnp.array([0.0, 0.0])), "increasing order"),
        (lambda: flows.FlooredChart(0.5).inverse(jnp.array([0.0, 0.4])), "`floor`"),
        (lambda: flows.FlooredChart(0.0), "`floor` must be positive"),
        (lambda: flows.FlooredChart(jnp.array([0.1, 0.2])).rows(2), "2 entries for 2 components"),
        (lambda: flows.OrderedChart()(jnp.zeros((2, 2))), "on the line"),
        (
            lambda: flows.OrderedChart(U)(jnp.zeros(2)),
            "`direction` of `OrderedChart` has 2 entries",
        ),
        (lambda: flows.FlooredChart(0.1, jnp.ones(3))(jnp.zeros((2, 2))), "has 3 entries"),
        (lambda: flows.OrderedChart(jnp.zeros(2)), "`direction` must be finite and not 0"),
        (lambda: flows.OrderedChart(jnp.eye(2)), "`direction` must be a vector"),
        (lambda: flows.FixedChart(jnp.array([0.5, 0.0])), "`differences` must be finite and not 0"),
        (lambda: flows.FixedChart(jnp.array([0.5])).rows(3), "1 rows for 3 components"),
        (lambda: flows.CentredChart(jnp.array([0.5, 0.6])), "sum to 1"),
        (lambda: flows.CentredChart(jnp.array([0.5, 0.5])).rows(3), "2 entries for 3"),
        (lambda: flows.SimplexChart(0.5).rows(2), "too much for 2 weights"),
        (lambda: flows.SimplexChart(-0.1), r"`floor` must be a number in \[0, 1/K\)"),
        (lambda: flows.SimplexChart().inverse(jnp.array([0.0, 1.0])), "weights above `floor`"),
        (lambda: flows.AbsoluteChart().pull_back(jnp.zeros(2), jnp.eye(3)), "`metric`"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
