"""From Ito to Stratonovich and back."""

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
    expected_rate,
    imbalance_rate,
    to_ito,
    to_stratonovich,
)
from gaugebias.stats import mean_test


def geometric(calculus):
    return SDE(lambda y: 0.0 * y, lambda y, z: y * z, calculus=calculus)


def test_the_correction_of_geometric_noise():
    y = jnp.array(3.0)
    np.testing.assert_allclose(to_ito(geometric("stratonovich")).drift(y), 1.5)
    np.testing.assert_allclose(to_stratonovich(geometric("ito")).drift(y), -1.5)


@pytest.mark.parametrize(
    "calculus, convert, growth", [("ito", to_stratonovich, 1.0), ("stratonovich", to_ito, 1.6487)]
)
def test_a_converted_process_is_the_same_process(calculus, convert, growth, getkey):
    """`dy = y dW` to time 1, solved in the other calculus: `E[y]` stays 1 or `e^(1/2)`.
    False-alarm rate 1e-4 each; the same drift read in the wrong calculus is rejected at 1e-6."""
    converted = convert(geometric(calculus))
    assert converted.calculus != calculus
    ens = gb.simulate(converted, jnp.array(1.0), key=getkey(), chains=10_000, steps=64, dt=1 / 64)
    other = 1.6487 if growth == 1.0 else 1.0
    assert mean_test(ens.last(), growth).p_value > 1e-4
    assert mean_test(ens.last(), other).p_value < 1e-6


def test_expected_rates_do_not_depend_on_how_a_process_is_written():
    model = catalogue.Factorisation(3, 1, 1)
    params = model.init(jax.random.key(2))
    for calculus in ("ito", "stratonovich"):
        sde = ProjectedLangevin(
            model.loss(lambda w: jnp.sum(w**2)), model.action, 0.3, calculus=calculus
        )
        other = (to_stratonovich if calculus == "ito" else to_ito)(sde)
        np.testing.assert_allclose(
            jax.jit(lambda p, sde=sde: imbalance_rate(sde, model.action, p))(params),
            jax.jit(lambda p, sde=other: imbalance_rate(sde, model.action, p))(params),
            rtol=1e-9,
            atol=1e-12,
        )


def test_noise_of_several_numbers_and_moving_leaves_only():
    """`sigma_1 = (y_2, 0)`, `sigma_2 = (0, y_1)`: no correction, though the noise is not additive.
    `sigma_1 = (y_2, y_1)`: `(y_1, y_2) / 2`."""
    p = {"y": jnp.array([2.0, 5.0]), "name": "kept"}
    crossed = SDE(
        lambda p: {"y": 0 * p["y"], "name": None},
        lambda p, z: {"y": p["y"][::-1] * z, "name": None},
        calculus="ito",
        noise=jnp.zeros(2),
    )
    np.testing.assert_allclose(to_stratonovich(crossed).drift(p)["y"], 0.0)
    joint = SDE(
        lambda p: {"y": 0 * p["y"], "name": None},
        lambda p, z: {"y": p["y"][::-1] * z[0], "name": None},
        calculus="ito",
        noise=jnp.zeros(1),
    )
    np.testing.assert_allclose(to_stratonovich(joint).drift(p)["y"], -0.5 * p["y"])


def test_noise_along_fields_that_do_not_commute():
    """Rotations, `sigma_j = e_j x y`: `1/2 sum_j e_j x (e_j x y) = -y`. Stratonovich noise stays on
    the sphere, Ito noise leaves it at `2 |y|^2`, however each is written."""
    y = jnp.array([0.5, -1.0, 2.0])
    for calculus, convert, sign, rate in (
        ("stratonovich", to_ito, -1.0, 0.0),
        ("ito", to_stratonovich, 1.0, 2 * jnp.sum(y**2)),
    ):
        sde = SDE(
            lambda y: 0.0 * y, lambda y, z: jnp.cross(z, y), calculus=calculus, noise=jnp.zeros(3)
        )
        other = convert(sde, at=y)
        np.testing.assert_allclose(other.drift(y), sign * y, rtol=1e-12)
        for process in (sde, other):
            found = expected_rate(process, lambda y: jnp.sum(y**2), y)
            np.testing.assert_allclose(found, rate, atol=1e-12)


def test_there_and_back_is_the_process_itself():
    sde = geometric("ito")
    assert to_ito(to_stratonovich(sde)) is sde
    assert to_ito(sde) is sde
    free = Langevin(lambda y: y**2, 0.1)
    np.testing.assert_allclose(to_stratonovich(free).drift(jnp.array(1.0)), -2.0)


def test_a_diffusion_that_is_not_linear_has_no_conversion():
    squared = SDE(lambda y: y, lambda y, z: y * z**2, calculus="ito")
    with pytest.raises(ValueError, match="not linear in the noise"):
        to_stratonovich(squared, at=jnp.array(1.0))
    to_stratonovich(geometric("ito"), at=jnp.array(1.0))
    with pytest.raises(ValueError, match="`sde` must be a process"):
        to_ito("langevin")


def test_second_moments_grow_as_they_should():
    y = jnp.array(3.0)
    for sde, rate in ((geometric("ito"), 9.0), (geometric("stratonovich"), 18.0)):
        other = (to_stratonovich if sde.calculus == "ito" else to_ito)(sde)
        np.testing.assert_allclose(expected_rate(other, lambda y: y**2, y), rate)
