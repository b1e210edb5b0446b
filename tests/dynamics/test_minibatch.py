"""Gradient noise as an equation: its covariance, its controls, its memory, what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias.dynamics import (
    LabelNoiseSDE,
    MinibatchSDE,
    expected_rate,
    isotropic_matched,
    noise_covariance_product,
    noise_trace,
)
from gaugebias.dynamics._runs._path import step_noise

KEY = jax.random.key(11)
N, RATE, BATCH = 12, 0.05, 4
X = jax.random.normal(jax.random.key(0), (N,))
Y = 1.3 * X + 0.5 * jax.random.normal(jax.random.key(1), (N,))
DATA = (X, Y)
P = {"u": jnp.array(1.5), "v": jnp.array(0.4)}


def loss(p, sample):
    x, y = sample
    return 0.5 * (p["u"] * p["v"] * x - y) ** 2


def mean_loss(p):
    return jnp.mean(jax.vmap(loss, (None, 0))(p, DATA))


def vector(tree):
    return np.stack([np.asarray(tree["u"]), np.asarray(tree["v"])], axis=-1)


def covariance():
    return np.cov(vector(jax.vmap(jax.grad(loss), (None, 0))(P, DATA)).T, bias=True)


def dense(sde):
    """`b b^T` from the diffusion, column by column."""
    shapes = sde.noise_like(P)
    zeros, unravel = ravel_pytree(jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))
    columns = jax.vmap(lambda z: sde.diffusion(P, unravel(z)))(jnp.eye(zeros.size))
    b = vector(columns)
    return b.T @ b


def vectorised(p, batch):
    return jax.vmap(loss, (None, 0))(p, batch)


@pytest.mark.parametrize(
    "options, factor",
    [
        (dict(), 1 / BATCH),
        (dict(chunk=5), 1 / BATCH),
        (dict(replacement=False), (N - BATCH) / (N - 1) / BATCH),
        (dict(vectorised=True, chunk=4), 1 / BATCH),
    ],
)
def test_the_noise_has_the_covariance_of_minibatch_gradients(options, factor):
    fn = vectorised if options.get("vectorised") else loss
    sde = MinibatchSDE(fn, DATA, RATE, BATCH, **options)
    np.testing.assert_allclose(dense(sde), RATE * factor * covariance(), rtol=1e-10)
    np.testing.assert_allclose(vector(sde.drift(P)), -vector(jax.grad(mean_loss)(P)), rtol=1e-12)


def test_the_whole_batch_without_replacement_has_no_noise():
    sde = MinibatchSDE(loss, DATA, RATE, N, replacement=False)
    np.testing.assert_array_equal(dense(sde), 0.0)


def test_batches_without_replacement_have_that_covariance_exactly():
    """All batches of 4 from 12 samples, counted: the factor `(n - B) / (n - 1)` is no estimate."""
    from itertools import combinations

    rows = np.array(list(combinations(range(N), BATCH)))
    g = vector(jax.vmap(jax.grad(loss), (None, 0))(P, DATA))
    got = np.cov(g[rows].mean(axis=1).T, bias=True)
    sde = MinibatchSDE(loss, DATA, RATE, BATCH, replacement=False)
    np.testing.assert_allclose(dense(sde), RATE * got, rtol=1e-10)


def label_noise(**options):
    return LabelNoiseSDE(lambda p, x: p["u"] * p["v"] * x, DATA, RATE, BATCH, 0.7, **options)


@pytest.mark.parametrize("replacement, factor", [(True, 1.0), (False, (N - BATCH) / (N - 1))])
def test_label_noise_adds_the_gradients_of_the_predictions(replacement, factor):
    f = np.stack([P["v"] * X, P["u"] * X], axis=-1)
    labels = 0.49 * f.T @ f / N
    expected = RATE / BATCH * (factor * covariance() + labels)
    np.testing.assert_allclose(dense(label_noise(replacement=replacement)), expected, rtol=1e-10)


SDES = {
    "plain": MinibatchSDE(loss, DATA, RATE, BATCH),
    "chunked": MinibatchSDE(loss, DATA, RATE, BATCH, chunk=5),
    "second order": MinibatchSDE(loss, DATA, RATE, BATCH, second_order=True),
    "labels": label_noise(chunk=7),
    "isotropic": isotropic_matched(MinibatchSDE(loss, DATA, RATE, BATCH)),
}


@pytest.mark.parametrize("name", SDES)
def test_a_step_in_one_pass_is_drift_and_noise(name):
    sde = SDES[name]
    shapes = jax.tree.leaves(sde.noise_like(P))
    noise = [jax.random.normal(jax.random.fold_in(KEY, i), s.shape) for i, s in enumerate(shapes)]
    noise = jax.tree.unflatten(jax.tree.structure(sde.noise_like(P)), noise)
    dt = jnp.array(0.01)
    expected = 0.01 * vector(sde.drift(P)) + 0.1 * vector(sde.diffusion(P, noise))
    np.testing.assert_allclose(vector(sde.increment(P, noise, dt)), expected, rtol=1e-10)


@pytest.mark.parametrize("name", SDES)
def test_sums_over_the_noise_are_sums_over_its_columns(name):
    """Through the generator: `E d(u^2 v)/dt` from the dense covariance and the drift."""
    sde = SDES[name]
    c = dense(sde)
    u, v = 1.5, 0.4
    drift = vector(sde.drift(P))
    expected = 2 * u * v * drift[0] + u**2 * drift[1] + v * c[0, 0] + 2 * u * c[0, 1]
    rate = jax.jit(lambda p: expected_rate(sde, lambda p: p["u"] ** 2 * p["v"], p))(P)
    np.testing.assert_allclose(rate, expected, rtol=1e-10)


def test_isotropic_noise_has_the_same_trace_and_no_direction():
    found = dense(SDES["isotropic"])
    half = 0.5 * np.trace(dense(SDES["plain"]))
    np.testing.assert_allclose(found, half * np.eye(2), rtol=1e-10, atol=1e-14)


def test_the_second_order_drift_is_that_of_the_modified_loss():
    def modified(p):
        g = jax.grad(mean_loss)(p)
        return mean_loss(p) + 0.25 * RATE * (g["u"] ** 2 + g["v"] ** 2)

    got = vector(SDES["second order"].drift(P))
    np.testing.assert_allclose(got, -vector(jax.grad(modified)(P)), rtol=1e-10)


def test_it_is_simulated_with_one_noise_number_a_sample():
    sde = SDES["chunked"]
    noise = step_noise(
        jax.random.fold_in(KEY, 2), jnp.int32(0), jax.ShapeDtypeStruct((N,), jnp.float64)
    )
    first = gb.simulate(sde, P, key=KEY, chains=3, steps=1, dt=RATE)
    moved = 1.5 + sde.increment(P, noise, jnp.array(RATE))["u"]
    np.testing.assert_allclose(first.values["u"][2, 0], moved, rtol=1e-12)


def test_no_matrix_of_gradients_is_formed():
    """Temporaries stay far below `n D` numbers, and with `chunk` below those of all samples."""
    n, h = 256, 64
    x = jnp.ones((n, 8))
    params = (jnp.ones((8, h)), jnp.ones((h, h)), jnp.ones(h))

    def deep(p, x):
        return jnp.tanh(jnp.tanh(x @ p[0]) @ p[1]) @ p[2]

    def temporaries(chunk):
        sde = MinibatchSDE(deep, x, RATE, BATCH, chunk=chunk)
        step = jax.jit(lambda p, z: sde.increment(p, z, jnp.array(0.1)))
        compiled = step.lower(params, jnp.ones(n)).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    whole, chunked = temporaries(None), temporaries(16)
    assert whole < 8 * n * h * h / 4
    assert chunked < whole / 2


def largest(jaxpr):
    """The most numbers in any array of a program, those inside of it too."""
    sizes = [v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars if hasattr(v.aval, "size")]
    inner = [largest(program) for program in inner_programs(jaxpr)]
    return max(sizes + inner, default=0)


def inner_programs(jaxpr):
    for eqn in jaxpr.eqns:
        for value in jax.tree.leaves(eqn.params, is_leaf=lambda x: hasattr(x, "eqns")):
            program = getattr(value, "jaxpr", value)
            if hasattr(program, "eqns"):
                yield program


def test_no_program_holds_a_matrix_of_parameters_by_parameters():
    """Read off the programs themselves, at `n = 6`, `D = 459`: one backward pass has no array of
    `n D` numbers either; sums over samples hold the gradients of a block and no more."""
    n, h = 6, 51
    data = (jnp.ones((n, 8)), jnp.ones(n))
    params = {"a": jnp.ones((8, h)), "b": jnp.ones(h)}
    dimension, dt = 9 * h, jnp.array(0.1)

    def predict(p, x):
        return jnp.tanh(x @ p["a"]) @ p["b"]

    def squared(p, sample):
        return 0.5 * (predict(p, sample[0]) - sample[1]) ** 2

    def size(fn, *args):
        return largest(jax.make_jaxpr(fn)(*args).jaxpr)

    plain = MinibatchSDE(squared, data, RATE, 2)
    labels = LabelNoiseSDE(predict, data, RATE, 2, 0.5)
    noise = jnp.ones(n)
    assert size(lambda p: jax.vmap(jax.grad(squared), (None, 0))(p, data), params) == n * 8 * h
    single = {
        "increment": (plain.increment, params, noise, dt),
        "diffusion": (plain.diffusion, params, noise),
        "drift": (plain.drift, params),
        "second": (MinibatchSDE(squared, data, RATE, 2, second_order=True).drift, params),
        "labels": (labels.increment, params, (noise, noise), dt),
        "product": (lambda p: noise_covariance_product(squared, p, data, p), params),
    }
    for name, call in single.items():
        assert size(*call) < n * dimension / 2, name
    several = {
        "trace": (lambda p: noise_trace(squared, p, data), params),
        "isotropic": (isotropic_matched(plain).increment, params, params, dt),
        "rates": (lambda p: expected_rate(plain, lambda p: jnp.sum(p["a"] ** 4), p), params),
        "label rates": (lambda p: expected_rate(labels, lambda p: jnp.sum(p["a"] ** 4), p), params),
    }
    for name, call in several.items():
        assert size(*call) <= n * dimension, name


@pytest.mark.parametrize("second_order, order", [(False, 1.0), (True, 2.0)])
def test_the_second_order_equation_follows_gradient_descent_more_closely(second_order, order):
    """Without noise, to time 1.6: the distance of the flow (Runge-Kutta) from gradient descent
    falls with the rate to the power 1 or 2."""

    def distance(rate):
        sde = MinibatchSDE(loss, DATA, rate, N, replacement=False, second_order=second_order)

        def slope(x):
            return jnp.stack(jax.tree.leaves(sde.drift({"u": x[0], "v": x[1]})))

        def flow(x, _):
            h = rate / 4
            a = slope(x)
            b = slope(x + h / 2 * a)
            c = slope(x + h / 2 * b)
            return x + h / 6 * (a + 2 * b + 2 * c + slope(x + h * c)), None

        def descent(x, _):
            g = jax.grad(lambda x: mean_loss({"u": x[0], "v": x[1]}))(x)
            return x - rate * g, None

        x = jnp.array([1.5, 0.4])
        steps = round(1.6 / rate)
        one = jax.lax.scan(flow, x, None, length=4 * steps)[0]
        return jnp.linalg.norm(one - jax.lax.scan(descent, x, None, length=steps)[0])

    found = jnp.log2(distance(0.02) / distance(0.01))
    np.testing.assert_allclose(found, order, atol=0.1)


def batch_mean(p, batch):
    f = p["u"] * p["v"] * batch[0]
    return (f - jnp.mean(f) - batch[1]) ** 2


def closure_mean(p, sample):
    return (p["u"] * p["v"] * (sample[0] - jnp.mean(X * p["u"])) - sample[1]) ** 2


INDEXED = jnp.stack([X, Y], axis=1)


@pytest.mark.parametrize(
    "fn, data, options",
    [
        (batch_mean, DATA, dict(vectorised=True)),
        (closure_mean, DATA, {}),
        (jax.jit(closure_mean), DATA, {}),
        (lambda p, i: jnp.mean(INDEXED @ jnp.stack([p["u"], p["v"]])), jnp.arange(N), {}),
        (lambda p, s: p["u"] * (s[0] - jax.lax.pmean(s[0], "batch")), DATA, {}),
    ],
)
def test_losses_that_mix_samples_are_found(fn, data, options):
    sde = MinibatchSDE(fn, data, RATE, BATCH, **options)
    with pytest.raises(ValueError, match="mixes samples"):
        gb.simulate(sde, P, key=KEY, chains=2, steps=1, dt=0.1)


@pytest.mark.parametrize(
    "fn, data, options",
    [
        (vectorised, DATA, dict(vectorised=True)),
        (lambda p, i: jnp.sum(INDEXED[i] * jnp.stack([p["u"], p["v"]])), jnp.arange(N), {}),
        (lambda p, s: loss(p, s) * jnp.sum(jnp.ones(N)), DATA, {}),
    ],
)
def test_losses_that_do_not_are_let_through(fn, data, options):
    MinibatchSDE(fn, data, RATE, BATCH, **options).check_start(P)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MinibatchSDE(loss, DATA, RATE, N + 1), "`batch_size` .13. is larger than the da"),
        (lambda: MinibatchSDE(loss, DATA, RATE, 0), "`batch_size` must be at least 1"),
        (lambda: MinibatchSDE(loss, DATA, 0.0, 1), "`learning_rate` must be finite and positive"),
        (lambda: MinibatchSDE(loss, (X[:0], Y[:0]), RATE, 1), "`data` is empty"),
        (lambda: MinibatchSDE(loss, (), RATE, 1), "`data` has no array"),
        (lambda: MinibatchSDE(loss, (X, Y[:3]), RATE, 1), r"sizes are \[3, 12\]"),
        (lambda: MinibatchSDE(loss, (X, 1.0), RATE, 1), r"sizes are \[-1, 12\]"),
        (lambda: MinibatchSDE(loss, (X, Y.at[7].set(jnp.nan)), RATE, 1), "first at sample 7"),
        (lambda: MinibatchSDE(loss, DATA, RATE, 1, chunk=0), "`chunk` must be at least 1"),
        (
            lambda: MinibatchSDE(lambda p, s: p["u"] * X, DATA, RATE, 1).drift(P),
            r"scalar for one sample, but returns shape \(12,\)",
        ),
        (
            lambda: MinibatchSDE(mean_loss_of_batch, DATA, RATE, 1, vectorised=True).drift(P),
            "do not average",
        ),
        (lambda: MinibatchSDE(loss, np.array(["a", "b"]), RATE, 1), "`data` must hold numbers"),
        (lambda: started(lambda p, s: None), "must return a number and nothing beside it"),
        (lambda: started(lambda p, s: (loss(p, s), 0.0)), "beside it, but returns a tuple"),
        (lambda: started(lambda p, s: 1j * loss(p, s)), "must return a real floating number"),
        (lambda: started(lambda p, s: p["w"] * s[0]), r"called as .*\(KeyError: 'w'\)"),
        (lambda: started(lambda p: p["u"]), "called as .*takes 1 positional argument"),
        (lambda: LabelNoiseSDE(loss, X, RATE, 1, 0.1), "`data` must be a pair"),
        (lambda: LabelNoiseSDE(loss, DATA, RATE, 1, -0.1), "`label_std` must be finite"),
        (lambda: LabelNoiseSDE(loss, DATA, RATE, 1, jnp.ones(3)), "`label_std` must be a number"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def started(fn):
    MinibatchSDE(fn, DATA, RATE, 1).check_start(P)


def mean_loss_of_batch(p, batch):
    return jnp.mean(vectorised(p, batch))


def test_controls_need_noise_made_by_data():
    with pytest.raises(ValueError, match="`sde` must be a process whose noise is made by data"):
        isotropic_matched(gb.dynamics.Langevin(mean_loss, 0.1))
