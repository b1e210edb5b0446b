"""Orbit Grams as operators, projections, ranks; equivariance under the group."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias.quotient import (
    BlockTridiagonalGram,
    DenseGram,
    DiagonalGram,
    EntrywiseGram,
    KroneckerSumGram,
    orbit_rank,
)
from gaugebias.symmetry import (
    GeneralLinear,
    Orthogonal,
    Product,
    Rescaling,
    RightOrthogonal,
    Scale,
    Translation,
    orbit_jacobian,
)


def normal(getkey, *shape):
    return jax.random.normal(getkey(), shape)


def scenes(getkey):
    pair = (normal(getkey, 4, 2), normal(getkey, 3, 2))
    triple = tuple(normal(getkey, 3) for _ in range(3))
    layers = tuple(normal(getkey, 2, 2) for _ in range(3))
    return {
        "rescaling": (Rescaling("0", "1", axes=(1, 1)), pair, DiagonalGram),
        "gl": (GeneralLinear("0", "1"), pair, KroneckerSumGram),
        "depth": (Product(Rescaling("0", "1"), Rescaling("1", "2")), triple, EntrywiseGram),
        "deep": (
            Product(GeneralLinear("2", "1", axes=(1, 0)), GeneralLinear("1", "0", axes=(1, 0))),
            layers,
            BlockTridiagonalGram,
        ),
        "rotations": (RightOrthogonal("0"), pair, DenseGram),
        "scale": (Scale("0"), pair, DiagonalGram),
        "translation": (Translation("1", axis=0), pair, DiagonalGram),
    }


NAMES = ("rescaling", "gl", "depth", "deep", "rotations", "scale", "translation")


@pytest.mark.parametrize("name", NAMES)
def test_every_form_agrees_with_the_dense_frame(name, getkey):
    action, params, form = scenes(getkey)[name]
    gram = gb.orbit_gram(action, params)
    assert isinstance(gram, form)
    frame = np.asarray(orbit_jacobian(action, params))
    dense = frame.T @ frame
    np.testing.assert_allclose(gram.as_matrix(), dense, atol=1e-12)
    np.testing.assert_allclose(gram.log_det(), np.linalg.slogdet(dense)[1], atol=1e-10)
    assert int(gram.rank()) == len(dense)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape), action.algebra(params))
    flat, unravel = ravel_pytree(zeros)
    c = jax.random.normal(getkey(), flat.shape)
    np.testing.assert_allclose(ravel_pytree(gram.mv(unravel(c)))[0], dense @ c, atol=1e-11)
    np.testing.assert_allclose(
        ravel_pytree(gram.solve(unravel(c)))[0], np.linalg.solve(dense, c), atol=1e-8
    )
    twice = gram.sqrt(gram.sqrt(unravel(c)))
    np.testing.assert_allclose(ravel_pytree(twice)[0], dense @ c, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_projections_are_orthogonal_and_split_tangents(name, getkey):
    action, params, _ = scenes(getkey)[name]
    flat, unravel = ravel_pytree(params)
    v = unravel(jax.random.normal(getkey(), flat.shape))
    along, across = gb.vertical(action, params, v), gb.horizontal(action, params, v)
    both = jax.tree.map(jnp.add, along, across)
    np.testing.assert_allclose(ravel_pytree(both)[0], ravel_pytree(v)[0], atol=1e-12)
    again = gb.vertical(action, params, along)
    np.testing.assert_allclose(ravel_pytree(again)[0], ravel_pytree(along)[0], atol=1e-10)
    assert abs(ravel_pytree(along)[0] @ ravel_pytree(across)[0]) < 1e-10
    frame = orbit_jacobian(action, params)
    np.testing.assert_allclose(frame.T @ ravel_pytree(across)[0], 0.0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_coefficients_and_tangents_of_another_shape_are_refused(name, getkey):
    """By name, and before anything broadcasts."""
    action, params, _ = scenes(getkey)[name]
    gram = gb.orbit_gram(action, params)
    # No algebra here is a tuple of one array with seven entries.
    for apply in (gram.solve, gram.sqrt):
        with pytest.raises(ValueError, match="`coeffs` must have"):
            apply((jnp.ones(7),))
    with pytest.raises(ValueError, match="`v` must have the structure"):
        gram.vertical(params[:-1])


def test_the_action_comes_first(monkeypatch):
    """As users without the run-time type checker of these tests meet it."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match="`action` must be an action .* type tuple"):
        gb.orbit_gram((jnp.ones(2), jnp.ones(2)), Rescaling("0", "1"))  # type: ignore[arg-type]


def test_a_stabiliser_of_positive_dimension_lowers_the_rank(getkey):
    action = Orthogonal("0")
    x = (normal(getkey, 3),)
    assert int(orbit_rank(action, x)) == 2
    size = jnp.sum(x[0] ** 2)
    np.testing.assert_allclose(gb.log_orbit_volume(action, x), jnp.log(size), rtol=1e-12)
    np.testing.assert_allclose(
        gb.vertical(action, x, x)[0], 0.0, atol=1e-12
    )  # x itself is across the sphere


def test_the_volume_of_an_isometric_action_is_constant_on_orbits(getkey):
    for action, params in (
        (Orthogonal("0"), (normal(getkey, 3),)),
        (RightOrthogonal("0"), (normal(getkey, 4, 3),)),
        (gb.symmetry.Conjugation("0"), (normal(getkey, 6),)),
    ):
        before = gb.log_orbit_volume(action, params)
        after = gb.log_orbit_volume(action, action.flow(params, normal(getkey, 3)))
        np.testing.assert_allclose(after, before, atol=1e-11)


def test_the_frame_is_equivariant_under_gl(getkey):
    """`J(g theta) c = Dg J(theta) (A c A^-1)`, with `A` of `theta -> (U A, V A^-T)`."""
    action = GeneralLinear("0", "1")
    params = (normal(getkey, 4, 2), normal(getkey, 3, 2))
    c, g = normal(getkey, 2, 2), 0.3 * normal(getkey, 2, 2)
    a = jax.scipy.linalg.expm(g)
    moved = action.flow(params, g)
    direct = action.tangent(moved, c)
    pulled = action.tangent(params, a @ c @ jnp.linalg.inv(a))
    pushed = jax.jvp(lambda p: action.flow(p, g), (params,), (pulled,))[1]
    np.testing.assert_allclose(ravel_pytree(direct)[0], ravel_pytree(pushed)[0], atol=1e-11)


def test_the_log_volume_is_twice_differentiable_at_equal_singular_values():
    action = GeneralLinear("0", "1")
    params = (jnp.eye(2), jnp.eye(2))
    hessian = jax.hessian(lambda p: gb.log_orbit_volume(action, p))(params)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(hessian))


@pytest.mark.parametrize("name", NAMES)
def test_projection_in_float32(name, getkey):
    action, params, _ = scenes(getkey)[name]
    small = jax.tree.map(lambda x: x.astype(jnp.float32), params)
    v = jax.tree.map(jnp.ones_like, params)
    exact = ravel_pytree(gb.horizontal(action, params, v))[0]
    single = ravel_pytree(
        gb.horizontal(action, small, jax.tree.map(lambda x: x.astype(jnp.float32), v))
    )[0]
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, exact, atol=2e-4)
