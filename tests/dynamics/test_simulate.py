"""The engine: noise, cuts, steps, observables, failures."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.dynamics import SDE, Langevin, ProjectedLangevin, SimulationError, integrate
from gaugebias.dynamics._runs._path import chain_keys, step_noise
from gaugebias.dynamics._runs._regauge import check_keeps_slice
from gaugebias.symmetry import GeneralLinear, Rescaling

KEY = jax.random.key(7)
PAIR = Rescaling("u", "v")


def well(p):
    return 0.5 * jnp.sum((p["u"] * p["v"] - 1.0) ** 2)


START = {"u": jnp.array([1.0, 0.8]), "v": jnp.array([0.9, 1.2]), "name": "kept", "n": 3}
SDES = ProjectedLangevin(well, PAIR, 0.1)


def run(**options):
    settings: dict[str, Any] = dict(key=KEY, chains=5, steps=48, dt=0.01)
    return gb.simulate(options.pop("sde", SDES), options.pop("init", START), **settings | options)


@pytest.fixture(scope="module")
def whole():
    return run()


def test_a_run_cut_in_two_is_the_whole_run_bit_for_bit(whole):
    first = run(steps=20)
    second = run(steps=28, init=first.final, batched=True, chains=None, start=20)
    for name in "uv":
        np.testing.assert_array_equal(second.final[name], whole.final[name])
    assert second.steps.tolist() == [48]


def test_ensembles_of_different_sizes_share_their_chains(whole):
    more = run(chains=9)
    for name in "uv":
        np.testing.assert_array_equal(more.values[name][:5], whole.values[name])


def test_one_chain_by_itself_is_that_chain_of_the_ensemble(whole):
    alone = jax.jit(lambda p: integrate(SDES, p, key=KEY, steps=48, dt=0.01, chain=3)["u"])
    moving = {"u": START["u"], "v": START["v"]}
    np.testing.assert_allclose(alone(moving), whole.final["u"][3], rtol=1e-12)


def test_observing_on_the_way_changes_nothing(whole):
    seen = run(every=6, burn_in=12, observe=lambda p: p["u"] * p["v"])
    assert seen.values.shape == (5, 6, 2) and seen.steps.tolist() == [18, 24, 30, 36, 42, 48]
    np.testing.assert_array_equal(
        seen.values[:, -1], whole.values["u"][:, 0] * whole.values["v"][:, 0]
    )
    uneven = run(every=10, burn_in=5, observe=lambda p: p["u"])
    assert uneven.steps.tolist() == [15, 25, 35, 45]
    np.testing.assert_array_equal(uneven.final["u"], whole.final["u"])


def test_static_and_integer_leaves_are_left_alone(whole):
    assert whole.final["name"] == "kept" and whole.final["n"] == 3


def test_noise_is_standard_normal_and_does_not_depend_on_the_layout_of_the_parameters():
    keys = chain_keys(KEY, 4)
    flat = jax.ShapeDtypeStruct((6,), jnp.float64)
    parts = (jax.ShapeDtypeStruct((2, 2), jnp.float64), jax.ShapeDtypeStruct((2,), jnp.float64))
    one = step_noise(keys[1], jnp.int32(5), flat)
    two = step_noise(keys[1], jnp.int32(5), parts)
    np.testing.assert_array_equal(one, jnp.concatenate([two[0].ravel(), two[1]]))
    many = jax.vmap(lambda i: step_noise(keys[2], i, flat))(jnp.arange(2000))
    # 12,000 numbers: five standard errors of mean and variance; false alarm about 1e-6.
    assert abs(many.mean()) < 5 / np.sqrt(12_000)
    assert abs(many.var() - 1) < 5 * np.sqrt(2 / 12_000)


def test_seeded_noise_never_changes():
    """The first numbers of the path: chain 3, step 17 of key 0."""
    key = chain_keys(jax.random.key(0), 1, first=3)[0]
    expected = jax.random.normal(
        jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 3), 17), (2,), jnp.float64
    )
    got = step_noise(key, jnp.int32(17), jax.ShapeDtypeStruct((2,), jnp.float64))
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    np.testing.assert_allclose(got, [-1.5920577372224118, 1.0961396958522374], rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_exactly_the_number_of_steps_asked_for(dtype):
    count = SDE(jnp.ones_like, lambda y, z: 0.0 * z, calculus="ito")
    for steps in (1, 7, 1000):
        ens = gb.simulate(count, jnp.zeros((), dtype), key=KEY, chains=2, steps=steps, dt=1.0)
        assert ens.values.dtype == dtype
        np.testing.assert_array_equal(ens.values, steps)


def test_a_temperature_scan_is_one_trace():
    traces = []

    def loss(x):
        traces.append(0)
        return 0.5 * x**2

    spread = []
    for t in np.linspace(0.1, 1.0, 5):
        ens = gb.simulate(Langevin(loss, t), jnp.array(0.0), key=KEY, chains=64, steps=32, dt=0.05)
        spread.append(ens.values.std())
        if len(spread) == 1:
            first = len(traces)
    assert len(traces) == first
    scaled = np.array(spread) ** 2 / np.linspace(0.1, 1.0, 5)
    np.testing.assert_allclose(scaled, spread[0] ** 2 / 0.1)


def test_gradients_pass_through_a_path():
    def end(temperature):
        sde = Langevin(lambda x: 0.5 * jnp.sum(x**2), temperature)
        return jnp.sum(integrate(sde, jnp.ones(2), key=KEY, steps=20, dt=0.05) ** 2)

    h = 1e-6
    difference = (end(0.1 + h) - end(0.1 - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(end)(0.1), difference, rtol=1e-6)


def test_every_adjoint_that_is_taken_differentiates_the_same_steps():
    def end(x, adjoint=None):
        sde = Langevin(lambda x: 0.5 * jnp.sum(x**2) + 0.1 * jnp.sum(x) ** 4, 0.1)
        return jnp.sum(integrate(sde, x, key=KEY, steps=7, dt=0.05, adjoint=adjoint) ** 2)

    x, along = jnp.array([0.3, 0.4]), jnp.array([1.0, -2.0])
    expected = jax.grad(end)(x)
    found = jax.grad(end)(x, diffrax.DirectAdjoint())
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    _, rate = jax.jvp(lambda x: end(x, diffrax.ForwardMode()), (x,), (along,))
    np.testing.assert_allclose(rate, expected @ along, rtol=1e-12)


def test_diverging_chains_are_named_and_nothing_is_lost():
    stiff = Langevin(lambda x: 50.0 * jnp.sum(x**4), 0.1)
    start = jnp.array([[0.1], [30.0], [0.1]])
    with pytest.raises(SimulationError, match="1 of 3 chains diverged .* lower `dt`") as caught:
        gb.simulate(stiff, start, batched=True, key=KEY, steps=64, dt=0.01)
    ens = caught.value.ensemble
    assert ens.results.tolist() == [0, 1, 0] and ens.failed_by[1] <= 8
    assert np.isfinite(ens.last()).all() and ens.last().shape == (2, 1)
    kept = gb.simulate(stiff, start, batched=True, key=KEY, steps=64, dt=0.01, throw=False)
    assert kept.successful.tolist() == [True, False, True]


def test_starts_can_be_drawn():
    ens = gb.simulate(
        Langevin(lambda x: 0.0 * x, 0.0), jax.random.normal, key=KEY, chains=500, steps=1, dt=0.1
    )
    assert len(np.unique(ens.values)) == 500


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(sde="langevin"), "`sde` must be a process"),
        (dict(steps=0), "`steps` must be at least 1"),
        (dict(steps=1.5), "`steps` must be an integer"),
        (dict(dt=0.0), "`dt` must be finite and positive"),
        (dict(dt=float("nan")), "`dt` must be finite and positive"),
        (dict(burn_in=48), "`burn_in` .48. must be below `steps`"),
        (dict(every=49), "`every` .49. is more than"),
        (dict(chains=0), "`chains` must be at least 1"),
        (dict(key=3), "`key` must be a jax.random key"),
        (dict(init={"u": jnp.array([jnp.nan]), "v": jnp.ones(1)}), "`init` holds values"),
        (dict(init={"n": 3}), "`init` has no floating leaf"),
        (dict(init={"u": 1.0, "v": 2.0}), "a Python number stays as it is"),
        (dict(init={"u": jnp.ones(1, complex), "v": jnp.ones(1)}), "`init` holds complex numbers"),
        (dict(init=lambda k: {"u": jnp.ones(1, complex)}), "`init` holds complex numbers"),
        (dict(steps=2**25, every=2**24), "`every` must be below 2.24, but is 16777216"),
        (dict(progress=True), "`progress` must be a function"),
        (dict(batched="no"), "`batched` must be True or False"),
        (dict(throw="no"), "`throw` must be True or False"),
        (dict(solver=diffrax.Euler), "`solver` must be one of diffrax, as `diffrax.Euler.."),
        (dict(stepsize_controller=diffrax.StepTo(jnp.arange(3.0))), "StepTo has times of its own"),
        (dict(init=START, batched=True), "`chains` is 5, but `init` holds a batch of 2"),
        (dict(stepsize_controller=diffrax.PIDController(1e-3, 1e-3)), "PIDController is adaptive"),
        (dict(solver=diffrax.EulerHeun()), "Stratonovich solution, but .* tagged 'ito'"),
        (dict(solver=diffrax.Tsit5()), "ordinary differential equations"),
        (dict(solver=diffrax.ItoMilstein()), "as a matrix or Levy areas"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        untyped(**options)


def untyped(**options):
    """`run` past the type checker, as a user without one calls it."""
    import inspect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gb, "simulate", inspect.unwrap(gb.simulate))
        return run(**options)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(start=-1), "`start` .-1. and `steps` must stay between 0 and 2.31"),
        (dict(start=2**31 - 4), "`start` .2147483644. and `steps`"),
        (dict(chain=2**31), "`chain` must be from 0 to 2.31 - 1, but is 2147483648"),
        (dict(chain=1.5), "`chain` must be an integer, but is 1.5"),
        (dict(params={"n": 3}), "`params` has no floating leaf"),
        (dict(adjoint=diffrax.BacksolveAdjoint()), "`adjoint` BacksolveAdjoint does not"),
        (dict(adjoint=diffrax.ImplicitAdjoint()), "`adjoint` ImplicitAdjoint does not"),
        (dict(params=jnp.ones(2, complex)), "`params` holds complex numbers"),
    ],
)
def test_what_one_path_refuses(options, message):
    sde, params = Langevin(lambda x: jnp.sum(x**2), 0.1), options.pop("params", jnp.ones(2))
    with pytest.raises(ValueError, match=message):
        integrate(sde, params, key=KEY, steps=4, dt=0.1, **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Langevin(well, -0.1), "`temperature` must be finite and non-negative"),
        (lambda: Langevin(well, jnp.inf), "`temperature` must be finite"),
        (lambda: Langevin(well, jnp.ones(2)), "`temperature` must be a scalar"),
        (lambda: ProjectedLangevin(well, PAIR, 0.1, alpha=-1.0), "`alpha` must be finite"),
        (lambda: ProjectedLangevin(well, PAIR, 0.1, calculus="heun"), "`calculus` must be 'ito'"),
        (lambda: SDE(well, well, calculus=""), "`calculus` must be 'ito'"),
    ],
)
def test_bad_processes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_only_processes_that_keep_the_slice_are_regauged():
    q = gb.Quotient(lambda p: p["u"] * p["v"], PAIR)
    kept = run(regauge=q)
    np.testing.assert_allclose(np.abs(kept.final["u"]), np.abs(kept.final["v"]), rtol=1e-12)
    with pytest.raises(ValueError, match="its noise moves the moment map"):
        run(sde=Langevin(well, 0.1), regauge=q)
    neuron = gb.catalogue.ReLUNeuron(3)
    at = neuron.init(KEY)
    sde = ProjectedLangevin(neuron.loss(lambda z: jnp.sum(z**2)), neuron.action, 0.1)
    with pytest.raises(ValueError, match="the moment map drifts"):
        gb.simulate(sde, at, key=KEY, steps=8, dt=0.01, chains=2, regauge=neuron.quotient())


@pytest.mark.parametrize("dtype, temperature", [(jnp.float32, 1e-5), (jnp.float64, 1e-9)])
def test_at_a_low_temperature_too_no_process_that_leaves_the_slice_is_regauged(dtype, temperature):
    """Of factors of unequal sizes the moment map drifts by T (n - m), far below the drift."""
    act = GeneralLinear("u", "v", axes=(1, 1))

    def phi(p):
        return p["u"] @ p["v"].T

    def loss(p):
        return 0.5 * jnp.sum((phi(p) - 1.0) ** 2) + 0.1 * sum(jnp.sum(x**2) for x in p.values())

    def check(n, calculus="ito", convert=lambda sde: sde):
        u, v = jax.random.normal(jax.random.key(n), (2, n, 1), dtype)
        sde = ProjectedLangevin(loss, act, temperature, calculus=calculus)
        check_keeps_slice(convert(sde), gb.Quotient(phi, act), {"u": u, "v": v[:2]}, samples=4)

    check(2)
    check(3, "stratonovich")
    check(3, "stratonovich", gb.dynamics.to_ito)  # what the noise does, the drift takes back
    with pytest.raises(ValueError, match="the moment map drifts"):
        check(3)


def test_numbers_of_16_bits_are_refused():
    for dtype in (jnp.float16, jnp.bfloat16):
        sde, at = Langevin(lambda x: 0.5 * x**2, 0.1), jnp.zeros((), dtype)
        said = f"holds numbers of dtype {jnp.dtype(dtype).name}, in which"
        with pytest.raises(ValueError, match=f"`init` {said}"):
            gb.simulate(sde, at, key=KEY, steps=4, dt=0.1)
        with pytest.raises(ValueError, match=f"`params` {said}"):
            integrate(sde, at, key=KEY, steps=4, dt=0.1)


def test_large_states_have_another_layout_and_the_same_numbers():
    """Above 64 parameters the chain axis comes first; the noise and the law are the same."""
    sde = Langevin(lambda x: 0.5 * jnp.sum(x**2), 0.1)
    big = gb.simulate(sde, jnp.ones(70), key=KEY, chains=3, steps=16, dt=0.1)
    alone = integrate(sde, jnp.ones(70), key=KEY, steps=16, dt=0.1, chain=2)
    np.testing.assert_allclose(big.values[2, 0], alone, rtol=1e-13)


@pytest.mark.parametrize("rows", [3, 9])
@pytest.mark.parametrize("kind", ["isotropic", "projected"])
def test_matrices_move_as_the_equation_says(rows, kind):
    """Small states lie with chains last, large ones as vectors with chains first: step by step."""
    act = gb.symmetry.RightOrthogonal(lambda p: (p["u"], p["v"]))
    drawn = jax.random.normal(jax.random.key(1), (2, rows, 5))
    start = {"scale": jnp.asarray(0.5), "u": drawn[0], "v": drawn[1]}
    target = jnp.asarray(np.arange(rows**2).reshape(rows, rows) / rows**2)

    def loss(p):
        return 0.5 * jnp.sum((p["scale"] * p["u"] @ p["v"].T - target) ** 2)

    sde = Langevin(loss, 0.3) if kind == "isotropic" else ProjectedLangevin(loss, act, 0.3)
    dt, steps = 0.01, 3
    ens = gb.simulate(sde, start, key=KEY, chains=4, steps=steps, dt=dt)
    alone = integrate(sde, start, key=KEY, steps=steps, dt=dt, chain=3)
    key, p = chain_keys(KEY, 4)[3], start
    for i in range(steps):
        z = step_noise(key, jnp.int32(i), sde.noise_like(p))
        kick = sde.diffusion(p, z)
        other = sde.diffusion(p, jax.tree.map(lambda x: jnp.ravel(x)[::-1].reshape(x.shape), z))
        p = jax.tree.map(lambda x, a, b: x + dt * a + dt**0.5 * b, p, sde.drift(p), kick)
    for name, x in p.items():
        assert ens.final[name].shape == (4, *x.shape)
        np.testing.assert_allclose(ens.final[name][3], x, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(alone[name], x, rtol=1e-11, atol=1e-12)
    # The numbers of a leaf in another order would be another path.
    assert np.abs(dt**0.5 * (other["u"] - kick["u"])).max() > 1e-3


@pytest.mark.parametrize("rows", [3, 30])
def test_what_moves_must_have_the_shape_of_what_it_moves(rows):
    """As vectors, a matrix and its transpose could be added."""
    x = jnp.ones((rows, 4))
    for drift, kick in ((lambda x: -x.T, lambda x, z: z), (lambda x: -x, lambda x, z: z.T)):
        sde = SDE(drift, kick, calculus="ito")
        with pytest.raises(ValueError, match=rf"`sde` .* shape \(4, {rows}\) for one of shape"):
            integrate(sde, x, key=KEY, steps=1, dt=0.1)
        with pytest.raises(ValueError, match=rf"`sde` .* shape \(4, {rows}\) for one of shape"):
            gb.simulate(sde, x, key=KEY, chains=2, steps=1, dt=0.1)
    # One row stands for all of them, as in any sum.
    sde = SDE(lambda x: -x[:1], lambda x, z: z, calculus="ito")
    ens = gb.simulate(sde, x, key=KEY, chains=2, steps=1, dt=0.1)
    z = step_noise(chain_keys(KEY, 2)[1], jnp.int32(0), sde.noise_like(x))
    np.testing.assert_allclose(ens.final[1], 0.9 + 0.1**0.5 * z, rtol=1e-12)


def test_models_that_are_modules_move(getkey):
    model = eqx.nn.Linear(2, 1, key=getkey())
    sde = Langevin(lambda m: jnp.sum(m(jnp.ones(2)) ** 2), 0.1)
    ens = gb.simulate(sde, model, key=KEY, chains=3, steps=4, dt=0.1, observe=lambda m: m.weight)
    assert ens.values.shape == (3, 1, 1, 2) and isinstance(ens.final, eqx.nn.Linear)
