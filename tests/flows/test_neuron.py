"""The exact trajectory of a single neuron."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gaugebias import flows

TARGET = jnp.array([0.0, 1.0])


def integrate(a, w, times):
    b = np.asarray(TARGET)

    def velocity(t, y):
        left = b - y[0] * y[1:]
        return np.concatenate([[y[1:] @ left], y[0] * left])

    start = np.concatenate([[float(a)], np.asarray(w)])
    return solve_ivp(velocity, (0, times[-1]), start, "DOP853", times, rtol=1e-12, atol=1e-14).y


@pytest.mark.parametrize("delta", [-4.0, -1.0, 0.0, 0.3, 4.0])
def test_against_an_independent_integration(delta):
    a, w = flows.neuron_start(jnp.array([-1.0, 0.2]), delta)
    exact = flows.SingleNeuron(a, w, TARGET)
    times = [0.0, 0.7, 5.0, 20.0]
    y = integrate(a, w, times)
    found = [jnp.concatenate([v[0][None], v[1]]) for v in map(WEIGHTS, [exact] * 4, times)]
    np.testing.assert_allclose(jnp.stack(found).T, y, atol=2e-9)
    end = exact.weights(1e5)
    np.testing.assert_allclose(end[0] * end[1], TARGET, atol=1e-12)
    assert float(end[0] ** 2 - end[1] @ end[1]) == pytest.approx(delta, abs=1e-10)


WEIGHTS = jax.jit(lambda neuron, t: neuron.weights(t))


def test_through_a_zero_of_a():
    """`y = w.b/a` has a pole there, the weights have not."""
    a, w = jnp.array(0.4), jnp.array([0.3, -2.0])
    exact = flows.SingleNeuron(a, w, TARGET)
    times = [0.0, 0.3, 1.0, 6.0]
    y = integrate(a, w, times)
    assert y[0, 0] > 0 > y[0, -1]
    found = jnp.stack(
        [jnp.concatenate([v[0][None], v[1]]) for v in map(WEIGHTS, [exact] * 4, times)]
    )
    np.testing.assert_allclose(found.T, y, atol=1e-9)
    np.testing.assert_allclose(exact.predictor(6.0), y[0, -1] * y[1:, -1], atol=1e-9)


def test_the_published_riccati_solution():
    a, w = flows.neuron_start(jnp.array([-1.0, 0.2]), 0.5)
    exact = flows.SingleNeuron(a, w, TARGET)
    t, delta, s = 0.9, 0.5, 1.0
    k = np.sqrt(delta**2 + 4 * s**2)
    y0 = float(w @ TARGET / a)
    c, tanh = (delta + 2 * y0) / k, np.tanh(k * t / 2)
    expected = 0.5 * (-delta + k * (c + tanh) / (1 + c * tanh))
    at, wt = exact.weights(t)
    assert float(wt @ TARGET / at) == pytest.approx(expected, rel=1e-12)


def test_kernel():
    a, w = flows.neuron_start(jnp.array([-1.0, 0.2]), 0.5)
    auto = flows.tangent_kernel(lambda p: p[0] * p[1], (a, w))
    np.testing.assert_allclose(flows.SingleNeuron(a, w, TARGET).kernel(0.0), auto, atol=1e-12)


@pytest.mark.parametrize("delta", [-0.4, pytest.param(0.8, marks=pytest.mark.slow)])
def test_limit_in_two_dimensions_is_the_minimiser(delta):
    a, b = jnp.array([[0.0, 1.0]]), jnp.array([1.5])
    x0 = jnp.array([0.9, 0.3])
    _, w = flows.neuron_start(x0, delta)
    found = flows.minimise_bregman(flows.NeuronEntropy(delta), a, b, start=x0)
    expected = flows.neuron_limit(w[0], b[0], delta)
    np.testing.assert_allclose(found.x, jnp.array([expected, 1.5]), rtol=1e-10)


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`target` must not be 0"):
        flows.SingleNeuron(1.0, jnp.ones(2), jnp.zeros(2))
    with pytest.raises(ValueError, match="`w` and `target` vectors of one length"):
        flows.SingleNeuron(1.0, jnp.ones(3), TARGET)
    exact = flows.SingleNeuron(1.0, jnp.ones(2), TARGET)
    for t in (-1.0, np.inf):
        with pytest.raises(ValueError, match="`t` must be finite and not negative"):
            exact.weights(t)
    with pytest.raises(ValueError, match="`predictor` is 0"):
        flows.neuron_start(jnp.zeros(2), -1.0)


def test_on_the_stable_manifold_of_the_saddle():
    """`a = -w`, `target = 1`: `adot = -a (1 + a^2)`, and `a^2/(1 + a^2)` falls as e^(-2t)."""
    exact = flows.SingleNeuron(1.0, jnp.array([-1.0]), jnp.array([1.0]))
    for t in (0.0, 0.7, 5.0):
        falls = 0.5 * np.exp(-2.0 * t)
        a, w = WEIGHTS(exact, t)
        np.testing.assert_allclose(a, np.sqrt(falls / (1.0 - falls)), rtol=1e-12)
        np.testing.assert_allclose(w, -a[None], rtol=1e-12)
    for t in (400.0, 1e6):
        a, w = WEIGHTS(exact, t)
        assert float(abs(a)) < 1e-150 and float(jnp.abs(w)[0]) < 1e-150
    # Beside it, to the minimum on its own side: a w = 1 with a = w, both signs.
    for nudge in (1e-9, -1e-9):
        a, w = WEIGHTS(flows.SingleNeuron(1.0 + nudge, jnp.array([-1.0]), jnp.array([1.0])), 400.0)
        np.testing.assert_allclose([a, w[0]], np.sign(nudge) * np.ones(2), rtol=1e-8)


def test_what_lies_across_the_target_stays_on_the_stable_manifold():
    """`delta = -|w_perp|^2` in the limit: the neuron ends at `a = 0` and keeps the rest of `w`."""
    w = jnp.array([0.6, -0.5])
    r = lambda a: 0.5 * (a**2 - w @ w + jnp.sqrt((a**2 - w @ w) ** 2 + 4.0))  # noqa: E731
    a = jnp.array(0.5)
    for _ in range(60):
        a = 0.5 / r(a)
    exact = flows.SingleNeuron(a, w, TARGET)
    end = WEIGHTS(exact, 12.0)
    assert abs(float(end[0])) < 1e-4 and abs(float(end[1][1])) < 1e-4
    assert float(end[1][0]) ** 2 == pytest.approx(-float(exact.delta), rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.3, -0.3])
def test_derivatives_at_any_imbalance(shift):
    """Against differences, where `delta` is 0 too."""
    w = jnp.array([0.3, 0.4])
    end = lambda a: PREDICTOR(flows.SingleNeuron(a, w, TARGET), 1.3)[1]  # noqa: E731
    a, h = jnp.array(0.5 + shift), 1e-6
    slope = (float(end(a + h)) - float(end(a - h))) / (2 * h)
    assert float(jax.grad(end)(a)) == pytest.approx(slope, rel=1e-7)


PREDICTOR = jax.jit(lambda neuron, t: neuron.predictor(t))
