import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.stats import kolmogorov_smirnov

# The draws come from the simulated process, one a chain, with steps well below .02; the sample
# sizes are those at which errors of .1 in the exponent and of 5% in the temperature are seen.
# A right law fails with probability 1e-3 a test, by chance; wrong ones must be rejected at 1e-6.

TEMPERATURE = 0.1


def potential(w):
    return 0.5 * (w - 1.0) ** 2


def process(chains: int, dt: float):
    """`w = uv` under horizontal noise from a balanced start, and its predictor."""
    model = gb.catalogue.HadamardProduct(())
    q = model.quotient(at=model.lift(jnp.asarray(1.0)))
    sde = gb.dynamics.ProjectedLangevin(model.loss(potential), model.action, TEMPERATURE)
    ens = gb.simulate(
        sde,
        q.at,
        key=jr.key(11),
        chains=chains,
        steps=round(8.0 / dt),
        dt=dt,
        observe=q.phi,
        regauge=q,
    )
    return q, np.asarray(ens.last())


@pytest.fixture(scope="module")
def draws():
    return process(26_000, 0.016)


def test_the_law_of_a_simulation_and_wrong_exponents_and_temperatures(draws, power_law):
    q, w = draws
    law = gb.laws.horizontal(q, potential, TEMPERATURE, domain=gb.quotient.Domain.line(lower=0.0))
    assert gb.compare(w, law).rows[0].verdict == "consistent"
    rivals = [
        power_law(-0.4, name="flatter"),
        power_law(-0.6, name="steeper"),
        power_law(temperature=0.105, name="hot"),
        power_law(temperature=0.095, name="cold"),
    ]
    for row in gb.compare(w, rivals).rows:
        assert row.verdict == "rejected", row.law


def test_exp_of_minus_the_loss_is_a_density_of_the_quotient_volume_not_of_dw(draws, power_law):
    _, w = draws
    verdict = gb.compare(w[:4096], [power_law(), power_law(0.0, name="read in dw")])
    assert verdict["power law"].verdict == "consistent"
    assert verdict["read in dw"].verdict == "rejected"


@pytest.mark.slow
def test_kolmogorov_smirnov_alone_needs_more_draws(power_law):
    _, w = process(120_000, 0.004)
    assert kolmogorov_smirnov(w, power_law().cdf).p_value > 1e-3
    for rival in (
        power_law(-0.4),
        power_law(-0.6),
        power_law(temperature=0.105),
        power_law(temperature=0.095),
    ):
        assert kolmogorov_smirnov(w, rival.cdf).p_value < 1e-6
