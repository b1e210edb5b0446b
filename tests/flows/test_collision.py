"""The reduced dynamics of two close components, beside exact population flows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gaugebias import flows

W, GOAL = 0.3, 0.5
WEIGHTS = jnp.array([1 - W, W])
STARTS = (0.1, 0.03, 0.01)


def reduced(start, target=GOAL):
    return flows.Collision(W, start, target)


def mixture(delta):
    return flows.GaussianMixture(WEIGHTS, jnp.array([-W * delta, (1 - W) * delta]))


def path(chart, start, times, *, target=GOAL, natural=False):
    model = flows.MixtureModel(mixture(1.0), chart)
    return flows.population_flow(
        model, mixture(target), model.inverse(mixture(start)), jnp.asarray(times), natural=natural
    )


def crossing(chart, start, until, *, natural=False):
    """The time at which the measured difference is half of its target."""
    found = path(chart, start, np.linspace(0.0, until, 401), natural=natural)
    delta = np.asarray(found.x.means[:, 1] - found.x.means[:, 0])
    assert (np.diff(found.loss) < 1e-15).all()
    return float(np.interp(GOAL / 2, delta, np.asarray(found.times)))


@pytest.mark.parametrize("target", [0.0, 0.5])
def test_closed_forms_solve_their_equations(target):
    c = W**2 * (1 - W) ** 2
    model, times = reduced(0.2, target), [0.0, 0.3, 2.0, 150.0]
    fields = {
        "gradient_flow": lambda _, d: -c * d * (d**2 - target**2),
        "natural_flow": lambda _, d: -(d**2 - target**2) / (2 * d),
    }
    for name, field in fields.items():
        ts = times if name == "gradient_flow" else times[:3]
        y = solve_ivp(field, (0, ts[-1]), [0.2], "DOP853", ts, rtol=1e-11, atol=1e-13).y[0]
        np.testing.assert_allclose(getattr(model, name)(jnp.asarray(ts)), y, rtol=1e-8)


def test_times_are_those_of_the_curves():
    for f in (0.5, 0.9):
        model = reduced(0.03)
        assert float(model.gradient_flow(model.plateau_time(f))) == pytest.approx(f * GOAL)
        assert float(model.natural_flow(model.natural_time(f))) == pytest.approx(f * GOAL)
    assert float(reduced(-0.03).gradient_flow(1e4)) == pytest.approx(-GOAL)
    inside = jax.jit(lambda f: reduced(0.3).plateau_time(f))
    assert np.isnan(float(inside(0.5)))


def test_stated_predictions():
    plateau = [float(reduced(s).plateau_time()) for s in STARTS]
    np.testing.assert_allclose(plateau, [94.3, 205.2, 305.0], atol=0.06)
    natural = [float(reduced(s).natural_time()) for s in STARTS]
    np.testing.assert_allclose(natural, [0.247, 0.284, 0.287], atol=6e-4)
    assert float(reduced(0.5, 0.0).gradient_flow(4000.0)) == pytest.approx(0.0529, abs=6e-5)


@pytest.mark.slow
def test_measured_plateaus_and_decay():
    """Exact population flow in the centred chart: the stated figures, and the law within 2%."""
    chart = flows.CentredChart(WEIGHTS)
    for start, stated in zip(STARTS, (94.8, 205.6, 305.4), strict=True):
        found = crossing(chart, start, 400.0)
        assert found == pytest.approx(stated, rel=1e-3)
        assert found == pytest.approx(float(reduced(start).plateau_time()), rel=0.02)
    late = path(chart, 0.5, np.linspace(0.0, 4000.0, 401), target=0.0)
    delta = np.asarray(late.x.means[:, 1] - late.x.means[:, 0])
    assert delta[-1] == pytest.approx(0.0531, rel=2e-3)
    np.testing.assert_allclose(delta, reduced(0.5, 0.0).gradient_flow(late.times), rtol=0.02)
    slope = np.polyfit(np.log(late.times[200:]), np.log(delta[200:]), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.01)


@pytest.mark.slow
def test_measured_natural_gradient_has_no_plateau():
    chart = flows.CentredChart(WEIGHTS)
    for start, stated in zip(STARTS, (0.246, 0.283, 0.286), strict=True):
        found = crossing(chart, start, 1.0, natural=True)
        assert found == pytest.approx(stated, rel=0.005)
        assert found == pytest.approx(float(reduced(start).natural_time()), rel=0.02)


@pytest.mark.slow
def test_the_mean_slows_the_other_chart():
    """In `(mu_1, delta)` by `1 + w^2`, to leading order in the difference."""
    for start, stated in zip(STARTS, (103.0, 224.0, 333.0), strict=True):
        found = crossing(flows.RelativeChart(), start, 450.0)
        assert found == pytest.approx(stated, rel=0.01)
        assert found == pytest.approx((1 + W**2) * float(reduced(start).plateau_time()), rel=0.02)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: flows.Collision(0.0, 0.1, 0.5), "`weight` must be inside"),
        (lambda: flows.Collision(0.3, 0.0, 0.5), "`start` must be finite and not 0"),
        (lambda: flows.Collision(0.3, 0.1, -0.5), "`target` must be finite, at least 0"),
        (lambda: flows.Collision(0.3, jnp.ones(2), 0.5), "`start` must be a scalar"),
        (lambda: reduced(0.3).plateau_time(0.5), "`fraction` times the target"),
        (lambda: reduced(0.3, 0.0).natural_time(0.5), "`fraction` times the target"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
