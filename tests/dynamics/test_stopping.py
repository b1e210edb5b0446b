"""Stopping on the effective sample size: when, how far, and what it does to intervals."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

import gaugebias as gb
from gaugebias.dynamics import Autocorrelation, Langevin, Moments
from gaugebias.dynamics._runs._stopping import looks

KEY = jax.random.key(2)
T, DT = 0.5, 0.2
SDE = Langevin(lambda x: 0.5 * jnp.sum(x**2), T)
A = 1 - DT  # Euler's chain is an autoregression x' = (1 - dt) x + noise
VARIANCE = 2 * T * DT / (1 - A**2)


def stationary(key):
    return np.sqrt(VARIANCE) * jax.random.normal(key, (1,))


def run(**options):
    settings: dict[str, Any] = dict(key=KEY, chains=16, steps=6400, every=1, dt=DT)
    return gb.simulate(SDE, stationary, **settings | options)


def test_it_stops_when_enough_is_known_and_not_before():
    ens = run(until_ess=500)
    found = ens.reductions["until_ess"]
    assert found.ess.item() >= 500 and ens.draws == found.draws < 6400
    assert ens.settings["until_ess"] == 500.0
    # 9 draws make one here: 281 draws of each chain would do; it looks at every quarter more.
    expected = 500 * (1 + A) / (1 - A) / 16
    assert 0.7 * expected < ens.draws < 1.25 * 1.4 * expected + 100
    exact = gb.stats.effective_sample_size(ens.values)
    np.testing.assert_allclose(found.ess, exact, rtol=0.1)
    whole = run(until_ess=None, steps=int(ens.steps[-1]))
    np.testing.assert_array_equal(whole.values, ens.values)


@pytest.mark.slow
def test_every_entry_must_have_it():
    """The second entry moves a hundred times as slowly."""
    sde = Langevin(lambda x: 0.5 * x[0] ** 2 + 0.005 * x[1] ** 2, T)
    start = np.sqrt(T) * jax.random.normal(KEY, (16, 2)) * jnp.array([[1.0, 10.0]])
    options: dict[str, Any] = dict(key=KEY, steps=25_600, every=4, dt=DT, batched=True)
    ens = gb.simulate(sde, start, reduce=Moments(), until_ess=100, **options)
    ess = ens.reductions["until_ess"].ess
    assert ess[0] > 20 * ess[1] and 100 <= ess[1] < 300
    assert ens.draws == 1 and ens.reductions["moments"].draws < 6400


def test_what_cannot_be_reached_stops_at_the_limit_and_says_how_far_it_got():
    with pytest.warns(RuntimeWarning, match="`until_ess` .1e.09. was not reached in 640 steps"):
        ens = run(until_ess=1e9, steps=640)
    assert ens.steps[-1] == 640
    assert 500 < ens.reductions["until_ess"].ess < 2500  # 16 * 640 / 9 = 1138
    for options, why in (
        (dict(observe=lambda x: 0.0 * x), "an entry of the observable never changes"),
        (
            dict(observe=lambda x: jnp.sqrt(-1.0 - x**2)),
            "`observe` gave numbers that are not finite",
        ),
        (dict(every=300), "2 draws of a chain are too few: lower `every`"),
        (dict(observe=jnp.exp, dt=3.0, throw=False, steps=1280), "no chain is left"),
    ):
        with pytest.warns(RuntimeWarning, match=f"sample size is 0; {why}. Raise `steps`"):
            run(**(dict(until_ess=10, steps=640) | options))


def test_chains_that_do_not_mix_count_as_one_draw_each_at_most():
    """64 chains in two wells, none of which changes over: no more draws than chains, ever."""
    well = Langevin(lambda x: 10.0 * (x**2 - 1.0) ** 2, 0.05)
    start = jnp.where(jnp.arange(64) < 32, -1.0, 1.0)
    with pytest.warns(RuntimeWarning, match="is [34][0-9.]+; chains have hardly mixed"):
        ens = gb.simulate(
            well, start, batched=True, key=KEY, steps=2000, every=4, dt=0.005, until_ess=100
        )
    np.testing.assert_array_equal(np.sign(ens.final), start)
    assert ens.steps[-1] == 2000


def test_looks_depend_on_the_plan_alone_and_thin_out():
    plan = [(1, 10, False)] * 3 + [(1, 10, True)] * 40 + [(1, 3, False)]
    found = sorted(looks(plan))
    drawn = [10 * (n - 3) for n in found]
    assert drawn[0] == 10
    assert all(b >= 1.25 * a for a, b in zip(drawn, drawn[1:], strict=False))


def test_a_stopped_run_is_read_back_from_its_checkpoint(tmp_path):
    first = run(until_ess=500, reduce=Moments(), checkpoint=tmp_path / "a")
    calls = []
    again = run(until_ess=500, reduce=Moments(), checkpoint=tmp_path / "a", progress=calls.append)
    assert not calls and again.steps.tolist() == first.steps.tolist()
    np.testing.assert_array_equal(again.final, first.final)
    with pytest.raises(ValueError, match="until_ess is 400.0 here and 500.0 there"):
        run(until_ess=400, reduce=Moments(), checkpoint=tmp_path / "a")


LEVEL, RUNS = 0.9, 100


def covered(stop):
    """Of 100 runs, how many intervals at 90 % hold the mean, 0, when `stop` chooses the run's end.

    `stop(values)` gives the number of draws to keep; the interval is that of the chains' means.
    """
    from scipy.stats import t

    reach = t.ppf(0.5 + LEVEL / 2, 15)
    hits = 0
    for i in range(RUNS):
        x = stop(i)
        means = x.mean(axis=1)
        hits += abs(means.mean()) <= reach * means.std(ddof=1) / np.sqrt(16)
    return hits


@pytest.mark.slow
def test_intervals_after_stopping_keep_their_level_and_stopping_on_the_mean_does_not():
    """False alarm 1e-4 in each direction, under the binomial law of 100 intervals at 90 %."""
    low, high = binom.ppf([1e-4, 1 - 1e-4], RUNS, LEVEL)
    options: dict[str, Any] = dict(steps=640, until_ess=300, every=2)

    @functools.cache
    def on_ess(i):
        return run(key=jax.random.key(i), **options).values[..., 0]

    assert low <= covered(on_ess) <= high

    def on_the_mean(i):  # the same draws, ended where the interval first leaves the mean out
        x = on_ess(i)
        for n in range(8, x.shape[1] + 1, 4):
            means = x[:, :n].mean(axis=1)
            if abs(means.mean()) > 1.75 * means.std(ddof=1) / 4:
                return x[:, :n]
        return x

    assert covered(on_the_mean) < low


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(until_ess=0), "`until_ess` must be a positive number"),
        (dict(until_ess=float("inf")), "`until_ess` must be a positive number"),
        (dict(until_ess=10, every=None), "`until_ess` needs draws on the way: give `every`"),
        (
            dict(until_ess=10, reduce={"until_ess": Autocorrelation()}),
            "`reduce`: 'until_ess' is the name of what `until_ess` takes",
        ),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)
