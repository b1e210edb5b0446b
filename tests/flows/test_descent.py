"""Discrete steps and the effective initialisation."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from gaugebias import flows

A = jnp.asarray(np.random.default_rng(0).standard_normal((4, 12)))
Y = A @ jnp.concatenate([jnp.ones(2), jnp.zeros(10)])
MODEL = flows.LinearModel(A, Y)
RHO = flows.PowerDifference(2)
START = RHO.lift(jnp.zeros(12), 0.1)
BATCHES = {"GD": {}, "SGD": {"key": jr.key(0), "batch_size": 1}}


@pytest.mark.parametrize("name", BATCHES)
def test_product_identity_and_certificate(name):
    rate = {"GD": 0.125, "SGD": 0.01}[name]
    # Not more steps than it takes: where a gradient is at rounding, a step rounds u and v one way.
    steps = {"GD": 4000, "SGD": 40_000}[name]
    path = flows.gradient_descent(RHO, MODEL, START, rate, steps=steps, **BATCHES[name])
    made = path.initialisation
    assert made is not None and bool(made.valid)
    u, v = (w[-1] for w in path.params)
    np.testing.assert_allclose(jnp.log(jnp.abs(u * v)), jnp.log(made.scale), atol=1e-12)
    check = flows.certificate(made.potential, A, path.end, made.start, Y)
    assert float(check.residual) < 1e-12 and float(check.fit) < 1e-12
    # Not the start as it was.
    plain = flows.certificate(RHO.potential(START), A, path.end, jnp.zeros(12), Y)
    assert float(plain.residual) > 1e-4
    shrunk = jnp.log(0.01 / made.scale)
    assert float(jnp.min(shrunk)) >= 0 and float(jnp.max(shrunk)) > 1e-2


def test_products_of_two_weights_with_a_schedule():
    rng = np.random.default_rng(1)
    start = (jnp.asarray(rng.uniform(0.5, 1, 12)), jnp.asarray(rng.uniform(-0.4, 0.4, 12)))
    rates = 0.1 / (1 + jnp.arange(3000) / 1000)
    path = flows.gradient_descent(flows.Product(), MODEL, start, rates, steps=3000, saves=3)
    made = path.initialisation
    assert made is not None
    m, w = (p[-1] for p in path.params)
    half = 0.5 * jnp.abs(m**2 - w**2)
    np.testing.assert_allclose(jnp.log(half), jnp.log(made.scale), atol=1e-12)
    check = flows.certificate(made.potential, A, path.end, made.start, Y)
    assert float(check.residual) < 1e-9 and float(check.fit) < 1e-6
    np.testing.assert_array_equal(path.steps, [0, 1000, 2000, 3000])
    np.testing.assert_allclose(path.x[0], start[0] * start[1])


def test_averages_are_only_approximate():
    path = flows.gradient_descent(RHO, MODEL, START, 0.01, steps=4000, saves=4000, **BATCHES["SGD"])
    made = path.initialisation
    assert made is not None
    exact = 0.5 * jnp.log(0.01 / made.scale)
    integral = 0.01 * jnp.sum(path.loss)
    guess = -jnp.log(flows.sde_initialisation(0.1, 0.01, A, integral) / 0.1)
    ratio = float(jnp.max(exact) / jnp.max(guess))
    assert 0.2 < ratio < 5.0
    assert float(jnp.max(jnp.abs(exact - guess))) > 1e-3  # not exact


def test_a_step_that_kills_a_weight_is_not_valid():
    made = flows.EffectiveInitialisation.begin(RHO, (jnp.ones(2), jnp.ones(2)))
    dead = made.step(0.5, jnp.array([1.0, 0.1]))
    assert not bool(dead.valid) and float(dead.clearance[0]) == 0.0
    assert bool(made.step(0.4, jnp.array([1.0, 0.1])).valid)


def test_other_parametrisations_have_no_product():
    start = (0.5 * jnp.ones(12), 0.5 * jnp.ones(12))
    path = flows.gradient_descent(flows.PowerDifference(3), MODEL, start, 1e-3, steps=2)
    assert path.initialisation is None
    with pytest.raises(ValueError, match="exact product for `PowerDifference"):
        flows.EffectiveInitialisation.begin(flows.PowerDifference(3), start)


def test_what_bad_input_says():
    descend = flows.gradient_descent
    with pytest.raises(ValueError, match="`saves` must divide `steps`"):
        descend(RHO, MODEL, START, 0.1, steps=10, saves=3)
    with pytest.raises(ValueError, match="`key` and `batch_size` belong together"):
        descend(RHO, MODEL, START, 0.1, steps=10, batch_size=1)
    with pytest.raises(ValueError, match="`loss` must be a `LinearModel`"):
        descend(RHO, jnp.sum, START, 0.1, steps=10, key=jr.key(0), batch_size=1)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        descend(RHO, MODEL, START, -0.1, steps=10)
    with pytest.raises(ValueError, match="`learning_rate` must be a scalar or of shape"):
        descend(RHO, MODEL, START, jnp.ones(3), steps=10)
    with pytest.raises(ValueError, match="`learning_rate` is too large"):
        descend(RHO, MODEL, START, 50.0, steps=20_000)
    with pytest.raises(ValueError, match="has a weight .* that never moves"):
        descend(RHO, MODEL, (jnp.zeros(12), jnp.ones(12)), 0.1, steps=10)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1"):
        flows.sde_initialisation(0.1, 0.1, A, 1.0, batch_size=0)


@pytest.mark.slow
def test_vmap_over_starts():
    def end(alpha):
        start = RHO.lift(jnp.zeros(12), alpha)
        return flows.gradient_descent(RHO, MODEL, start, 0.05, steps=10).end

    both = jax.vmap(end)(jnp.array([0.1, 0.3]))
    np.testing.assert_allclose(both[1], end(0.3), rtol=1e-12)
