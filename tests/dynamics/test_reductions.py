"""Statistics taken on the way, chains that leave a domain, and orbits that lose a dimension."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics import (
    MEANINGS,
    SDE,
    Autocorrelation,
    Histogram,
    Langevin,
    Moments,
    ProjectedLangevin,
    Quantiles,
    Reduction,
    SimulationError,
)
from gaugebias.symmetry import Rescaling

KEY = jax.random.key(11)
WELL = Langevin(lambda p: 0.5 * jnp.sum(p["x"] ** 2), 0.1)
START = {"x": jnp.array([1.0, -0.5])}
EDGES = np.linspace(-1.0, 1.0, 9)


def observe(p):
    return {"x": p["x"], "energy": jnp.sum(p["x"] ** 2)}


def energy(seen):
    return seen["energy"]


def run(**options):
    settings: dict[str, Any] = dict(
        key=KEY, chains=70, steps=60, dt=0.05, burn_in=12, every=3, observe=observe
    )
    sde, init = options.pop("sde", WELL), options.pop("init", START)
    return gb.simulate(sde, init, **(settings | options))


COUNTED = Reduction(
    init=lambda seen: {"n": jnp.zeros((), jnp.int32), "most": -jnp.inf * jnp.ones(())},
    update=lambda s, seen: {"n": s["n"] + 1, "most": jnp.maximum(s["most"], seen["energy"])},
    finish=lambda s: {"n": s["n"], "most": s["most"].max()},
)
MOMENTS = Moments()
ALL = {
    "moments": MOMENTS,
    "histogram": Histogram(EDGES, of=lambda seen: seen["x"]),
    "quantiles": Quantiles(accuracy=0.05, of=energy),
    "autocorrelation": Autocorrelation(lags=8, levels=3),
    "counted": COUNTED,
}


@pytest.fixture(scope="module")
def recorded():
    return run()


@pytest.fixture(scope="module")
def reduced():
    return run(reduce=ALL)


def test_reductions_are_those_of_the_recorded_draws(recorded, reduced):
    x, e = recorded.values["x"], recorded.values["energy"]
    assert x.shape == (70, 16, 2)
    got = reduced.reductions
    np.testing.assert_allclose(got["moments"]["x"].mean, x.mean((0, 1)), rtol=1e-11)
    np.testing.assert_allclose(got["moments"]["energy"].variance, e.var(ddof=1), rtol=1e-11)
    for i in range(2):
        counts = np.histogram(x[..., i], EDGES)[0]
        np.testing.assert_array_equal(got["histogram"].counts[:, i], counts)
    exact = np.quantile(e, 0.5, method="inverted_cdf")
    np.testing.assert_allclose(got["quantiles"].quantile(0.5), exact, rtol=0.05)
    ess = gb.stats.effective_sample_size(x)
    np.testing.assert_allclose(got["autocorrelation"]["x"].ess, ess, rtol=0.3)
    assert got["counted"]["n"].tolist() == [16] * 70 and got["counted"]["most"] == e.max()


def correlations(x):
    """Of draws `(chains, draws, *shape)` at all lags, an even number, by the definition."""
    n = x.shape[1]
    d = x - x.mean(axis=1, keepdims=True)
    lags = range(n - n % 2)
    covariance = np.array([(d[:, k:] * d[:, : n - k]).sum(axis=1).mean(axis=0) / n for k in lags])
    total = covariance[0] + x.mean(axis=1).var(axis=0, ddof=1)
    rho = 1.0 - (covariance[0] * n / (n - 1) - covariance) / total
    rho[0] = 1.0
    return rho


@pytest.mark.parametrize("draws", [15, 16, 17, 33, 64])
def test_autocorrelations_are_those_of_any_number_of_draws(draws):
    """Sixteen draws are worked in at a time, wherever chunks end; the rest at the end."""
    options: dict[str, Any] = dict(steps=5 + draws, every=1, burn_in=5)
    got = run(reduce=Autocorrelation(lags=64, levels=2), **options).reductions["autocorrelation"]
    values = run(**options).values
    for name in ("x", "energy"):
        exact = correlations(values[name])
        np.testing.assert_allclose(got[name].correlation, exact, atol=1e-10)
        assert got[name].draws == draws and got[name].block.max() == 1
        short = correlations(values[name][:, :-1])  # one draw less is seen
        assert np.abs(short - exact[: len(short)]).max() > 1e-4


def test_reductions_keep_the_last_draw_and_change_no_number(recorded, reduced):
    assert reduced.values["x"].shape == (70, 1, 2) and reduced.steps.tolist() == [60]
    np.testing.assert_array_equal(reduced.values["x"][:, -1], recorded.values["x"][:, -1])
    np.testing.assert_array_equal(reduced.final["x"], recorded.final["x"])


def test_memory_does_not_grow_with_the_number_of_draws():
    """What lives on the device between chunks, and what the host keeps, for 20 times the draws."""
    sizes = []
    for draws in (20, 400):
        ens = run(steps=12 + 3 * draws, reduce=ALL)
        sizes.append(sum(np.asarray(x).nbytes for x in jax.tree.leaves((ens.values, ens.steps))))
        assert ens.reductions["moments"]["x"].draws == draws
        assert ens.reductions["counted"]["n"].tolist() == [draws] * 70
    assert sizes[0] == sizes[1]


def test_by_default_every_step_is_a_draw():
    ens = run(every=None, burn_in=0, steps=7, reduce=Moments(of=energy))
    assert ens.reductions["moments"].draws == 7


def test_the_mean_follows_the_law_and_a_wrong_one_is_rejected():
    """Chains are independent: z of the mean energy 2 T, at |z| < 5 (false alarm 6e-7)."""
    ens = run(chains=256, steps=3000, burn_in=200, every=2, reduce=Moments(of=energy), dt=0.01)
    got = ens.reductions["moments"]
    # Euler's stationary variance is T / (1 - dt / 2) for each of two coordinates.
    z = (got.mean - 2 * 0.1 / (1 - 0.005)) / got.standard_error
    assert abs(z) < 5
    assert abs((got.mean - 2 * 0.11) / got.standard_error) > 5


def test_results_of_reductions_survive_a_round_trip(reduced, tmp_path):
    reduced.save(tmp_path / "run")
    back = gb.load(tmp_path / "run")
    assert set(back.reductions) == set(ALL)
    for name in ALL:
        for was, now in zip(
            jax.tree.leaves(reduced.reductions[name]),
            jax.tree.leaves(back.reductions[name]),
            strict=True,
        ):
            np.testing.assert_array_equal(now, was)
    assert type(back.reductions["moments"]["x"]) is type(reduced.reductions["moments"]["x"])
    exact = reduced.reductions["quantiles"].quantile(0.9)
    assert back.reductions["quantiles"].quantile(0.9) == exact
    assert type(back.reductions["quantiles"]) is gb.stats.QuantileSummary


STIFF = Langevin(lambda p: 50.0 * jnp.sum(p["x"] ** 4), 0.1)


def test_a_chain_that_fails_is_left_out_whole():
    start = {"x": jnp.array([[0.1, 0.0], [30.0, 0.0], [0.1, 0.1]])}
    options: dict[str, Any] = dict(sde=STIFF, init=start, batched=True, chains=None, dt=0.01)
    with pytest.raises(SimulationError, match="1 of 3 chains diverged") as caught:
        run(**options, reduce=MOMENTS, burn_in=0)
    ens = caught.value.ensemble
    assert ens.results.tolist() == [0, 1, 0]
    assert ens.reductions["moments"]["x"].chains == 2
    assert np.all(np.isfinite(ens.reductions["moments"]["x"].mean))
    kept = run(**options, burn_in=0, throw=False).values["x"][[0, 2]]
    np.testing.assert_allclose(ens.reductions["moments"]["x"].mean, kept.mean((0, 1)), rtol=1e-11)
    none = run(**(options | dict(init={"x": jnp.full((3, 2), 30.0)})), reduce=MOMENTS, throw=False)
    assert none.reductions == {} and not none.successful.any()


def clock(p):
    return p["x"][0]


def straight(**options):
    """`x` moves by exactly 1/4 a step: chain `c` starts at `c`."""
    sde = SDE(lambda p: {"x": jnp.ones(1)}, lambda p, z: {"x": 0.0 * z["x"]}, calculus="ito")
    start = {"x": jnp.arange(3.0)[:, None]}
    settings: dict[str, Any] = dict(sde=sde, init=start, batched=True, chains=None, dt=0.25)
    return run(**(settings | dict(burn_in=0, steps=12, every=6, observe=clock) | options))


@pytest.mark.parametrize(
    "domain", [gb.quotient.Domain.line(upper=4.0), lambda x: x <= 4.0], ids=["box", "predicate"]
)
def test_chains_that_leave_the_domain_are_named_to_the_step(domain):
    """They end at 3, 4 and 5: the last one is beyond 4 after step 9, and goes on."""
    ens = straight(domain=domain, throw=False)
    assert ens.results.tolist() == [0, 0, 2] and ens.failed_by.tolist() == [-1, -1, 9]
    np.testing.assert_array_equal(ens.final["x"][:, 0], [3.0, 4.0, 5.0])
    assert ens.last().tolist() == [3.0, 4.0] and MEANINGS[2] == "left the domain"
    with pytest.raises(SimulationError, match="1 of 3 chains left `domain` .the first by step 9"):
        straight(domain=domain)


def test_a_chain_that_leaves_between_draws_and_comes_back_has_left():
    there = SDE(lambda p: {"x": -4.0 * p["x"]}, lambda p, z: {"x": 0.0 * z["x"]}, calculus="ito")
    start = {"x": jnp.array([[1.0], [0.1]])}  # x -> -x each step with dt = 1/2
    ens = straight(sde=there, init=start, dt=0.5, domain=lambda x: x > -0.5, throw=False, every=2)
    assert ens.results.tolist() == [2, 0] and ens.failed_by.tolist() == [1, -1]
    assert np.all(ens.values[0] == 1.0)


def test_watching_a_domain_changes_no_number(recorded):
    watched = run(domain=lambda seen: seen["energy"] < 1e6)
    np.testing.assert_array_equal(watched.values["x"], recorded.values["x"])


def test_what_diverges_has_not_left_the_domain():
    ens = run(
        sde=STIFF,
        init={"x": jnp.array([30.0, 0.0])},
        chains=2,
        domain=lambda seen: seen["energy"] < jnp.inf,
        dt=0.01,
        throw=False,
    )
    assert ens.results.tolist() == [1, 1]


def test_draws_that_are_not_finite_are_not_passed_over_in_silence():
    root = {"observe": lambda p: jnp.sqrt(p["x"][0])}
    with pytest.warns(RuntimeWarning, match="`observe` gave .* the reduction 'moments' says"):
        ens = run(**root, reduce=Moments())
    assert ens.successful.all()
    with pytest.warns(RuntimeWarning, match="the reduction 'histogram' says nothing there"):
        run(**root, reduce=Histogram(EDGES))


def test_numbers_may_be_numpys():
    lags = Autocorrelation(lags=np.int64(8), levels=np.int32(2))
    assert (lags.lags, lags.levels) == (8, 2) and type(lags.lags) is type(lags.levels) is int
    assert Quantiles(accuracy=np.float32(0.5), largest=np.int64(9)).scale.largest == 9.0


def test_an_orbit_that_loses_a_dimension_is_named():
    """Gradient flow into u = v = 0, exactly: one step of size one."""
    pair = Rescaling("u", "v", axes=(None, None))
    sde = ProjectedLangevin(lambda p: 0.5 * (p["u"] ** 2 + p["v"] ** 2), pair, 0.0)
    start = {"u": jnp.array([1.0, 0.0]), "v": jnp.array([1.0, 0.0])}
    options: dict[str, Any] = dict(sde=sde, init=start, batched=True, chains=None, steps=4, dt=1.0)
    options |= dict(burn_in=0, every=None, observe=lambda p: p["u"])
    ens = run(**options, throw=False)
    # The second chain starts on the singular stratum: it has lost nothing.
    assert ens.results.tolist() == [3, 0] and ens.failed_by.tolist() == [1, -1]
    with pytest.raises(SimulationError, match="1 of 2 chains met a singular orbit Gram"):
        run(**options)


def test_an_orbit_that_loses_a_dimension_is_named_in_processes_that_wrap_another():
    pair = Rescaling("u", "v", axes=(None, None))
    sde = ProjectedLangevin(lambda p: 0.5 * (p["u"] ** 2 + p["v"] ** 2), pair, 0.0)
    start = {"u": jnp.array([1.0, 0.0]), "v": jnp.array([1.0, 0.0])}
    options: dict[str, Any] = dict(init=start, batched=True, steps=4, throw=False, key=KEY)
    ens = gb.simulate(gb.dynamics.to_stratonovich(sde), dt=1.0, **options)
    assert ens.results.tolist() == [3, 0] and ens.failed_by.tolist() == [1, -1]
    # Two steps of size one half leave a quarter; one of size one ends on the stratum.
    both = gb.dynamics.step_halving(sde, dt=1.0, **options)
    assert both.coarse.results.tolist() == [3, 0] and both.fine.results.tolist() == [0, 0]


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(reduce="moments"), "`reduce` must be a reduction"),
        (dict(reduce={}), "`reduce` must be a reduction"),
        (dict(reduce={"a b": Moments()}), "by name"),
        (dict(reduce=Moments(), observe=lambda p: jnp.arange(2)), "numbers of dtype int"),
        (
            dict(reduce=Reduction(lambda x: jnp.zeros(()), lambda s, x: x["x"], lambda s: s)),
            "`reduce`: the state of 'reduction' is .* keep its structure",
        ),
        (
            dict(
                reduce=Histogram(1.0 + 1e-9 * np.arange(4)),
                observe=lambda p: p["x"].astype(jnp.float32),
            ),
            "`edges` are too close or too large for an observable of dtype float32",
        ),
        (dict(domain=3.0), "`domain` must be a `gaugebias.quotient.Domain`"),
        (dict(domain=gb.quotient.Domain.line()), "`domain` has 1 coordinates, but"),
        (dict(domain=lambda seen: seen["x"] > 0), "`domain` must return one boolean"),
        (dict(domain=lambda seen: seen["energy"] < 1), "70 of 70 chains start outside `domain`"),
        (dict(observe=lambda p: p["y"]), "`init` lacks what the process or `observe` reads"),
        (dict(observe=lambda p: None), "`observe` returns no array"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Histogram([2.0, 1.0]), "`edges` must be finite and increasing"),
        (lambda: Quantiles(accuracy=0.0), "`accuracy` must be"),
        (lambda: Quantiles(accuracy="x"), "`accuracy` must be a number, but is 'x'"),
        (lambda: Quantiles(accuracy=0.1j), "`accuracy` must be a number"),
        (lambda: Quantiles(largest=None), "`largest` must be a number, but is None"),
        (lambda: Quantiles(smallest=[1.0]), "`smallest` must be a number"),
        (lambda: Histogram(np.array([0.0, 1.0j])), "`edges` must be an array of real numbers"),
        (lambda: Quantiles(smallest=2.0, largest=1.0), "`smallest` and `largest`"),
        (lambda: Autocorrelation(lags=7), "`lags` must be even"),
        (lambda: Autocorrelation(levels=0), "`levels` must be at least 1"),
        (lambda: Autocorrelation(levels=2.0), "`levels` must be an integer"),
    ],
)
def test_bad_reductions(make, message):
    with pytest.raises(ValueError, match=message):
        make()
