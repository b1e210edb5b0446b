import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics import SDE, Langevin, ProjectedLangevin, step_halving


def potential(w):
    return 0.5 * (w - 1.0) ** 2


@pytest.fixture(scope="module")
def line():
    sde = Langevin(lambda x: 0.5 * x**2, 0.1)
    return step_halving(
        sde, jnp.array(0.0), key=jr.key(0), chains=20_000, steps=24, dt=0.5, burn_in=4, every=5
    )


@pytest.mark.slow
def test_both_runs_have_the_variance_of_their_step(line):
    # T / (1 - dt/2) and T / (1 - dt/4): 4 standard errors of a variance of 20,000 draws.
    for ens, expected in ((line.coarse, 1.0 / 0.75), (line.fine, 1.0 / 0.875)):
        x = ens.last()
        assert np.var(x) / 0.1 == pytest.approx(expected, rel=4.0 * (2 / 20_000) ** 0.5)
    # One Brownian path: chains of the two runs stay together.
    assert np.corrcoef(line.coarse.last(), line.fine.last())[0, 1] > 0.95


def test_steps_and_settings_are_those_of_each_run(line):
    assert line.coarse.steps.tolist() == [9, 14, 19, 24]
    assert line.fine.steps.tolist() == [18, 28, 38, 48]
    assert line.fine.settings["dt"] == 0.25 and line.fine.settings["steps"] == 48
    assert line.coarse.settings["dt"] == 0.5 and line.coarse.settings["process"] == "Langevin"
    assert "loss" in line.fine.settings["functions"]


@pytest.mark.slow
def test_a_half_step_is_eulers_on_the_same_noise():
    # By hand, from the noise that the driver draws: chain key, step, (first, second).
    from gaugebias.dynamics._runs._path import chain_keys, step_noise

    sde = SDE(lambda y: -y, lambda y, z: y * z, calculus="ito")
    run = step_halving(sde, jnp.array(1.0), key=jr.key(1), chains=3, steps=1, dt=0.2)
    one = jax.ShapeDtypeStruct((), jnp.float64)
    for i, key in enumerate(chain_keys(jr.key(1), 3)):
        a, b = step_noise(key, jnp.asarray(0), (one, one))
        fine = 1.0
        for z in (float(a), float(b)):
            fine += -0.1 * fine + 0.1**0.5 * fine * z
        coarse = 1.0 - 0.2 + 0.2**0.5 * float(a + b) / 2**0.5
        assert run.fine.values[i, 0] == pytest.approx(fine, rel=1e-12)
        assert run.coarse.values[i, 0] == pytest.approx(coarse, rel=1e-12)


def test_stratonovich_noise_keeps_its_calculus():
    # dy = y o dW: E y = e^(1/2) at time 1, where the Ito reading has mean 1. Errors: 4 standard
    # errors (0.012) and the steps'.
    sde = SDE(lambda y: 0.0 * y, lambda y, z: y * z, calculus="stratonovich")
    run = step_halving(sde, jnp.array(1.0), key=jr.key(2), chains=50_000, steps=16, dt=1 / 16)
    for ens in (run.coarse, run.fine):
        assert np.mean(ens.last()) == pytest.approx(np.exp(0.5), abs=0.06)
    assert run.fine.settings["solver"] == "EulerHeun"


def test_a_law_is_not_rejected_for_a_coarse_step_and_a_wrong_one_is():
    # w = uv under horizontal noise, steps so coarse that the right law is rejected without the
    # halving (false alarm 1e-3; the seed is fixed).
    model = gb.catalogue.HadamardProduct(())
    q = model.quotient(at=model.lift(jnp.asarray(1.0)))
    domain = gb.quotient.Domain.line(lower=0.0)
    law, hot = (gb.laws.horizontal(q, potential, t, domain=domain) for t in (0.1, 0.3))
    sde = ProjectedLangevin(model.loss(potential), model.action, 0.1)
    options = {"steps": 25, "dt": 0.32, "observe": q.phi, "regauge": q}
    run = step_halving(sde, q.at, key=jr.key(3), chains=20_000, **options)
    assert gb.compare(run.fine, law)[0].p_value < 1e-6
    rows = gb.compare(run, [law, hot], names=["right", "hot"])
    assert rows["right"].verdict == "undecided" and rows["right"].reason == "discretisation"
    assert rows["right"].p_value > 1e-3
    assert rows["hot"].verdict == "rejected" and rows["hot"].reason == ""
    assert "undecided: discretisation" in rows.table()
    # What is visible counts the step's share.
    assert rows["hot"].detectable["temperature"] > 0.1
    assert gb.compare(run.fine, law)[0].detectable["temperature"] < 0.1


def test_failures_and_bad_input_are_named():
    sde = Langevin(lambda x: 0.25 * x**4, 1.0)
    with pytest.raises(gb.dynamics.SimulationError, match="chains diverged"):
        step_halving(sde, jnp.array(50.0), key=jr.key(4), chains=8, steps=16, dt=1.0)
    run = step_halving(sde, jnp.array(50.0), key=jr.key(4), chains=8, steps=16, dt=1.0, throw=False)
    assert not run.fine.successful.any()
    with pytest.raises(ValueError, match="8 of 8 chains did not finish"):
        gb.compare(run, np.zeros(10) + np.arange(10))
    with pytest.raises(ValueError, match="`dt`"):
        step_halving(sde, jnp.array(0.0), key=jr.key(0), steps=1, dt=0.0)
