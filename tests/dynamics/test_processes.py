"""What the processes do: calculus, rates, and the quotient's process against the parameters'."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias import catalogue
from gaugebias.dynamics import (
    SDE,
    Langevin,
    ProjectedLangevin,
    QuotientSDE,
    expected_rate,
    imbalance_rate,
)
from gaugebias.stats import kolmogorov_smirnov_two_sample, mean_test

TEMPERATURE = 0.1


def geometric(calculus):
    return SDE(lambda y: 0.0 * y, lambda y, z: y * z, calculus=calculus)


@pytest.mark.parametrize("calculus, growth", [("ito", 1.0), ("stratonovich", np.exp(0.5))])
def test_the_calculus_is_the_one_named(calculus, growth, getkey):
    """`dy = y dW` to time 1: `E[y]` is 1 or `e^(1/2)`. False-alarm rate 1e-4 each; the other
    reading is rejected at 1e-6 by the same test."""
    ens = gb.simulate(
        geometric(calculus), jnp.array(1.0), key=getkey(), chains=20_000, steps=64, dt=1 / 64
    )
    other = np.exp(0.5) if growth == 1.0 else 1.0
    assert mean_test(ens.last(), growth).p_value > 1e-4
    assert mean_test(ens.last(), other).p_value < 1e-6


def test_expected_rates_in_both_calculi():
    def square(y):
        return y**2

    y = jnp.array(3.0)
    np.testing.assert_allclose(expected_rate(geometric("ito"), square, y), 9.0)
    np.testing.assert_allclose(expected_rate(geometric("stratonovich"), square, y), 18.0)


@pytest.mark.parametrize("n, m", [(3, 1), (2, 2), (1, 4)])
def test_the_imbalance_of_rank_one_factors_drifts_as_derived(n, m, getkey):
    """`d chi = T (n - m - (|u|^2 - |v|^2)/(|u|^2 + |v|^2)) dt - 2 lam chi dt` under Ito noise."""
    model = catalogue.Factorisation(n, m, 1)
    u, v = jax.random.normal(getkey(), (n, 1)), jax.random.normal(getkey(), (m, 1))
    ridge = 0.3
    loss = model.loss(lambda w: jnp.sum((w - 1.0) ** 2), ridge=ridge)
    a, b = jnp.sum(u**2), jnp.sum(v**2)
    decay = -2 * ridge * (a - b) / 2
    ito = ProjectedLangevin(loss, model.action, TEMPERATURE)
    drift = TEMPERATURE * (n - m - (a - b) / (a + b))
    np.testing.assert_allclose(
        imbalance_rate(ito, model.action, (u, v))[0, 0], drift + decay, rtol=1e-9
    )
    other = ProjectedLangevin(loss, model.action, TEMPERATURE, calculus="stratonovich")
    np.testing.assert_allclose(imbalance_rate(other, model.action, (u, v))[0, 0], decay, rtol=1e-7)
    free = Langevin(loss, TEMPERATURE)
    np.testing.assert_allclose(
        imbalance_rate(free, model.action, (u, v))[0, 0], TEMPERATURE * (n - m) + decay, rtol=1e-9
    )


def test_the_imbalance_of_square_factors_returns_to_balance_at_the_derived_rate():
    """At balance the entry (i, j) decays at `2T sum_k s_k / ((s_i + s_k)(s_j + s_k))`."""
    model = catalogue.Factorisation(2, 2, 2)
    s = np.array([1.5, 0.4])
    sde = ProjectedLangevin(lambda p: 0.0 * jnp.sum(p[0]), model.action, TEMPERATURE)
    balanced = model.lift(jnp.diag(jnp.asarray(s)))
    direction = jnp.array([[0.0, 1.0], [1.0, 0.0]])

    def rate(t):
        return imbalance_rate(sde, model.action, model.action.flow(balanced, t * direction))

    def chi(t):
        params = model.action.flow(balanced, t * direction)
        return gb.quotient.MomentMapGauge().chi(model.action, params)

    measured = jax.jacfwd(rate)(0.0)[0, 1] / jax.jacfwd(chi)(0.0)[0, 1]
    predicted = -2 * TEMPERATURE * sum(x / ((s[0] + x) * (s[1] + x)) for x in s)
    np.testing.assert_allclose(measured, predicted, rtol=1e-6)


def well(w):
    return 0.5 * jnp.sum((w - 1.0) ** 2)


def test_the_quotient_process_of_a_product_in_closed_form():
    model = catalogue.HadamardProduct((), 2)
    q = model.quotient()
    for s in (0.0, 1.0, -1.0):
        sde = QuotientSDE(q, well, TEMPERATURE, exponent=s)
        for w in (0.7, -0.3):
            # K = 2|w|, V = sqrt(2|w|): drift -K l' + T sign(w) (1 + s)
            expected = -2 * abs(w) * (w - 1) + TEMPERATURE * np.sign(w) * (1 + s)
            np.testing.assert_allclose(sde.drift(jnp.array(w)), expected, rtol=1e-10)


def test_predictors_of_parameters_follow_the_quotient_process_in_one_dimension(getkey):
    """Two-sample Kolmogorov-Smirnov at a time short of stationarity; false-alarm rate 1e-4.
    The quotient process with the exponent of isotropic noise is rejected at 1e-6."""
    model = catalogue.HadamardProduct((), 2)
    q = model.quotient()
    w0 = jnp.array(0.5)
    sde = ProjectedLangevin(model.loss(well), model.action, TEMPERATURE)
    settings: dict[str, Any] = dict(chains=8192, steps=192, dt=5e-3)
    full = gb.simulate(
        sde, model.lift(w0), key=getkey(), observe=model.invariants, regauge=q, **settings
    ).last()
    reduced = gb.simulate(QuotientSDE(q, well, TEMPERATURE), w0, key=getkey(), **settings).last()
    other = gb.simulate(
        QuotientSDE(q, well, TEMPERATURE, exponent=1.0), w0, key=getkey(), **settings
    ).last()
    assert kolmogorov_smirnov_two_sample(full, reduced).p_value > 1e-4
    assert kolmogorov_smirnov_two_sample(full, other).p_value < 1e-6


@pytest.mark.slow
def test_predictors_of_parameters_follow_the_quotient_process_in_two_by_two(getkey):
    """Singular values and determinant of a 2 x 2 factorisation, at time 0.6. Three tests at 1e-4
    each; the process without the volume correction (s = -1 moved) is rejected at 1e-6."""
    model = catalogue.Factorisation(2, 2, 2)
    q = model.quotient()
    w0 = jnp.array([[1.2, 0.3], [-0.2, 0.8]])
    sde = ProjectedLangevin(model.loss(well), model.action, TEMPERATURE)
    settings: dict[str, Any] = dict(chains=2048, steps=96, dt=6.25e-3)
    full = gb.simulate(
        sde, model.lift(w0), key=getkey(), observe=model.invariants, regauge=q, **settings
    ).last()
    reduced = gb.simulate(QuotientSDE(q, well, TEMPERATURE), w0, key=getkey(), **settings).last()
    other = gb.simulate(
        QuotientSDE(q, well, TEMPERATURE, exponent=2.0), w0, key=getkey(), **settings
    ).last()

    def statistics(w):
        s = np.linalg.svd(w, compute_uv=False)
        return s[:, 0], s[:, 1], w[:, 0, 1]

    pairs = list(zip(statistics(full), statistics(reduced), statistics(other), strict=True))
    for a, b, _ in pairs:
        assert kolmogorov_smirnov_two_sample(a, b).p_value > 1e-4
    assert min(kolmogorov_smirnov_two_sample(a, c).p_value for a, _, c in pairs) < 1e-6


def test_noise_across_and_along_orbits_adds_up(getkey):
    model = catalogue.Factorisation(3, 2, 2)
    params = model.init(getkey())
    z = jax.tree.map(jnp.ones_like, params)
    along = gb.vertical(model.action, params, z)
    sde = ProjectedLangevin(model.loss(well), model.action, 0.5, alpha=2.0, beta=3.0)
    for got, noise, q in zip(sde.diffusion(params, z), z, along, strict=True):
        np.testing.assert_allclose(got, 2.0 * (noise - q) + 3.0 * q, atol=1e-12)
