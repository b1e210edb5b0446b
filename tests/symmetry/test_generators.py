"""Fields that users write: which are linear, which are not, and where they lead."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.symmetry import GeneralLinear, Generators
from gaugebias.symmetry._generators import _CHECKED

POINT = {"u": jnp.array([1.0, 2.0]), "v": np.array([3.0, 4.0]), "n": jnp.arange(2), "f": jnp.tanh}


def hyperbolic(p, c):
    return {"u": c * p["u"], "v": -c * p["v"], "n": None, "f": None}


def test_flow_of_a_nonlinear_action_has_its_closed_form():
    """x' = c x^2 gives x / (1 - c x): the special conformal flow of the line."""
    act = Generators(lambda p, c: (c * p[0] ** 2,), ())
    x, c = jnp.array([0.5, -1.0]), 0.9
    np.testing.assert_allclose(act.flow((x,), c)[0], x / (1 - c * x), rtol=1e-10)
    with pytest.raises(ValueError, match="`coeffs` are too large for this flow"):
        act.flow((x,), 2.5)
    assert jnp.isnan(eqx.filter_jit(act.flow)((x,), 2.5)[0]).all()


def test_agrees_with_the_closed_form_and_its_derivatives():
    def field(p, c):
        return {"U": p["U"] @ c, "V": -p["V"] @ c.T}

    act, closed = Generators(field, (2, 2)), GeneralLinear("U", "V")
    params = {"U": jnp.array([[1.0, 2.0]]), "V": jnp.array([[0.5, -1.0]])}
    c = jnp.array([[0.3, -0.2], [0.5, 0.1]])

    def end(action):
        return lambda c: jnp.sum(action.flow(params, c)["U"] ** 2)

    np.testing.assert_allclose(act.tangent(params, c)["V"], closed.tangent(params, c)["V"])
    got, slope = jax.value_and_grad(end(act))(c)
    expected, expected_slope = jax.value_and_grad(end(closed))(c)
    assert float(got) == pytest.approx(float(expected), rel=1e-9)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-7)


def test_forward_mode_through_the_flow():
    act = Generators(lambda p, c: (c * p[0],), ())
    end, slope = jax.jvp(lambda c: act.flow((jnp.ones(()),), c)[0], (0.5,), (2.0,))
    assert float(slope) == pytest.approx(2.0 * float(end), rel=1e-9)


def test_integers_functions_and_float32():
    act = Generators(hyperbolic, 2)
    params = POINT | {k: jnp.asarray(POINT[k], jnp.float32) for k in "uv"}
    c = np.array([0.3, -0.2])
    end = act.flow(params, c)
    assert end["u"].dtype == jnp.float32 and end["f"] is jnp.tanh
    np.testing.assert_array_equal(end["n"], params["n"])
    np.testing.assert_allclose(end["u"] * end["v"], [3.0, 8.0], rtol=1e-5)
    assert jax.tree.structure(act.tangent(params, c)) == jax.tree.structure(
        eqx.filter(params, eqx.is_inexact_array)
    )


@pytest.mark.parametrize(
    "algebra",
    [{"a": (), "b": (2,)}, {"a": 0.0, "b": 2}, {"a": jnp.zeros(()), "b": np.zeros(2)}],
)
def test_ways_to_write_the_algebra(algebra):
    def field(p, c):
        return (c["a"] * p[0] + jnp.roll(p[0], 1) * c["b"],)

    act = Generators(field, algebra)
    shapes = act.algebra((jnp.ones(2, jnp.float32),))
    assert shapes == {
        "a": jax.ShapeDtypeStruct((), jnp.float32),
        "b": jax.ShapeDtypeStruct((2,), jnp.float32),
    }
    assert act.cotangent((jnp.ones(2),), (jnp.ones(2),))["b"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("algebra", [[], {}, "x", {"a": True}])
def test_wrong_algebras(algebra):
    with pytest.raises(ValueError, match="`algebra`"):
        Generators(hyperbolic, algebra)


AFFINE = lambda p, c: (c * p[0] + 0.01,)  # noqa: E731
QUADRATIC = lambda p, c: (c * p[0] + 0.01 * c**2,)  # noqa: E731
BENT = lambda p, c: (jnp.abs(c) * p[0],)  # noqa: E731
EXPONENTIATED = lambda p, c: (jnp.exp(c) * p[0],)  # noqa: E731


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    ("field", "says"),
    [
        (AFFINE, "affine in the coefficients: at zero coefficients it is 0.0"),
        (EXPONENTIATED, "affine in the coefficients"),
        (QUADRATIC, "nonlinear in the coefficients: it departs from linearity by 0.0"),
        (BENT, "nonlinear in the coefficients"),
        (lambda p, c: (c * jnp.log(-jnp.abs(p[0])),), "not finite at any test point"),
        (lambda p, c: (c,), r"`fn\(params, coeffs\)` has a leaf of shape \(\) where"),
        (lambda p, c: c * p[0], r"`fn\(params, coeffs\)` must have the structure"),
    ],
)
def test_fields_that_are_refused(field, says, jit):
    """Under jit too, where there are no values: the check makes its own."""
    act = Generators(field, ())

    def tangent(p):
        return act.tangent(p, 1.0)

    with pytest.raises(ValueError, match=says):
        (jax.jit(tangent) if jit else tangent)((jnp.ones(2),))


def test_linearity_is_checked_once_for_each_function_and_shape():
    calls = []

    def field(p, c):
        calls.append(p[0].shape)
        return (c * p[0],)

    act = Generators(field, ())
    act.tangent((jnp.ones(2),), 1.0)
    first = len(calls)
    act.tangent((jnp.ones(2),), 1.0)
    Generators(field, ()).tangent((jnp.zeros(2),), 2.0)
    assert len(calls) == first + 2  # one evaluation each, no more checks
    act.tangent((jnp.ones(3),), 1.0)
    assert len(calls) > first + 3
    assert len(_CHECKED) <= 128


def test_a_field_only_finite_where_parameters_are_positive():
    act = Generators(lambda p, c: (c * jnp.sqrt(p[0]),), ())
    assert jax.jit(act.tangent)((jnp.array([4.0]),), 1.0)[0].tolist() == [2.0]


def test_modules_may_carry_arrays():
    class Weighted(eqx.Module):
        weights: jax.Array

        def __call__(self, p, c):
            return (c * self.weights * p[0],)

    @jax.jit
    def tangent(act, p):
        return act.tangent(p, 2.0)[0]

    for weights in ([1.0, 2.0], [3.0, 4.0]):
        act = Generators(Weighted(jnp.array(weights)), ())
        assert tangent(act, (jnp.ones(2),)).tolist() == [2 * w for w in weights]
        assert act.tangent((jnp.ones(2),), 2.0)[0].tolist() == [2 * w for w in weights]


def test_fields_that_close_over_traced_values():
    @jax.grad
    def slope(w):
        return Generators(lambda p, c: (c * w * p[0],), ()).tangent((jnp.ones(()),), 3.0)[0]

    assert slope(2.0) == 3.0
