"""Natural gradients and flows on data, above one dimension."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from gaugebias import flows
from gaugebias.flows._mixtures._natural import FisherMetric, fisher_metric

HALF = jnp.array([0.5, 0.5])
U = jnp.array([1.0, 1.0])
PLANE = flows.GaussianMixture(HALF, jnp.array([[0.0, 0.2], [1.0, 0.8]]))
_rng = np.random.default_rng(3)
DATA = _rng.standard_normal((150, 2)) + 1.5 * (_rng.random((150, 1)) < 0.5)
NAN = jnp.full((3, 2), jnp.nan)
LINE = flows.GaussianMixture(HALF, jnp.array([0.0, 1.0]))


def models():
    return [flows.MixtureModel(PLANE, c) for c in (flows.AbsoluteChart(), flows.OrderedChart(U))]


@pytest.mark.slow
def test_the_metric_by_draws_is_the_fisher_matrix():
    """On the line against quadrature, in the plane against independent draws (4.5 errors)."""
    model = flows.MixtureModel(LINE, flows.CentredChart(HALF))
    xi = model.inverse(LINE)
    exact = np.asarray(flows.fisher_information(model, xi).matrix)
    found = np.asarray(fisher_metric(0, 2, jr.key(0), 4096)(model, xi))
    assert exact[0, 1] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(np.diag(found), np.diag(exact), rtol=0.05)
    plane = models()[0]
    theta = plane.inverse(PLANE)
    draws = flows.fisher_information(plane, theta, key=jr.key(1), draws=20_000)
    metric = np.asarray(fisher_metric(2, 4, jr.key(2), 20_000)(plane, theta))
    # Two independent estimates, the second with errors no larger: the root of 2 of one's.
    z = (metric - np.asarray(draws.matrix)) / (np.sqrt(2) * np.asarray(draws.error))
    assert np.abs(z).max() < 4.5


def test_natural_steps_in_the_plane_do_not_see_the_chart_and_plain_ones_do():
    """At a step of 1e-6 the means move alike, to that order."""
    rate, moves = 1e-6, {}
    for natural in (True, False):
        for model in models():
            found = flows.mixture_descent(
                model,
                DATA,
                model.inverse(PLANE),
                learning_rate=rate,
                steps=1,
                natural=natural,
                key=jr.key(0) if natural else None,
                draws=512,
            )
            means = [model(xi).means for xi in found.coordinates]
            moves.setdefault(natural, []).append((means[1] - means[0]) / rate)
    np.testing.assert_allclose(*moves[True], rtol=1e-4)
    assert np.abs(moves[False][0] / moves[False][1] - 1).max() > 0.1


@pytest.mark.slow
def test_flows_of_data_end_where_em_does():
    fit = flows.mixture_em(DATA, PLANE, fixed_weights=True, tol=1e-14, max_steps=5000)
    model = models()[1]
    best = -fit.traces[0][-1] / len(DATA)
    for natural, until in ((False, 400.0), (True, 25.0)):
        path = flows.mixture_flow(
            model,
            DATA,
            model.inverse(PLANE),
            until,
            natural=natural,
            key=jr.key(0) if natural else None,
            draws=256,
            tolerance=1e-6,
        )
        assert (np.diff(path.loss) < 1e-9).all()
        assert float(path.loss[-1]) == pytest.approx(best, abs=1e-6)


def test_the_flow_is_the_limit_of_descent():
    """Half the step, half the gap."""
    model = flows.MixtureModel(LINE, flows.FlooredChart(0.1))
    data, start = DATA[:, 0], model.inverse(LINE)
    end = flows.mixture_flow(model, data, start, 2.0).params[-1]
    gaps = []
    for steps in (50, 100):
        found = flows.mixture_descent(model, data, start, learning_rate=2.0 / steps, steps=steps)
        gaps.append(float(jnp.linalg.norm(found.coordinates[-1] - end)))
    assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.1)


def on_each_other(key=None):
    model = flows.MixtureModel(PLANE, flows.RelativeChart())
    return flows.mixture_flow(model, DATA, jnp.zeros(4), 1.0, natural=True, key=key, draws=64)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (on_each_other, "`key` is needed for `natural` above one dimension"),
        (lambda: on_each_other(jr.key(0)), "`start` is a singular point"),
        (lambda: fisher_metric(2, 4, jr.key(0), 4), "`draws` must be a whole number above 4"),
        (lambda: flows.mixture_flow(models()[0], DATA, jnp.zeros((2, 2)), 1.0), "`start` must be"),
        (lambda: flows.mixture_flow(models()[0], NAN, jnp.zeros(4), 1.0), "not finite"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_quadrature_is_the_default_on_the_line():
    assert fisher_metric(0, 2, None, 64) == FisherMetric(None)
