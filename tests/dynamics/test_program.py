"""How often the compiled part of a simulation is traced, and into what a run is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics import Langevin, Moments
from gaugebias.dynamics._runs import _program as program
from gaugebias.dynamics._runs._engine import loose_schedule


@pytest.fixture
def traces(monkeypatch):
    """A list that grows by one for each trace of a chunk: it judges its chains once."""
    seen, judge = [], program.finite_chains

    def counted(*args):
        seen.append(0)
        return judge(*args)

    monkeypatch.setattr(program, "finite_chains", counted)
    return seen


def test_a_temperature_scan_of_twenty_points_is_exactly_one_trace(traces):
    def loss(x):
        return 0.5 * x**2

    def observe(x):
        return x

    spread, temperatures = [], np.linspace(0.1, 2.0, 20)
    for t in temperatures:
        ens = gb.simulate(
            Langevin(loss, t),
            jnp.array(0.0),
            key=jax.random.key(0),
            chains=32,
            steps=80,
            every=4,
            burn_in=12,
            dt=0.05,
            observe=observe,
            reduce={"moments": Moments()},
        )
        spread.append(ens.reductions["moments"].variance)
    assert len(traces) == 1
    np.testing.assert_allclose(np.array(spread) / temperatures, spread[0] / 0.1, rtol=1e-9)


def test_step_sizes_and_starts_are_not_traced_again(traces):
    def loss(x):
        return 0.25 * x**4

    for dt, start, first in ((0.1, 0.0, 0), (0.05, 1.0, 7), (0.01, 2.0, 99)):
        sde, at = Langevin(loss, 0.1), jnp.array(start)
        gb.simulate(sde, at, key=jax.random.key(1), chains=8, steps=32, dt=dt, start=first)
    assert len(traces) == 1


@pytest.mark.parametrize("every", [None, 1, 3, 7])
@pytest.mark.parametrize("burn_in", [0, 5, 21])
def test_a_run_is_cut_into_all_of_its_steps(every, burn_in):
    for steps in (28, 97, 10_007):
        plan = loose_schedule(steps, burn_in, every)
        kept = sum(records for _, records, keep in plan if keep)
        assert sum(length * records for length, records, _ in plan) == steps
        assert kept == (1 if every is None else (steps - burn_in) // every)
        assert len(plan) < 120  # a prime number of draws too
