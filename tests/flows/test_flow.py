"""Gradient flow and its natural control."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows

A = jnp.asarray(np.random.default_rng(0).standard_normal((3, 7)))
Y = A @ jnp.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
MODEL = flows.LinearModel(A, Y)
RHO = flows.PowerDifference(2)
START = RHO.lift(jnp.zeros(7), 0.2)


@pytest.fixture(scope="module")
def path():
    return flows.gradient_flow(RHO, MODEL, START, 3e3, stop=1e-11, tolerance=1e-11)


def test_flow_ends_at_the_minimiser(path):
    potential = RHO.potential(START)
    assert bool(path.settled) and 0 < float(path.stopped) < 3e3
    check = flows.certificate(potential, A, path.end, jnp.zeros(7), Y)
    assert float(check.residual) < 5e-9 and float(check.fit) < 1e-9
    found = flows.minimise_bregman(potential, A, Y)
    np.testing.assert_allclose(path.end, found.x, atol=1e-8)
    # The control: it is not the Euclidean projection.
    assert float(jnp.max(jnp.abs(path.end - jnp.linalg.pinv(A) @ Y))) > 0.1
    late = np.asarray(path.times) > float(path.stopped)
    assert late.any() and bool(jnp.all(path.x[late] == path.end[None]))


def test_divergence_falls(path):
    potential = RHO.potential(START)
    fall = flows.divergence_along(potential, path.x, path.end)
    assert bool(fall.monotone) and float(fall.values[0]) > 0.1
    # The divergence of another potential need not, nor another point's.
    up = flows.divergence_along(potential, path.x[::-1], path.end)
    assert not bool(up.monotone)
    with pytest.raises(ValueError, match="`path` must have shape"):
        flows.divergence_along(potential, path.x, path.end[:3])


@pytest.mark.slow
def test_natural_gradient_forgets_the_parametrisation():
    nearest = jnp.linalg.pinv(A) @ Y
    path = flows.natural_gradient_flow(RHO, MODEL, START, 1e3, stop=1e-11, tolerance=1e-11)
    np.testing.assert_allclose(path.end, nearest, atol=1e-9)


@pytest.mark.slow
def test_pseudo_inverse_of_the_data_keeps_the_bias(path):
    data = flows.natural_gradient_flow(RHO, MODEL, START, 30.0, metric="data", tolerance=1e-11)
    np.testing.assert_allclose(data.end, path.end, atol=1e-8)
    residuals = jnp.linalg.norm(data.x @ A.T - Y[None], axis=1)
    rate = jnp.exp(-data.times[:5])
    np.testing.assert_allclose(residuals[:5], residuals[0] * rate, rtol=1e-6)


@pytest.mark.slow
def test_dependent_rows_have_a_pseudo_inverse_too(path):
    twice = flows.LinearModel(jnp.concatenate([A, 2.0 * A[:2]]), jnp.concatenate([Y, 2.0 * Y[:2]]))
    data = flows.natural_gradient_flow(RHO, twice, START, 30.0, metric="data", tolerance=1e-11)
    np.testing.assert_allclose(data.end, path.end, atol=1e-8)


@pytest.mark.slow
def test_a_flow_within_jit_and_of_any_function():
    def end(scale):
        start = {"u": scale * jnp.ones(7), "v": scale * jnp.ones(7)}
        fn = lambda p: p["u"] ** 2 - p["v"] ** 2  # noqa: E731
        return flows.gradient_flow(fn, MODEL, start, 500.0, tolerance=1e-8).end

    np.testing.assert_allclose(jax.jit(end)(0.2), end(0.2), atol=1e-12)


@pytest.mark.slow
def test_weight_decay_needs_the_derived_constant():
    rng = np.random.default_rng(5)
    start = (jnp.asarray(rng.uniform(0.6, 1.2, 7)), jnp.asarray(rng.uniform(-0.4, 0.4, 7)))
    path = flows.gradient_flow(
        flows.Product(), MODEL, start, 300.0, decay=lambda t: 0.2 * jnp.exp(-t), tolerance=1e-12
    )
    assert float(path.decay[-1]) == pytest.approx(0.2, rel=1e-9)
    residuals = []
    for constant in ("derived", "published"):
        potential = flows.decayed_entropy(start, path.decay[-1], constant=constant)
        origin = potential.from_dual(jnp.zeros(7))
        residuals.append(float(flows.certificate(potential, A, path.end, origin, Y).residual))
    assert residuals[0] < 1e-10 and residuals[1] > 0.1


def test_what_bad_input_says():
    with pytest.raises(ValueError, match="`times` must be finite and increasing"):
        flows.gradient_flow(RHO, MODEL, START, jnp.array([0.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="`times` must be finite and increasing"):
        flows.gradient_flow(RHO, MODEL, START, 0.0)
    with pytest.raises(ValueError, match="must be a time or an increasing vector"):
        flows.gradient_flow(RHO, MODEL, START, jnp.ones((2, 2)))
    with pytest.raises(ValueError, match="`fn` must be a parametrisation"):
        flows.natural_gradient_flow(lambda w: w, MODEL, START, 1.0)
    with pytest.raises(ValueError, match="needs `loss` to be a `LinearModel`"):
        flows.natural_gradient_flow(RHO, jnp.sum, START, 1.0, metric="data")
    with pytest.raises(ValueError, match='`metric` must be "predictor" or "data"'):
        flows.natural_gradient_flow(RHO, MODEL, START, 1.0, metric="fisher")


@pytest.mark.slow
def test_a_flow_that_blows_up_says_so():
    with pytest.raises(ValueError, match="the flow was cut off at time 0.333"):
        flows.gradient_flow(lambda w: w, lambda x: -jnp.sum(x**3), 1.0, 1.0, max_steps=500)


@pytest.mark.slow
def test_below_depth_two_weights_reach_zero():
    rho = flows.PowerDifference(1.5)
    with pytest.raises(ValueError, match="powers below 2 reach 0 in finite time"):
        start = rho.lift(jnp.zeros(7), 1e-3)
        flows.gradient_flow(rho, MODEL, start, 200.0, tolerance=1e-8, max_steps=2000)


def test_one_compilation_for_all_scales(path):
    from gaugebias.flows._trajectories._flow import _solve

    before = _solve._cached._cache_size()
    start = RHO.lift(jnp.zeros(7), 0.3)
    flows.gradient_flow(RHO, MODEL, start, 2e3, stop=1e-9, tolerance=1e-9)
    assert _solve._cached._cache_size() == before
