"""Products: block diagonal and block tridiagonal Grams, and what they say of their structure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gaugebias as gb
from gaugebias.quotient import BlockTridiagonalGram
from gaugebias.quotient._grams._linalg import log_pseudo_det_gram, pseudo_inverse
from gaugebias.quotient._grams._sharing import chain, components
from gaugebias.symmetry import (
    GeneralLinear,
    Product,
    Rescaling,
    RightOrthogonal,
    Scale,
    Translation,
    orbit_jacobian,
)


def layers(*widths, seed=0):
    rng = np.random.default_rng(seed)
    pairs = zip(widths[1:], widths, strict=False)
    return tuple(jnp.asarray(rng.normal(size=shape)) for shape in pairs)


def between(p):
    return GeneralLinear(str(p + 1), str(p), axes=(1, 0))


# The order of the factors is not that of the chain; the second has hidden layers too wide to be
# moved freely; the third mixes kinds and leaves of one factor alone.
SCENES = {
    "regular": (Product(between(1), between(0), between(2)), layers(3, 3, 2, 3, 3)),
    "stabilised": (Product(between(0), between(1)), layers(2, 4, 3, 2)),
    "mixed": (
        Product(between(0), Rescaling("2", "1", axes=(1, 0)), Scale("3")),
        (*layers(3, 4, 3, 2), jnp.ones(2)),
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_chains_agree_with_the_dense_frame(name):
    action, params = SCENES[name]
    flat, unravel = ravel_pytree(params)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape), action.algebra(params))
    zero, unravel_c = ravel_pytree(zeros)
    rng = np.random.default_rng(1)
    c, v = (jnp.asarray(rng.normal(size=x.shape)) for x in (zero, flat))

    @jax.jit
    def found(x):
        gram = gb.orbit_gram(action, unravel(x))
        coeffs = unravel_c(c)
        solved, rooted = gram.solve(coeffs), gram.sqrt(gram.sqrt(coeffs))
        return (
            gram.log_det(),
            jax.grad(lambda y: gb.orbit_gram(action, unravel(y)).log_det())(x),
            gram.rank(),
            ravel_pytree(solved)[0],
            ravel_pytree(rooted)[0],
            ravel_pytree(gram.vertical(unravel(v)))[0],
        )

    @jax.jit
    def expected(x):
        def frame(y):
            return orbit_jacobian(action, unravel(y))

        j = frame(x)
        inverse = pseudo_inverse(j)
        value, slope = jax.value_and_grad(lambda y: log_pseudo_det_gram(frame(y)))(x)
        rank = jnp.linalg.matrix_rank(j)
        return value, slope, rank, inverse @ (inverse.T @ c), j.T @ (j @ c), j @ (inverse @ v)

    for one, two in zip(found(flat), expected(flat), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)


def test_the_hessian_of_a_chain_agrees_with_the_dense_one():
    action, params = SCENES["stabilised"]
    flat, unravel = ravel_pytree(params)
    v = jnp.cos(jnp.arange(flat.size))

    def along(fn):
        return jax.jit(lambda x: jax.jvp(jax.grad(fn), (x,), (v,))[1])(flat)

    found = along(lambda x: gb.orbit_gram(action, unravel(x)).log_det())
    expected = along(lambda x: log_pseudo_det_gram(orbit_jacobian(action, unravel(x))))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_balanced_deep_linear_network_in_closed_form():
    """Theory: twice the pair term plus `sum_i log(N s_i^(2(N-1)/N))`."""
    s, n = np.array([1.5, 0.8, 0.3]), 3
    rng = np.random.default_rng(0)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(n + 1)]
    params = tuple(jnp.asarray(turns[p + 1] @ np.diag(s ** (1 / n)) @ turns[p].T) for p in range(n))
    action = Product(*(between(p) for p in range(n - 1)))
    gram = gb.orbit_gram(action, params)
    assert isinstance(gram, BlockTridiagonalGram)
    pair = sum(
        np.log((s[i] ** 2 - s[j] ** 2) / (s[i] ** (2 / n) - s[j] ** (2 / n)))
        for i in range(3)
        for j in range(i)
    )
    expected = 2 * pair + np.log(n * s ** (2 * (n - 1) / n)).sum()
    np.testing.assert_allclose(gram.log_det(), expected, atol=1e-10)


@pytest.mark.slow  # simulations run that way
def test_chains_of_parameters_may_come_last():
    action, params = SCENES["stabilised"]
    batch = tuple(jnp.stack([x, jnp.zeros_like(x).at[0, 0].set(1.0)], -1) for x in params)

    def both(p):
        return gb.log_orbit_volume(action, p), gb.horizontal(action, p, p)

    many = jax.jit(jax.vmap(both, in_axes=-1, out_axes=-1))(batch)
    single = jax.jit(both)
    for i in range(2):
        one = single(tuple(x[..., i] for x in batch))
        for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[..., i], b, atol=1e-10)


def test_structure_is_named_and_its_loss_explained():
    p = {name: jnp.ones((3, 3)) for name in "abcdef"}
    two = GeneralLinear("a", "b")
    relu = Rescaling("c", "d", axes=(1, 1))

    def structure(action):
        return gb.orbit_gram(action, p).structure

    assert structure(two) == "kronecker sum"
    assert structure(relu) == "diagonal"
    assert structure(Product(two)) == "kronecker sum"
    assert structure(Product(two, relu)) == "block diagonal: kronecker sum; diagonal"
    assert structure(Product(two, Scale("b"))) == "block tridiagonal"
    assert structure(RightOrthogonal("a")) == ("dense: no structure is known for RightOrthogonal")
    tied = Product(two, relu, GeneralLinear("a", "e"), RightOrthogonal("a"))
    assert structure(tied) == "block diagonal: dense: factors 0, 2 and 3 share leaves; diagonal"


@pytest.mark.slow  # its blocks have tests of their own
def test_a_product_of_groups_on_leaves_of_their_own_is_block_diagonal():
    rng = np.random.default_rng(2)
    shapes = {"a": (4, 2), "b": (3, 2), "c": (3, 2), "d": (2,), "e": (2, 3)}
    p = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    action = Product(
        Rescaling("c", "d", axes=(1, 0)),
        GeneralLinear("a", "b"),
        Translation("e", axis=0),
        Rescaling("e", "d", axes=(0, 0)),
    )
    gram = gb.orbit_gram(action, p)
    assert gram.structure == "block diagonal: block tridiagonal; kronecker sum"
    frame = orbit_jacobian(action, p)
    flat, unravel = ravel_pytree(jax.tree.map(jnp.cos, p))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape), action.algebra(p))
    _, unravel_c = ravel_pytree(zeros)
    inverse = pseudo_inverse(frame)
    c = frame.T @ flat
    np.testing.assert_allclose(gram.log_det(), log_pseudo_det_gram(frame), atol=1e-10)
    assert int(gram.rank()) == np.linalg.matrix_rank(frame)
    along = ravel_pytree(gram.vertical(unravel(flat)))[0]
    np.testing.assert_allclose(along, frame @ (inverse @ flat), atol=1e-10)
    for found, expected in (
        (gram.solve(unravel_c(c)), inverse @ (inverse.T @ c)),
        (gram.sqrt(gram.sqrt(unravel_c(c))), frame.T @ (frame @ c)),
    ):
        np.testing.assert_allclose(ravel_pytree(found)[0], expected, atol=1e-10)


def test_what_counts_as_a_chain():
    moved = [frozenset(x) for x in ((0, 1), (2, 3), (1, 2), (5,))]
    assert components(moved) == ((0, 1, 2), (3,))
    assert chain(moved[:3]) == (0, 2, 1)
    ring = [frozenset(x) for x in ((0, 1), (1, 2), (2, 0))]
    star = [frozenset(x) for x in ((0, 1, 2), (0, 3), (1, 4), (2, 5))]
    assert chain(ring) is None and chain(star) is None
