"""check_invariance: what passes, and what is said where a symmetry is broken."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from gaugebias.symmetry import (
    AbstractAction,
    GeneralLinear,
    Generators,
    Orthogonal,
    Rescaling,
    RightOrthogonal,
    check_invariance,
)

PAIR = {"u": jnp.array([1.0, 2.0]), "v": jnp.array([3.0, -4.0]), "n": 3}
HADAMARD = Rescaling("u", "v")


def product(p):
    return p["u"] * p["v"]


def test_a_hadamard_product_passes():
    report = check_invariance(product, HADAMARD, PAIR)
    assert report.infinitesimal < 1e-14 and report.finite < 1e-14
    assert report.dimension == 2 and report.points == 3
    assert report.generator in ("coeffs[0]", "coeffs[1]")


def test_a_network_with_inputs_passes(getkey):
    model = eqx.nn.MLP(2, 1, 4, 1, key=getkey())
    act = Rescaling(("layers.0.weight", "layers.0.bias"), "layers.1.weight", axes=((0, 0), 1))
    inputs = jax.random.normal(getkey(), (8, 2))
    report = check_invariance(
        lambda m, x: {"logits": jax.vmap(m)(x)}, act, model, inputs, key=getkey()
    )
    assert report.dimension == 4 and report.infinitesimal < 1e-13


def test_cancellation_within_one_leaf_passes(getkey):
    """U U^T: nothing cancels between leaves, so rounding is not taken for a violation."""
    params = (jax.random.normal(getkey(), (4, 3)),)
    report = check_invariance(lambda p: p[0] @ p[0].T, RightOrthogonal("0"), params)
    assert report.infinitesimal < 1e-14


def test_float32_passes_and_still_sees_a_small_violation():
    params = {k: jnp.asarray(PAIR[k], jnp.float32) for k in "uv"}
    assert check_invariance(product, HADAMARD, params).infinitesimal < 1e-6
    with pytest.raises(ValueError, match="does not leave"):
        check_invariance(lambda p: product(p) + 0.05 * p["u"] ** 2, HADAMARD, params)


def test_the_generator_and_the_size_of_the_violation_are_named():
    def broken(p):
        return jnp.stack([p["u"][0] * p["v"][0], 2.0 * p["u"][1]])

    with pytest.raises(ValueError) as info:
        check_invariance(broken, HADAMARD, PAIR)
    assert "along generator coeffs[1]" in str(info.value)
    assert "at rate 4," in str(info.value)  # d/dc of 2 u exp(c) at u = 2
    assert "1 of 2 generators violate" in str(info.value)


def test_wrong_axes_are_found():
    """W2 W1 with the inverse on the wrong side."""
    params = {"a": jnp.array([[1.0, 2.0], [0.5, -1.0]]), "b": jnp.array([[2.0, 0.1], [0.3, 1.0]])}
    check_invariance(lambda p: p["a"] @ p["b"], GeneralLinear("a", "b", axes=(1, 0)), params)
    with pytest.raises(ValueError, match=r"along generator coeffs\[\d, \d\]"):
        check_invariance(lambda p: p["a"] @ p["b"], GeneralLinear("a", "b", axes=(1, 1)), params)


def test_a_symmetry_of_one_point_only_is_not_a_symmetry():
    """u - v is stationary under u, v -> e^c u, e^-c v only where u = -v."""
    params = {"u": jnp.array([1.0]), "v": jnp.array([-1.0])}
    with pytest.raises(ValueError, match="at a random perturbation of `params`"):
        check_invariance(lambda p: p["u"] - p["v"], HADAMARD, params)


class Crooked(AbstractAction):
    """A rotation whose flow has a step of Euler's in place of the exponential."""

    def algebra(self, params):
        return jax.ShapeDtypeStruct((1,), params.dtype)

    def tangent(self, params, coeffs):
        return coeffs[0] * jnp.stack([params[1], -params[0]])

    def flow(self, params, coeffs):
        return params + self.tangent(params, coeffs)


def test_a_flow_that_is_not_the_exponential_is_found():
    with pytest.raises(
        ValueError, match=r"under its finite flow.*along generator coeffs\[0\] alone"
    ):
        check_invariance(lambda x: jnp.sum(x**2), Crooked(), jnp.array([1.0, 2.0]))


def test_tolerances():
    def nearly(p):
        return product(p) + 1e-4 * p["u"]

    report = check_invariance(nearly, HADAMARD, PAIR, rtol=1e-3)
    assert 1e-6 < report.infinitesimal < 1e-3
    check_invariance(nearly, HADAMARD, PAIR, atol=1.0)


def test_a_group_without_generators_passes():
    report = check_invariance(lambda p: p, Orthogonal(lambda p: p), jnp.ones(1))
    assert report.dimension == 0 and report.generator == ""


def test_generators_are_checked_like_any_action():
    act = Generators(lambda p, c: {"u": c * p["v"], "v": -c * p["u"], "n": None}, ())
    report = check_invariance(lambda p: p["u"] ** 2 + p["v"] ** 2, act, PAIR)
    assert report.finite < 1e-9


@pytest.mark.parametrize(
    ("predict", "says"),
    [
        (lambda p: p["u"] * jnp.nan, "`predict` is not finite at `params`"),
        (lambda p: jnp.sqrt(-jnp.sum(p["u"] ** 2)), "`predict` is not finite"),
        (lambda p: jnp.argmax(p["u"]), "`predict` must return floating arrays"),
        (lambda p: (), "`predict` must return floating arrays"),
    ],
)
def test_wrong_predictors(predict, says):
    with pytest.raises(ValueError, match=says):
        check_invariance(predict, HADAMARD, PAIR)


def test_it_runs_on_the_host_only():
    @jax.jit
    def traced(u):
        check_invariance(product, HADAMARD, {"u": u, "v": u, "n": 3})

    with pytest.raises(ValueError, match="outside of jit"):
        traced(jnp.ones(2))
