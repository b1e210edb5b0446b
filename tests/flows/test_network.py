"""Networks of one hidden layer in charts."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

W = jnp.array([[0.5, 0.1], [1.0, -0.3], [1.8, 0.4]])
A = jnp.array([0.4, -0.7, 1.0])
NET = flows.ShallowNetwork(W, A)
X = jnp.asarray(np.random.default_rng(0).standard_normal((20, 2)))
OUTPUTS = flows.BoundedChart(0.1, jnp.sign(A))


@pytest.mark.parametrize(
    "chart", [flows.RelativeChart(), flows.FlooredChart(0.2, jnp.array([1.0, 0.0]))]
)
def test_models_invert_and_predict(chart):
    model = flows.NetworkModel(NET, chart, OUTPUTS)
    xi = model.inverse(NET)
    assert xi.shape == (model.size,) == (9,)
    np.testing.assert_allclose(model(xi).neurons, W, atol=1e-14)
    np.testing.assert_allclose(model(xi).outputs, A, atol=1e-14)
    expected = sum(a * np.tanh(np.asarray(X) @ w) for a, w in zip(A, np.asarray(W), strict=True))
    np.testing.assert_allclose(model(xi)(X), expected, atol=1e-14)
    assert float(jnp.min(jnp.abs(model(xi.at[6:].set(-40.0)).outputs))) >= 0.1


def test_information_is_that_of_finite_differences_and_singular_at_a_collision():
    model = flows.NetworkModel(NET, flows.RelativeChart(), OUTPUTS)
    xi, h = model.inverse(NET), 1e-6
    masses = jnp.arange(1.0, 21.0)
    j = np.stack([(model(xi + h * e)(X) - model(xi - h * e)(X)) / (2 * h) for e in jnp.eye(9)], 1)
    mass = np.asarray(masses / masses.sum())
    expected = j.T @ (mass[:, None] * j)
    np.testing.assert_allclose(model.information(xi, X, masses), expected, atol=1e-8)
    together = model.information(xi.at[2:4].set(0.0), X)  # w_2 = w_1
    assert np.linalg.matrix_rank(np.asarray(expected), tol=1e-9) == 9
    # The difference of equal neurons changes the outputs as their mean does, and so do a_1, a_2.
    assert np.linalg.matrix_rank(np.asarray(together), tol=1e-9) == 6


@pytest.mark.slow
def test_the_natural_flow_does_not_see_the_chart_and_the_plain_one_does():
    truth = flows.ShallowNetwork(jnp.array([0.4, 1.6]), jnp.array([0.7, 0.7]))
    start = flows.ShallowNetwork(jnp.array([0.8, 1.2]), jnp.array([0.7, 0.7]))
    x = jnp.linspace(-2.0, 2.0, 15)
    loss, ends = flows.NetworkLoss(x, truth(x)), {}
    for natural in (True, False):
        for chart in (flows.AbsoluteChart(), flows.FlooredChart(0.1)):
            model = flows.NetworkModel(start, chart)
            path = flows.network_flow(model, loss, model.inverse(start), 1.0, natural=natural)
            assert (np.diff(path.loss) < 0).all()
            ends.setdefault(natural, []).append(np.asarray(path.x.neurons[-1]))
    np.testing.assert_allclose(*ends[True], atol=1e-7)
    assert np.abs(ends[False][0] - ends[False][1]).max() > 1e-3


LINE = flows.ShallowNetwork(jnp.array([1.0, 1.0]), jnp.ones(2))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: flows.ShallowNetwork(W, A, "relu"), "`activation` is 'relu'"),
        (lambda: flows.ShallowNetwork(W, A[:2]), "`outputs` must have shape"),
        (lambda: flows.ShallowNetwork(jnp.ones((1, 1, 1)), A), "`neurons` must have shape"),
        (lambda: NET(jnp.zeros(3)), r"`inputs` must have shape \(N, 2\)"),
        (lambda: flows.BoundedChart(0.0, jnp.ones(2)), "`floor` must be positive"),
        (lambda: flows.BoundedChart(0.1, jnp.zeros(2)), "`signs` must be 1 or -1"),
        (lambda: flows.BoundedChart(0.1, jnp.ones(2)).rows(3), "`signs` of the chart has 2"),
        (lambda: OUTPUTS.inverse(-A), "each larger than `floor`"),
        (lambda: flows.NetworkModel(NET, flows.AbsoluteChart())(jnp.zeros(2)), "`coordinates`"),
        (lambda: flows.NetworkLoss(X, jnp.zeros(3)), "`targets` must have shape"),
        (lambda: flows.NetworkLoss(X, jnp.full(20, jnp.nan)), "`targets` must be finite"),
        (lambda: flows.NetworkLoss(X, jnp.zeros(20), jnp.ones(3)), "`masses` must have shape"),
        (lambda: flows.NetworkLoss(X, jnp.zeros(20), -jnp.ones(20)), "`masses` must be finite"),
        (
            lambda: flows.network_flow(
                flows.NetworkModel(LINE, flows.AbsoluteChart()),
                flows.NetworkLoss(X[:, 0], X[:, 1]),
                LINE.neurons,
                1.0,
                natural=True,
            ),
            "`start` is a singular point",
        ),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
