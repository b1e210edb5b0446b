"""Orders of the steps, computed from moments and not by sampling, and who may take order two."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics import SDE, Langevin, integrate
from gaugebias.dynamics._runs._additive import reads_parameters

KEY = jax.random.key(3)
RATE, T = 1.3, 0.1
SDE_LINEAR = Langevin(lambda x: 0.5 * RATE * x**2, T)


def _step(solver, dt):
    """The factor and the noise's size of one step `x -> factor x + size z`, from runs of one step.

    The equation is linear, so two starts on the same noise give both exactly."""
    ends = [
        integrate(SDE_LINEAR, x, key=KEY, steps=1, dt=dt, solver=solver) for x in jnp.arange(2.0)
    ]
    z = jax.random.normal(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0), (1,))[0]
    return float(ends[1] - ends[0]), float(ends[0] / z)


def _errors(solver, dt):
    """Errors of the variance at equilibrium, and of mean and variance at time 1 from x = 1."""
    factor, size = _step(solver, dt)
    mean, variance = 1.0, 0.0
    for _ in range(round(1 / dt)):
        mean, variance = factor * mean, factor**2 * variance + size**2
    settled = size**2 / (1 - factor**2)
    decay = np.exp(-RATE)
    exact = T / RATE, decay, T / RATE * (1 - decay**2)
    return np.abs(np.array([settled, mean, variance]) - exact)


@pytest.mark.parametrize("solver, order", [(diffrax.Euler(), 1.0), (diffrax.Heun(), 2.0)])
def test_the_weak_order_of_a_step_by_its_moments(solver, order):
    """Halving the step divides the errors by `2^order`; each solver fails the other's order."""
    coarse, fine = _errors(solver, 0.02), _errors(solver, 0.01)
    found = np.log2(coarse / fine)
    np.testing.assert_allclose(found, order, atol=0.05)
    assert np.all(np.abs(found - (3.0 - order)) > 0.9)


def test_step_halving_has_the_order_of_euler_and_its_extrapolation_order_two():
    """Of the variance at equilibrium: the coarse and the fine run differ by half of the coarse
    one's error, and `2 fine - coarse` has an error of second order."""
    exact = T / RATE

    def extrapolated(dt):
        coarse, fine = _errors(diffrax.Euler(), dt)[0], _errors(diffrax.Euler(), dt / 2)[0]
        return abs(2 * fine - coarse), abs(coarse - fine) / coarse

    (first, share), (second, _) = extrapolated(0.04), extrapolated(0.02)
    assert abs(share - 0.5) < 0.02 and first < 1e-3 * exact
    assert abs(np.log2(first / second) - 2.0) < 0.1


def test_order_two_of_a_nonlinear_drift_by_quadrature():
    """`E x^2` after two steps in the potential `x^4/4`, by Gauss-Hermite quadrature over both
    noises, against four and eight steps of half and a quarter the size by the same scheme."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    grid = np.linspace(-4.0, 4.0, 2001)

    def one(x, dt, order):
        kick = np.sqrt(2 * 0.5 * dt) * nodes[:, None]
        first = x - x**3 * dt + kick
        return first if order == 1 else x - 0.5 * dt * (x**3 + first**3) + kick

    def expected(steps, order):
        value = grid**2
        for _ in range(steps):
            value = weights @ np.interp(one(grid, 0.4 / steps, order), grid, value)
        return np.interp(0.7, grid, value)

    # The scheme by hand is the one of the library:
    sde = Langevin(lambda x: 0.25 * x**4, 0.5)
    z = float(jax.random.normal(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0), (1,))[0])
    end = integrate(sde, jnp.array(0.7), key=KEY, steps=1, dt=0.1, solver=diffrax.Heun())
    kick = np.sqrt(0.1) * z
    first = 0.7 - 0.1 * 0.343 + kick
    np.testing.assert_allclose(end, 0.7 - 0.05 * (0.343 + first**3) + kick, rtol=1e-12)
    for order in (1, 2):
        values = [expected(n, order) for n in (8, 16, 32)]
        found = np.log2((values[0] - values[1]) / (values[1] - values[2]))
        assert abs(found - order) < 0.25


def test_ensembles_and_cuts_of_order_two():
    settings: dict[str, Any] = dict(key=KEY, chains=4, dt=0.05, solver=diffrax.Heun())
    whole = gb.simulate(SDE_LINEAR, jnp.array(0.5), steps=24, **settings)
    half = gb.simulate(SDE_LINEAR, jnp.array(0.5), steps=10, **settings)
    settings.pop("chains")
    rest = gb.simulate(SDE_LINEAR, half.final, batched=True, start=10, steps=14, **settings)
    np.testing.assert_array_equal(rest.final, whole.final)
    alone = integrate(
        SDE_LINEAR, jnp.array(0.5), key=KEY, steps=24, dt=0.05, chain=2, solver=diffrax.Heun()
    )
    np.testing.assert_allclose(whole.final[2], alone, rtol=1e-12)
    assert whole.settings["solver"] == "Heun"


def test_noise_that_is_not_additive_is_refused():
    def constant(y, z):
        return 0.3 * jnp.ones_like(y) * z

    start = jnp.array(1.0)
    for calculus in ("ito", "stratonovich"):
        fine = SDE(lambda y: -y, constant, calculus=calculus)
        assert not reads_parameters(fine, start)
        integrate(fine, start, key=KEY, steps=2, dt=0.1, solver=diffrax.Heun())
        for diffusion in (lambda y, z: y * z, lambda y, z: jax.lax.stop_gradient(y) * z):
            bad = SDE(lambda y: -y, diffusion, calculus=calculus)
            with pytest.raises(ValueError, match="`solver` Heun is for additive noise.*SDE reads"):
                gb.simulate(bad, start, key=KEY, steps=2, dt=0.1, chains=2, solver=diffrax.Heun())
            with pytest.raises(ValueError, match="`solver` Heun is for additive noise"):
                jax.jit(
                    lambda y, sde=bad: integrate(
                        sde, y, key=KEY, steps=2, dt=0.1, solver=diffrax.Heun()
                    )
                )(start)
