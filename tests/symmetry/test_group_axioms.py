"""What every action must satisfy, over groups, shapes and random points."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gaugebias.symmetry import (
    Conjugation,
    GeneralLinear,
    Generators,
    Orthogonal,
    Product,
    Rescaling,
    RightOrthogonal,
    Scale,
    Translation,
    algebra_dimension,
    orbit_jacobian,
)


def _field(params, coeffs):
    return {name: None for name in params} | {
        "U": coeffs["a"] * params["U"],
        "V": -coeffs["a"] * params["V"] + jnp.zeros_like(params["V"]) * coeffs["b"][0],
        "x": coeffs["b"][0] * jnp.roll(params["x"], 1) * jnp.array([1.0, 0.0, 0.0]),
    }


ACTIONS = {
    "rescaling": Rescaling(("U", "b"), "V", axes=((1, 0), -1)),
    "rescaling, powers": Rescaling("b", "U", axes=(0, 1), powers=(2.0, -1.0)),
    "rescaling, whole leaves": Rescaling("U", "V", axes=(None, None)),
    "rescaling, entries": Rescaling("b", lambda p: p["c"], axes=(..., ...)),
    "general linear": GeneralLinear("U", lambda p: p["V"]),
    "general linear, heads": GeneralLinear("H", "K", axes=(2, 1), batch=(0, -1)),
    "right orthogonal": RightOrthogonal("U"),
    "orthogonal": Orthogonal("x"),
    "conjugation, matrix": Conjugation("X"),
    "conjugation, vector": Conjugation("s"),
    "scale": Scale(("U", "x")),
    "translation": Translation("U", axis=0),
    "translation, whole": Translation(("U", "b"), axis=None),
    "product": Product(GeneralLinear("U", "V"), Conjugation("X"), Scale("x")),
    "generators": Generators(_field, {"a": (), "b": (1,)}),
}
NAMED = pytest.mark.parametrize("name", ACTIONS)


def point(n=4, m=2, r=3, seed=0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.standard_normal(shape))

    return {
        "U": draw(n, r),
        "V": draw(m, r),
        "H": draw(2, n, r),
        "K": draw(m, r, 2),
        "b": draw(r),
        "c": rng.standard_normal(r),  # numpy leaves are leaves like others
        "x": draw(3),
        "X": draw(r, r),
        "s": draw(r * (r + 1) // 2),
        "count": jnp.arange(3),
        "name": "left alone",
        "none": None,
    }


def moving(tree):
    return eqx.filter(tree, eqx.is_inexact_array)


def draw_like(tree, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape), x.dtype), tree)


def draw_coeffs(action, params, seed):
    return jax.tree.map(lambda x: 0.3 * x, draw_like(action.algebra(params), seed))


def times(scalar, tree):
    return jax.tree.map(lambda x: scalar * x, tree)


def close(one, other, tol=1e-12):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=tol, atol=tol)


def dot(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return float(sum(jnp.sum(x * y) for x, y in pairs))


@NAMED
def test_flow_is_the_integral_of_the_tangent(name):
    """d/dt flow(t c) = X_c(flow(t c)), at the identity and away from it, by central differences."""
    action, params = ACTIONS[name], point()
    coeffs = draw_coeffs(action, params, 2)
    h = 1e-4
    for t in (0.0, 1.0):
        later, earlier = (moving(action.flow(params, times(s, coeffs))) for s in (t + h, t - h))
        slope = jax.tree.map(lambda x, y: (x - y) / (2 * h), later, earlier)
        at = action.flow(params, times(t, coeffs))
        close(slope, action.tangent(at, coeffs), 1e-6)


@pytest.mark.parametrize("name", ["rescaling", "general linear", "conjugation, vector"])
def test_tangent_is_the_derivative_of_the_flow(name):
    action, params = ACTIONS[name], point()
    coeffs = draw_coeffs(action, params, 1)
    start, velocity = jax.jvp(
        lambda t: moving(action.flow(params, times(t, coeffs))), (0.0,), (1.0,)
    )
    close(start, jax.tree.map(jnp.asarray, moving(params)))
    close(velocity, action.tangent(params, coeffs), 1e-12)


@NAMED
def test_identity_inverse_and_additivity_along_one_parameter_subgroups(name):
    action, params = ACTIONS[name], point()
    coeffs = draw_coeffs(action, params, 3)
    there = action.flow(params, coeffs)
    close(
        moving(action.flow(there, times(-1.0, coeffs))),
        jax.tree.map(jnp.asarray, moving(params)),
        1e-9,
    )
    still = action.flow(params, times(0.0, coeffs))
    close(moving(still), jax.tree.map(jnp.asarray, moving(params)), 1e-14)
    twice = action.flow(action.flow(params, times(0.4, coeffs)), times(0.6, coeffs))
    close(moving(twice), moving(there), 1e-9)


@NAMED
def test_tangent_is_linear_in_coefficients(name):
    action, params = ACTIONS[name], point()
    one, two = (draw_coeffs(action, params, seed) for seed in (5, 6))
    both = jax.tree.map(lambda x, y: 2.0 * x - 0.3 * y, one, two)
    expected = jax.tree.map(
        lambda x, y: 2.0 * x - 0.3 * y, action.tangent(params, one), action.tangent(params, two)
    )
    close(action.tangent(params, both), expected)


@NAMED
def test_cotangent_is_the_exact_transpose(name):
    action, params = ACTIONS[name], point()
    v = draw_like(moving(params), 7)
    got = action.cotangent(params, v)
    assert jax.tree.structure(got) == jax.tree.structure(action.algebra(params))
    for seed in (8, 9):
        coeffs = draw_coeffs(action, params, seed)
        expected = dot(v, action.tangent(params, coeffs))
        assert dot(got, coeffs) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["rescaling", "generators"])
def test_orbit_jacobian_is_tangent_and_cotangent_as_a_matrix(name):
    action, params = ACTIONS[name], point()
    jacobian = orbit_jacobian(action, params)
    v, coeffs = draw_like(moving(params), 7), draw_coeffs(action, params, 8)

    def flat(tree):
        return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])

    assert jacobian.shape == (flat(v).size, algebra_dimension(action, params))
    tangent, cotangent = action.tangent(params, coeffs), action.cotangent(params, v)
    np.testing.assert_allclose(jacobian @ flat(coeffs), flat(tangent), atol=1e-13)
    np.testing.assert_allclose(jacobian.T @ flat(v), flat(cotangent), atol=1e-13)


@NAMED
def test_structure_dtype_and_what_is_left_alone(name):
    action, params = ACTIONS[name], point()
    coeffs = draw_coeffs(action, params, 9)
    tangent = action.tangent(params, coeffs)
    assert jax.tree.structure(tangent) == jax.tree.structure(moving(params))
    end = action.flow(params, coeffs)
    assert end["count"] is params["count"] or (end["count"] == params["count"]).all()
    assert end["name"] == "left alone" and end["none"] is None
    assert jax.tree.structure(end) == jax.tree.structure(params)
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), moving(params))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), moving(end)) == shapes
    assert jax.tree.map(lambda x: (x.shape, x.dtype), tangent) == shapes


@pytest.mark.parametrize("name", ["rescaling", "general linear, heads", "conjugation, vector"])
def test_jit_and_vmap_over_the_last_axis(name):
    """Ensembles keep the chain axis last where that is faster: results must not depend on it."""
    action = ACTIONS[name]
    points = [moving(point(seed=s)) for s in range(2)]
    coeffs = [draw_coeffs(action, points[0], s) for s in (1, 2)]
    last = jax.tree.map(lambda *x: jnp.stack(x, -1), *points)
    coeffs_last = jax.tree.map(lambda *x: jnp.stack(x, -1), *coeffs)

    def both(p, c):
        return action.tangent(p, c), action.flow(p, c), action.cotangent(p, p)

    got = jax.jit(jax.vmap(both, in_axes=-1, out_axes=-1))(last, coeffs_last)
    for s in range(2):
        close(jax.tree.map(lambda x, s=s: x[..., s], got), both(points[s], coeffs[s]), 1e-11)


@pytest.mark.parametrize("name", ["rescaling", "general linear"])
def test_float32_stays_float32(name):
    params = jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float32) if eqx.is_inexact_array(x) else x, point()
    )
    action = ACTIONS[name]
    coeffs = draw_coeffs(action, point(), 3)  # float64 coefficients do not promote
    assert {x.dtype for x in jax.tree.leaves(action.algebra(params))} == {jnp.dtype("float32")}
    for tree in (action.tangent(params, coeffs), moving(action.flow(params, coeffs))):
        assert {x.dtype for x in jax.tree.leaves(tree)} == {jnp.dtype("float32")}


@settings(max_examples=8)
@given(
    name=st.sampled_from(["rescaling", "general linear", "conjugation, vector"]),
    sizes=st.sampled_from([(1, 1, 1), (3, 1, 2)]),
    seed=st.integers(0, 1000),
)
def test_axioms_over_shapes(name, sizes, seed):
    action, params = ACTIONS[name], point(*sizes, seed=seed)
    coeffs = draw_coeffs(action, params, seed + 1)
    v = draw_like(moving(params), seed + 2)
    lhs = dot(v, action.tangent(params, coeffs))
    assert lhs == pytest.approx(dot(action.cotangent(params, v), coeffs), abs=1e-11)
    back = action.flow(action.flow(params, coeffs), times(-1.0, coeffs))
    close(moving(back), jax.tree.map(jnp.asarray, moving(params)), 1e-9)
    assert sum(np.size(c) for c in jax.tree.leaves(coeffs)) == algebra_dimension(action, params)
