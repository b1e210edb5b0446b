"""Training as an ensemble: batches, cuts, optimisers, controls, failures."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gaugebias as gb
from gaugebias.dynamics import (
    Autocorrelation,
    Histogram,
    LabelNoiseSDE,
    Moments,
    SimulationError,
    optimiser_symmetries,
)
from gaugebias.stats import mean_test

KEY = jax.random.key(5)
N, RATE, BATCH = 12, 0.05, 4
X = jax.random.normal(jax.random.key(0), (N,))
Y = 1.3 * X + 0.5 * jax.random.normal(jax.random.key(1), (N,))
DATA = (X, Y)
P = {"u": jnp.array(1.5), "v": jnp.array(0.4), "name": "kept"}
SGD = optax.sgd(RATE)
ADAM = optax.adamw(RATE, weight_decay=0.1)


def loss(p, sample):
    x, y = sample
    return 0.5 * (p["u"] * p["v"] * x - y) ** 2


def run(**options):
    settings = dict(optimiser=ADAM, batch_size=BATCH, key=KEY, chains=5, steps=24)
    init, data = options.pop("init", P), options.pop("data", DATA)
    fn = options.pop("loss", loss)
    return gb.train(fn, init, data, **{**settings, **options})


@pytest.fixture(scope="module")
def whole():
    return run()


def test_a_run_cut_in_two_is_the_whole_run_bit_for_bit(whole):
    first = run(steps=10)
    second = run(steps=14, init=first.final, batched=True, chains=None, start=10, carry=first.carry)
    np.testing.assert_array_equal(second.final["u"], whole.final["u"])
    assert second.steps.tolist() == [24] and whole.final["name"] == "kept"
    without = run(steps=14, init=first.final, batched=True, chains=None, start=10)
    assert np.all(without.final["u"] != whole.final["u"])


def test_ensembles_of_different_sizes_share_their_chains(whole):
    np.testing.assert_array_equal(run(chains=8).values["u"][:5], whole.values["u"])


def test_observing_on_the_way_changes_nothing(whole):
    seen = run(every=6, burn_in=6, observe=lambda p: p["u"] * p["v"])
    assert seen.values.shape == (5, 3) and seen.steps.tolist() == [12, 18, 24]
    np.testing.assert_array_equal(seen.final["u"], whole.final["u"])


def test_reductions_are_those_of_all_draws():
    """Statistics on the way against the same of the draws kept, also where the number of draws is
    prime and burn-in is no multiple of `every`."""

    def product(p):
        return p["u"] * p["v"]

    options = dict(observe=product, steps=41, burn_in=3, every=2, chains=5)
    kept = run(**options)
    reduce = {"m": Moments(), "h": Histogram(np.linspace(0.0, 2.0, 9)), "l": Autocorrelation(32, 2)}
    reduced = run(**options, reduce=reduce)
    assert kept.values.shape == (5, 19) and reduced.values.shape == (5, 1)
    np.testing.assert_array_equal(reduced.values[:, 0], kept.values[:, -1])
    assert reduced.steps.tolist() == [41] and reduced.reductions["m"].draws == 19
    np.testing.assert_allclose(reduced.reductions["m"].mean, kept.values.mean(), rtol=1e-12)
    counts = np.histogram(kept.values, np.linspace(0.0, 2.0, 9))[0]
    np.testing.assert_array_equal(reduced.reductions["h"].counts, counts)
    ess = gb.stats.effective_sample_size(kept.values)
    np.testing.assert_allclose(reduced.reductions["l"].ess, ess, rtol=1e-9)
    each = run(observe=product, steps=7, reduce=Moments(), chains=5)
    assert each.reductions["moments"].draws == 7
    with pytest.raises(ValueError, match="`reduce` must be a reduction"):
        run(reduce="mean")


def test_the_optimiser_is_the_one_by_hand(whole):
    """Chain 2 of AdamW, with its batches drawn as documented: by chain and step number."""
    moving = {"u": P["u"], "v": P["v"]}
    state = ADAM.init(moving)
    key = jax.random.fold_in(KEY, 2)

    @jax.jit
    def step(moving, state, i):
        rows = jax.random.randint(jax.random.fold_in(key, i), (BATCH,), 0, N)

        def mean(p):
            return jnp.mean(jax.vmap(loss, (None, 0))(p, (X[rows], Y[rows])))

        changes, state = ADAM.update(jax.grad(mean)(moving), state, moving)
        return optax.apply_updates(moving, changes), state

    for i in range(24):
        moving, state = step(moving, state, i)
    np.testing.assert_allclose(whole.final["u"][2], moving["u"], rtol=1e-10)


def test_learning_rates_share_batches_and_stand_one_after_the_other():
    both = run(optimiser=optax.sgd, learning_rates=[0.01, RATE], chains=3)
    alone = run(optimiser=SGD, chains=3)
    np.testing.assert_allclose(both.values["u"][3:], alone.values["u"], rtol=1e-12)
    assert both.settings["learning_rates"] == [0.01] * 3 + [RATE] * 3


def test_the_imbalance_is_multiplied_by_each_batch_exactly():
    """For `w = u v` each step multiplies `u^2 - v^2` by `1 - eta^2 c_B^2`, `c_B = dl_B/dw`; the
    full batch does so too: that much is no effect of noise."""
    chi = float(P["u"] ** 2 - P["v"] ** 2)
    for noise in ("minibatch", "full"):
        seen = run(optimiser=SGD, chains=2, steps=6, every=1, noise=noise)
        u = np.concatenate([np.full((2, 1), 1.5), seen.values["u"]], axis=1)
        v = np.concatenate([np.full((2, 1), 0.4), seen.values["v"]], axis=1)
        c = (u[:, :-1] - u[:, 1:]) / (RATE * v[:, :-1])
        factor = np.prod(1 - RATE**2 * c**2, axis=1)
        np.testing.assert_allclose(u[:, -1] ** 2 - v[:, -1] ** 2, chi * factor, rtol=1e-10)
        assert np.all(factor < 1)


def test_a_whole_batch_without_replacement_is_the_full_gradient():
    one = run(optimiser=SGD, batch_size=N, replacement=False, chains=2)
    full = run(optimiser=SGD, noise="full", chains=2)
    np.testing.assert_allclose(one.final["u"], full.final["u"], rtol=1e-12)


@pytest.mark.parametrize("noise", ["minibatch", "gaussian", "isotropic"])
def test_controls_have_the_moments_they_should(noise):
    """One step of 4,000 chains: mean and second moment of `u`. Two tests at 1e-4 each; the second
    moment of sampling without replacement is rejected at 1e-6."""
    g = jax.vmap(jax.grad(loss), (None, 0))({"u": P["u"], "v": P["v"]}, DATA)
    per_u, per_v = np.asarray(g["u"]), np.asarray(g["v"])
    variance = per_u.var() if noise != "isotropic" else (per_u.var() + per_v.var()) / 2
    seen = run(optimiser=SGD, chains=4000, steps=1, noise=noise).last()["u"]
    mean = 1.5 - RATE * per_u.mean()
    spread = (seen - mean) ** 2
    expected = RATE**2 * variance / BATCH
    assert mean_test(seen, mean).p_value > 1e-4
    assert mean_test(spread, expected).p_value > 1e-4
    assert mean_test(spread, expected * (N - BATCH) / (N - 1)).p_value < 1e-6


def test_batches_without_replacement_have_the_smaller_spread():
    """False-alarm rate 1e-4; the spread with replacement is rejected at 1e-6."""
    g = np.asarray(jax.vmap(jax.grad(loss), (None, 0))(P | {"name": None}, DATA)["u"])
    seen = run(optimiser=SGD, chains=4000, steps=1, replacement=False).last()["u"]
    spread = (seen - 1.5 + RATE * g.mean()) ** 2
    larger = RATE**2 * g.var() / BATCH
    assert mean_test(spread, larger * (N - BATCH) / (N - 1)).p_value > 1e-4
    assert mean_test(spread, larger).p_value < 1e-6


def test_a_step_with_fresh_labels_has_the_covariance_of_label_noise():
    """4,000 single steps: mean and second moment of `u` as `LabelNoiseSDE` has them. Two tests at
    1e-4; the second moment without the labels' noise is rejected at 1e-6."""
    point = {"u": P["u"], "v": P["v"]}

    def draw(key):
        row, label = jax.random.split(key)
        i = jax.random.randint(row, (), 0, N)
        return X[i], Y[i] + 0.7 * jax.random.normal(label)

    def moments(std):
        sde = LabelNoiseSDE(lambda p, x: p["u"] * p["v"] * x, DATA, RATE, BATCH, std)
        spread = sde.sum_over_noise(point, lambda g: g["u"] ** 2)
        return 1.5 + RATE * float(sde.drift(point)["u"]), RATE * float(spread)

    seen = run(init=point, data=draw, optimiser=SGD, chains=4000, steps=1).last()["u"]
    mean, spread = moments(0.7)
    assert mean_test(seen, mean).p_value > 1e-4
    assert mean_test((seen - mean) ** 2, spread).p_value > 1e-4
    assert mean_test((seen - mean) ** 2, moments(0.0)[1]).p_value < 1e-6


def test_a_run_is_one_loop_that_is_traced_once():
    """The loss is called as often for 480 steps as for 240."""
    calls = []

    def counted(p, sample):
        calls.append(1)
        return loss(p, sample)

    run(loss=counted, optimiser=SGD, steps=240)
    first = len(calls)
    run(loss=counted, optimiser=SGD, steps=480)
    checks = len(calls) - first
    assert checks < first < 20


def test_fresh_samples_schedules_and_momentum():
    def draw(key):
        x = jax.random.normal(key)
        return x, 2.0 * x

    falling = optax.sgd(optax.cosine_decay_schedule(0.1, 200), momentum=0.5)
    seen = run(data=draw, optimiser=falling, steps=200, observe=lambda p: p["u"] * p["v"])
    np.testing.assert_allclose(seen.values, 2.0, atol=1e-3)
    assert seen.settings["samples"] is None


def test_a_schedule_may_begin_at_zero():
    late = optax.sgd(lambda n: jnp.where(jnp.asarray(n) < 20, 0.0, RATE))
    seen = run(optimiser=late, every=4, observe=lambda p: p["u"]).values
    np.testing.assert_array_equal(seen[:, :5], 1.5)
    assert np.all(seen[:, 5] != 1.5)
    with pytest.raises(ValueError, match="`optimiser` moves nothing in 20 steps"):
        run(optimiser=late, steps=20)


def test_results_are_saved_without_the_optimiser(whole, tmp_path):
    whole.save(tmp_path / "run.zarr")
    again = gb.load(tmp_path / "run.zarr")
    np.testing.assert_array_equal(again.values["u"], whole.values["u"])
    assert again.carry is None and again.settings["process"] == "train"


def test_diverged_chains_have_a_code():
    with pytest.raises(SimulationError, match="5 of 5 chains diverged .*lower the learning rate"):
        run(optimiser=optax.sgd(50.0))
    kept = run(optimiser=optax.sgd(50.0), throw=False)
    assert not kept.successful.any() and np.all(kept.failed_by > 0)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(optimiser=optax.sgd(0.0)), "`optimiser` moves nothing"),
        (dict(optimiser=optax.sgd), "`optimiser` must be an optax.GradientTransformation"),
        (dict(learning_rates=[0.1]), "`optimiser` must be a function of the learning rate"),
        (dict(optimiser=optax.sgd, learning_rates=[0.1, 0.0]), "`learning_rates` must be finite"),
        (dict(batch_size=N + 1), "larger than the data"),
        (dict(data=(X[:0], Y[:0])), "`data` is empty"),
        (dict(data=(X, Y[:2])), "leading sample axis of one size"),
        (dict(data=(X.at[0].set(jnp.inf), Y)), "first at sample 0"),
        (dict(noise="white"), "`noise` must be one of 'minibatch'"),
        (dict(data=lambda key: (X[0], Y[0]), noise="full"), "draws fresh samples"),
        (dict(init=P | {"u": jnp.array(jnp.nan)}), "`init` holds values that are not finite"),
        (dict(every=25), "nothing would be recorded"),
        (dict(devices=99), r"`devices` is 99, but there are \d+ .cpu."),
        (dict(devices="gpu"), "`devices` must be a number, a list of jax devices"),
        (dict(optimiser=optax.sgd, learning_rates=jnp.ones((1, 1))), "must have shape .r,."),
        (dict(optimiser=lambda r: 3, learning_rates=[0.1]), "`optimiser` must return an optax"),
        (dict(observe=lambda p: p["w"]), r"`observe` fails where .*KeyError: 'w'"),
        (dict(observe=lambda p: "u"), "`observe` returns no array"),
        (dict(loss=lambda p, s: p["w"]), r"`per_sample_loss` fails where .*KeyError: 'w'"),
        (dict(data=lambda: X), "`data` fails where it is called as data.key."),
        (dict(carry=3), "`carry` does not hold the states of this optimiser for 5 chains"),
        (dict(loss=lambda p, s: p["u"] * jnp.mean(X * p["v"]) * s[0]), "mixes samples"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


@pytest.mark.slow
def test_optimisers_are_told_apart_by_measurement():
    """Gradient descent and momentum are equivariant under rotations and keep moment maps, on a
    schedule too; weight decay is equivariant and does not keep them; Adam and AdamW neither."""
    act = gb.symmetry.GeneralLinear(lambda p: p[0], lambda p: p[1])
    u, v = jax.random.normal(jax.random.key(0), (2, 3, 2))
    report = optimiser_symmetries(
        {
            "sgd": optax.sgd,
            "momentum": partial(optax.sgd, momentum=0.9),
            "decay": lambda r: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(r)),
            "schedule": lambda r: optax.sgd(optax.cosine_decay_schedule(r, 400)),
            "adam": optax.adam,
            "adamw": optax.adamw,
        },
        lambda p: jnp.sum((p[0] @ p[1].T - jnp.eye(3)) ** 2) / 9,
        act,
        (u, v),
        steps=32,
    )
    found = {row.name: (row.equivariant, row.keeps) for row in report.rows}
    assert found == {
        "sgd": (True, True),
        "momentum": (True, True),
        "decay": (True, False),
        "schedule": (True, True),
        "adam": (False, False),
        "adamw": (False, False),
    }
    assert report.isometries == 1 and report.charges == 3
    assert all(row.stretching > 0.1 for row in report.rows)
    assert len(report.table().splitlines()) == 7
    with pytest.raises(ValueError, match="`optimisers` must be functions of the learning rate"):
        optimiser_symmetries(SGD, lambda p: jnp.sum(p[0] ** 2), act, (u, v))
    with pytest.raises(ValueError, match="critical point"):
        optimiser_symmetries(optax.sgd, lambda p: 0.0 * jnp.sum(p[0]), act, (u, v))
    with pytest.raises(ValueError, match="`loss` is not invariant under coeffs"):
        optimiser_symmetries(optax.sgd, lambda p: jnp.sum(p[0] ** 2), act, (u, v))
    with pytest.raises(ValueError, match="`optimisers` is empty"):
        optimiser_symmetries({}, lambda p: jnp.sum(p[0] ** 2), act, (u, v))
