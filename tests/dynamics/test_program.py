"""How often the compiled part of a simulation is traced, and into what a run is cut."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gaugebias as gb
from gaugebias.dynamics import Histogram, Langevin, Moments, Reduction
from gaugebias.dynamics._runs import _program as program, _simulate
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


def test_statistics_are_written_over_unless_somebody_looks_back(monkeypatch, tmp_path):
    """A checkpoint may be written of the last cut, and the stopping rule reads it."""
    given, run = [], program.run_chunk

    def spy(*args, **options):
        given.append(args[2])
        return run(*args, **options)

    monkeypatch.setattr(_simulate, "run_chunk", spy)

    def gone(**options):
        """How many of the statistics that chunks were given are gone, and the counts."""
        given.clear()
        ens = gb.simulate(
            Langevin(lambda x: 0.5 * x**2, 0.1),
            jnp.array(0.0),
            key=jax.random.key(2),
            chains=8,
            steps=160,
            every=5,
            dt=0.05,
            reduce=Histogram([-1.0, 0.0, 0.3, 1.0]),
            **options,
        )
        assert len(given) >= 16
        gone = [x.is_deleted() for states in given for x in jax.tree.leaves(states)]
        return sum(gone) / len(gone), ens.reductions["histogram"].counts

    alone, counts = gone()
    assert alone == 1 and counts.sum() > 200
    for options in (dict(checkpoint=tmp_path / "run"), dict(until_ess=1e9)):
        if "until_ess" in options:
            with pytest.warns(RuntimeWarning, match="`until_ess` .* was not reached"):
                share, same = gone(**options)
        else:
            share, same = gone(**options)
        assert share == 0
        np.testing.assert_array_equal(same, counts)


@pytest.mark.parametrize("size", [2, 70])
def test_what_callers_gave_is_left_alone(size):
    """States are written over; an array that is two leaves of the start, and stays, is not."""
    start = jnp.linspace(0.5, 1.5, 8 * size).reshape(8, size)
    both, kept = {"u": start, "v": start}, np.array(start)

    def loss(p):
        return 0.5 * jnp.sum((p["u"] * p["v"] - 1.0) ** 2)

    options: dict[str, Any] = dict(key=jax.random.key(3), batched=True, steps=32)
    first = gb.simulate(Langevin(loss, 0.1), both, dt=0.01, **options)
    assert not start.is_deleted() and not np.array_equal(first.final["u"], kept)
    np.testing.assert_array_equal(start, kept)
    again = gb.simulate(Langevin(loss, 0.1), both, dt=0.01, **options)
    np.testing.assert_array_equal(again.final["v"], first.final["v"])
    on = gb.simulate(Langevin(loss, 0.1), first.final, dt=0.01, start=32, **options)
    np.testing.assert_array_equal(again.final["v"], first.final["v"])
    assert not np.array_equal(on.final["v"], first.final["v"])

    def sample_loss(p, x):
        return loss(p) + jnp.sum(p["u"]) * x

    adam, data = optax.adam(0.01), jnp.arange(4.0)
    end = gb.train(sample_loss, both, data, optimiser=adam, batch_size=2, **options)
    carry = jax.tree.map(np.array, end.carry)
    gb.train(sample_loss, end.final, data, optimiser=adam, batch_size=2, carry=end.carry, **options)
    jax.tree.map(np.testing.assert_array_equal, end.carry, carry)
    np.testing.assert_array_equal(start, kept)


def test_statistics_may_be_the_state_itself():
    """Whoever keeps the last draw starts with the start, whose memory is not to be written over."""
    last = Reduction(lambda x: (x, x), lambda s, x: (s[0], x), lambda s: s)
    start, key = jnp.linspace(-1.0, 1.0, 8)[:, None], jax.random.key(3)
    options: dict[str, Any] = dict(key=key, batched=True, steps=160, every=5, dt=0.05, reduce=last)
    ens = gb.simulate(Langevin(lambda x: 0.5 * jnp.sum(x**2), 0.1), start, **options)
    first, end = ens.reductions["reduction"]
    np.testing.assert_array_equal(first, start)
    np.testing.assert_array_equal(end, ens.final)


@pytest.mark.parametrize("every", [None, 1, 3, 7])
@pytest.mark.parametrize("burn_in", [0, 5, 21])
def test_a_run_is_cut_into_all_of_its_steps(every, burn_in):
    for steps in (28, 97, 10_007):
        plan = loose_schedule(steps, burn_in, every)
        kept = sum(records for _, records, keep in plan if keep)
        assert sum(length * records for length, records, _ in plan) == steps
        assert kept == (1 if every is None else (steps - burn_in) // every)
        assert len(plan) < 120  # a prime number of draws too
