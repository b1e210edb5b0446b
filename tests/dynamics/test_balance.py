"""Where gradient noise drives conserved quantities: rates, equilibria, and small experiments."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias.dynamics import (
    LabelNoiseSDE,
    MinibatchSDE,
    balance_rates,
    horizontality,
    imbalance_rate,
    isotropic_matched,
    noise_covariance_product,
    noise_equilibrium,
    noise_trace,
)
from gaugebias.stats import mean_test

N, RATE = 10, 0.1
X = jax.random.normal(jax.random.key(0), (N, 3))
LABELS = jax.random.randint(jax.random.key(1), (N,), 0, 4)
DATA = (X, LABELS)
NET = {
    "w": jax.random.normal(jax.random.key(2), (3, 5)),
    "b": 0.3 * jax.random.normal(jax.random.key(3), (5,)),
    "u": jax.random.normal(jax.random.key(4), (5, 4)),
}
UNITS = gb.symmetry.Rescaling(("w", "b"), "u", axes=((1, 0), 0))


def relu(p, sample):
    x, label = sample
    return -jax.nn.log_softmax(jax.nn.relu(x @ p["w"] + p["b"]) @ p["u"])[label]


def imbalance(p):
    into, out = UNITS.squared_norms(p)
    return into - out


def gradients(p):
    rows = [jax.grad(relu)(p, (X[i], LABELS[i])) for i in range(N)]
    return jnp.stack([ravel_pytree(g)[0] for g in rows])


def test_the_covariance_is_applied_and_traced_without_being_formed():
    g = np.asarray(gradients(NET))
    sigma = np.cov(g.T, bias=True)
    v, unravel = ravel_pytree(jax.tree.map(jnp.sin, NET))
    for chunk in (None, 3):
        got = noise_covariance_product(relu, NET, DATA, unravel(v), chunk=chunk)
        np.testing.assert_allclose(ravel_pytree(got)[0], sigma @ v, atol=1e-12)
        np.testing.assert_allclose(
            noise_trace(relu, NET, DATA, chunk=chunk), np.trace(sigma), rtol=1e-10
        )


def test_noise_is_horizontal_where_each_sample_is_invariant():
    found = horizontality(relu, UNITS, NET, DATA)
    assert found.largest < 1e-14 < 1e-3 < found.random
    assert found.relative.shape == (5,)


def test_a_symmetry_of_the_mean_loss_alone_is_not_enough():
    """Weights of mean zero times `|u|^2`: the full loss keeps its symmetry, the noise leaves it."""
    weights = jnp.arange(N) - (N - 1) / 2

    def uneven(p, sample):
        *one, weight = sample
        return relu(p, one) + 0.1 * weight * jnp.sum(p["u"][1] ** 2)

    found = horizontality(uneven, UNITS, NET, (*DATA, weights))
    assert found.largest > 1e-2 and found.generator == "coeffs[1]"
    assert max(np.delete(found.relative, 1)) < 1e-14


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_rates_are_the_expected_change_of_one_step_exactly(ridge):
    """Batch 1: the average over all samples of `(C(theta - eta g_i) - C(theta)) / eta` is noise,
    drift and finite step together."""

    def decayed(p, sample):
        return relu(p, sample) + 0.5 * ridge * sum(jnp.sum(x**2) for x in jax.tree.leaves(p))

    found = balance_rates(MinibatchSDE(decayed, DATA, RATE, 1), UNITS, NET)

    def change(sample):
        g = jax.grad(decayed)(NET, sample)
        moved = jax.tree.map(lambda p, x: p - RATE * x, NET, g)
        return (imbalance(moved) - imbalance(NET)) / RATE

    measured = jnp.mean(jax.vmap(change)(DATA), axis=0)
    total = found.noise + found.drift + found.finite_step
    np.testing.assert_allclose(measured, total, rtol=1e-10)
    expected = -2 * ridge * imbalance(NET)
    np.testing.assert_allclose(found.drift, expected, atol=1e-13)
    assert np.all(np.abs(found.noise) > 1e-6)


@pytest.mark.slow  # rates of one step are tested exactly
def test_the_imbalance_rate_is_half_of_noise_and_drift():
    sde = MinibatchSDE(relu, DATA, RATE, 4, chunk=4)
    found = balance_rates(sde, UNITS, NET)
    np.testing.assert_allclose(imbalance_rate(sde, UNITS, NET), found.noise / 2, rtol=1e-10)
    second = MinibatchSDE(relu, DATA, RATE, 4, second_order=True)
    modified = balance_rates(second, UNITS, NET)
    np.testing.assert_array_equal(modified.finite_step, 0.0)
    np.testing.assert_allclose(modified.drift, found.finite_step, rtol=1e-8)
    # isotropic noise of the same trace: tr A = 3 + 1 - 4 of 40 parameters a unit, so none
    control = balance_rates(isotropic_matched(sde), UNITS, NET)
    np.testing.assert_allclose(control.noise, 0.0, atol=1e-12)
    np.testing.assert_allclose(control.finite_step, found.finite_step, rtol=1e-10)


PAIR = gb.symmetry.Rescaling("u", "v", axes=(None, None))
INPUTS = jnp.linspace(-1.0, 2.0, N)


def product(p, x):
    return p["u"] * p["v"] * x


def test_the_law_of_balance_of_label_noise():
    """At zero loss `d(u^2 - v^2) = -tau sigma^2 E[x^2] (u^2 - v^2) dt` (2308.06671)."""
    p = {"u": jnp.array(2.0), "v": jnp.array(0.5)}
    sde = LabelNoiseSDE(product, (INPUTS, INPUTS), RATE, 4, 0.7)
    expected = -RATE / 4 * 0.49 * jnp.mean(INPUTS**2) * (4.0 - 0.25)
    np.testing.assert_allclose(balance_rates(sde, PAIR, p).noise, expected, rtol=1e-10)
    found = noise_equilibrium(sde, PAIR, p)
    assert found.exists
    np.testing.assert_allclose(found.params["u"], found.params["v"], rtol=1e-6)
    np.testing.assert_allclose(found.params["u"], 1.0, rtol=1e-6)


def test_with_weight_decay_the_decay_counts():
    """Rates `-(tau s + 2 lam)(u^2 - v^2)`: twice as far from balance, and the same point."""

    def decayed(p, sample):
        x, y = sample
        return 0.5 * (product(p, x) - y) ** 2 + 0.05 * (p["u"] ** 2 + p["v"] ** 2)

    p = {"u": jnp.array(2.0), "v": jnp.array(0.5)}
    sde = MinibatchSDE(decayed, (INPUTS, 0.5 + INPUTS), RATE, 4)
    rates = balance_rates(sde, PAIR, p)
    np.testing.assert_allclose(rates.drift, -0.2 * 3.75, rtol=1e-10)
    found = noise_equilibrium(sde, PAIR, p)
    np.testing.assert_allclose(found.params["u"], found.params["v"], rtol=1e-6)


def test_no_equilibrium_where_one_sign_is_not_charged():
    """`v = 0`: the gradient of `u` vanishes, so `u^2 - v^2` falls and falls."""
    sde = MinibatchSDE(
        lambda p, s: 0.5 * (product(p, s[0]) - s[1]) ** 2, (INPUTS, 1.0 + INPUTS), RATE, 1
    )
    found = noise_equilibrium(sde, PAIR, {"u": jnp.array(1.0), "v": jnp.array(0.0)})
    assert not found.exists and found.params is None
    assert "does not charge the positive spectrum of coeffs" in found.statement
    assert "falls without end" in found.statement
    assert float(found.rates.noise) < 0


def test_an_equilibrium_is_found_from_far_away_and_in_exact_coordinates():
    """Rates are saturated to rounding at `u / v = 1e16`; `exp(coefficients)` is the group element
    from the given point, for GL(2) too."""
    sde = LabelNoiseSDE(product, (INPUTS, INPUTS), RATE, 4, 0.7)
    for far in (1e-4, 1e8):
        p = {"u": jnp.array(far), "v": jnp.array(1.0 / far)}
        found = noise_equilibrium(sde, PAIR, p)
        np.testing.assert_allclose(found.params["u"], 1.0, rtol=1e-6)
        np.testing.assert_allclose(found.coefficients, -np.log(far), rtol=1e-6)


@pytest.mark.slow
def test_where_no_noise_comes_the_statement_says_so():
    """At zero loss there is none; and noise on one side is balanced by weight decay, at
    `|theta|^2 = tau tr Sigma / (2 lam)`."""
    p = {"u": jnp.array(2.0), "v": jnp.array(0.5)}
    quiet = MinibatchSDE(lambda p, x: 0.5 * (product(p, x) - x) ** 2, INPUTS, RATE, 1)
    found = noise_equilibrium(quiet, PAIR, p)
    assert found.exists and "no noise reaches any generator" in found.statement
    np.testing.assert_array_equal(found.params["u"], p["u"])

    def cosine(p, sample):
        x, y = sample
        angle = (p["u"] * x + p["v"]) / jnp.sqrt(p["u"] ** 2 + p["v"] ** 2)
        return 0.5 * (angle - y) ** 2 + 0.05 * (p["u"] ** 2 + p["v"] ** 2)

    sphere = MinibatchSDE(cosine, (INPUTS, 1.0 + INPUTS), RATE, 2)
    found = noise_equilibrium(sphere, gb.symmetry.Scale(("u", "v")), p)
    assert found.exists and "the drift cancel" in found.statement
    size = found.params["u"] ** 2 + found.params["v"] ** 2
    trace = noise_trace(cosine, found.params, (INPUTS, 1.0 + INPUTS))
    np.testing.assert_allclose(size, RATE / 2 * trace / 0.2, rtol=1e-6)


@pytest.mark.slow
def test_a_dead_unit_has_no_noise_while_the_others_balance():
    dead = NET | {"b": NET["b"].at[3].set(-100.0)}
    sde = MinibatchSDE(relu, DATA, RATE, 2)
    found = noise_equilibrium(sde, UNITS, dead)
    assert found.exists and "no noise reaches coeffs[3]" in found.statement
    np.testing.assert_allclose(balance_rates(sde, UNITS, found.params).noise, 0.0, atol=1e-8)


STD = jnp.array([0.3, 0.6, 1.2])
COLUMNS = jnp.linalg.qr(jax.random.normal(jax.random.key(7), (6, 3)))[0]
CX = jnp.array([2.0, 1.0, 0.5])
SPREAD = COLUMNS * jnp.sqrt(6 * CX)[None]


def factors(p, x):
    return p["U"] @ (p["V"].T @ x)


@pytest.mark.slow  # fifteen seconds
def test_anisotropic_label_noise_balances_elsewhere():
    """`tr(C_xi) V^T C_x V = tr(C_x) U^T C_xi U` at the minimum, found for GL(2) by root search;
    `U^T U = V^T V` it is not."""
    u, v = jax.random.normal(jax.random.key(8), (2, 3, 2))
    act = gb.symmetry.GeneralLinear("U", "V")
    p = {"U": u, "V": v}
    y = jax.vmap(lambda x: factors(p, x))(SPREAD)
    found = noise_equilibrium(LabelNoiseSDE(factors, (SPREAD, y), RATE, 2, STD), act, p)
    assert found.exists and found.residual < 1e-6
    a, b = found.params["U"], found.params["V"]
    np.testing.assert_allclose(a @ b.T, u @ v.T, rtol=1e-9)
    one = jnp.sum(STD**2) * b.T @ (CX[:, None] * b)
    two = jnp.sum(CX) * a.T @ ((STD**2)[:, None] * a)
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert np.linalg.norm(a.T @ a - b.T @ b) > 0.3 * np.linalg.norm(a.T @ a)


@pytest.mark.slow
def test_training_with_anisotropic_label_noise_goes_there():
    """Rank one, batch 2, 32 chains from both sides at each of three rates: the late mean of
    `log |u|^2/|v|^2`, extrapolated to rate 0 by the parabola through them, is the noise-balanced
    value (false alarm 1e-4); equal norms, and the value at the largest rate itself, are rejected
    at 1e-6."""
    left, right = jnp.array([1.0, 0.2]), jnp.array([0.9, -0.3])
    std, root = jnp.array([0.3, 0.9]), jnp.sqrt(jnp.array([1.5, 0.5]))
    act = gb.symmetry.Rescaling("u", "v", axes=(None, None))

    def predict(p, x):
        return p["u"] * jnp.sum(p["v"] * x)

    def squared(p, sample):
        x, y = sample
        return 0.5 * jnp.sum((predict(p, x) - y) ** 2)

    signs = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * root[None]
    p = {"u": left, "v": right}
    y = jax.vmap(lambda x: predict(p, x))(signs)

    def draw(key):
        row, label = jax.random.split(key)
        i = jax.random.randint(row, (), 0, 4)
        return signs[i], y[i] + std * jax.random.normal(label, (2,))

    found = noise_equilibrium(LabelNoiseSDE(predict, (signs, y), 0.02, 2, std), act, p)
    at = found.params
    away = jnp.exp(0.2 * jnp.repeat(jnp.array([1.0, -1.0]), 16))[:, None]
    begin = {"u": at["u"][None] * away, "v": at["v"][None] / away}
    late = []
    for i, rate in enumerate((0.02, 0.04, 0.08)):
        steps = round(24 / rate**2)
        run = gb.train(
            squared,
            begin,
            draw,
            optimiser=optax.sgd(rate),
            batch_size=2,
            key=jax.random.key(i),
            batched=True,
            steps=steps,
            burn_in=steps // 2,
            every=steps // 100,
            observe=lambda p: jnp.log(jnp.sum(p["u"] ** 2) / jnp.sum(p["v"] ** 2)),
        )
        late.append(run.values.mean(axis=1))
    predicted = float(jnp.log(jnp.sum(at["u"] ** 2) / jnp.sum(at["v"] ** 2)))
    limit = (8 * late[0] - 6 * late[1] + late[2]) / 3
    assert predicted > 1.0
    assert mean_test(limit, predicted).p_value > 1e-4
    assert mean_test(limit, 0.0).p_value < 1e-6
    assert mean_test(late[2], predicted).p_value < 1e-6


@pytest.mark.slow
def test_one_step_on_digits_moves_units_as_predicted():
    """60 images, 3,000 single steps of batch 4: `sum_j |dC_j|/eta` by noise and finite step. False
    alarm 1e-4; the finite step alone and the noise alone are rejected at 1e-6; the full batch has
    the finite step alone, to rounding."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    data = (jnp.asarray(images[:60, 16:48] / 16.0), jnp.asarray(labels[:60]))
    keys = jax.random.split(jax.random.key(1))
    p = {
        "w": jax.random.normal(keys[0], (32, 5)) / 4,
        "b": jnp.zeros(5),
        "u": jax.random.normal(keys[1], (5, 10)) / 2,
    }
    found = balance_rates(MinibatchSDE(relu, data, RATE, 4), UNITS, p)
    noise, finite = np.asarray(found.noise), np.asarray(found.finite_step)
    signs = np.sign(noise + finite)

    def step(chains, noise):
        run = gb.train(
            relu,
            p,
            data,
            optimiser=optax.sgd(RATE),
            batch_size=4,
            key=jax.random.key(2),
            chains=chains,
            steps=1,
            noise=noise,
            observe=imbalance,
        )
        return (run.values[:, 0] - np.asarray(imbalance(p))) / RATE

    seen = step(3000, "minibatch") @ signs
    assert mean_test(seen, (noise + finite) @ signs).p_value > 1e-4
    assert mean_test(seen, finite @ signs).p_value < 1e-6
    assert mean_test(seen, noise @ signs).p_value < 1e-6
    np.testing.assert_allclose(step(1, "full")[0], finite, rtol=1e-8)


@pytest.mark.slow
def test_the_norm_of_a_scale_invariant_loss_under_weight_decay():
    """Gradients are orthogonal to `theta`: stationary, `|theta|^2 (2 lam - eta lam^2) =
    eta (tr Sigma / B + |grad L|^2)` on average, so `tau tr Sigma / (2 lam)` and a finite step. 64
    chains; false alarm 1e-4; half of it (the same with `lam` doubled) is rejected at 1e-6."""
    rate, batch, decay = 0.2, 2, 0.1

    def cosine(theta, sample):
        x, y = sample
        return 0.5 * (x @ theta / jnp.sqrt(jnp.sum(theta**2)) - y) ** 2

    data = (X, X[:, 0] + 0.5 * jnp.sin(3 * X[:, 1]))

    def pull(theta):
        g = jax.vmap(jax.grad(cosine), (None, 0))(theta, data)
        mean = jnp.mean(g, axis=0)
        trace = jnp.mean(jnp.sum((g - mean[None]) ** 2, axis=1))
        push = rate * (trace / batch + jnp.sum(mean**2))
        return jnp.sum(theta**2) * (2 * decay - rate * decay**2) - push, jnp.sum(theta**2)

    run = gb.train(
        cosine,
        jnp.array([0.5, 0.5, 0.2]),
        data,
        optimiser=optax.chain(optax.add_decayed_weights(decay), optax.sgd(rate)),
        batch_size=batch,
        key=jax.random.key(3),
        chains=64,
        steps=4000,
        burn_in=1000,
        every=10,
        observe=pull,
    )
    misfit, size = (x.mean(axis=1) for x in run.values)
    assert mean_test(misfit, 0.0).p_value > 1e-4
    half = size.mean() * decay
    assert mean_test(misfit, half).p_value < 1e-6


def test_bad_input():
    p = {"u": jnp.array(1.0), "v": jnp.array(2.0)}
    sde = MinibatchSDE(lambda p, x: product(p, x) ** 2, INPUTS, RATE, 1)
    shift = gb.symmetry.Translation("u", axis=None)
    with pytest.raises(ValueError, match="`action` is not linear"):
        noise_equilibrium(sde, shift, p)
    for measure in (balance_rates, noise_equilibrium):
        with pytest.raises(ValueError, match="see `imbalance_rate`"):
            measure(gb.dynamics.Langevin(lambda p: p["u"] ** 2, 0.1), PAIR, p)
        with pytest.raises(ValueError, match="`action` must be an action"):
            measure(sde, None, p)
        with pytest.raises(ValueError, match="`params` holds values that are not finite"):
            measure(sde, PAIR, p | {"u": jnp.array(jnp.nan)})
        shear = gb.symmetry.Generators(
            lambda p, c: {"u": c * p["v"], "v": 0 * p["v"]}, jnp.zeros(())
        )
        with pytest.raises(ValueError, match="not closed under transpose"):
            measure(sde, shear, p)
    assert isotropic_matched(sde).calculus == "ito"
