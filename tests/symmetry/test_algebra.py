"""Brackets, the Killing form, compact parts, Noether's theorem, stabilisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

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
    closure_residual,
    compact_split,
    conserved_quantities,
    effective_subalgebra,
    field_jacobians,
    generator_matrices,
    killing_form,
    stabiliser_dimension,
    structure_constants,
)


def normal(getkey, *shape):
    return jax.random.normal(getkey(), shape)


@pytest.fixture(scope="module")
def gl2():
    keys = jax.random.split(jax.random.key(3), 2)
    params = (jax.random.normal(keys[0], (3, 2)), jax.random.normal(keys[1], (2, 2)))
    return GeneralLinear("0", "1"), params


def unit(i, j):
    return np.eye(2)[:, [i]] @ np.eye(2)[[j]]


def test_matrices_are_those_of_the_representation(gl2):
    action, params = gl2
    matrices = generator_matrices(action, params)
    np.testing.assert_allclose(matrices[:, -1], 0.0)
    np.testing.assert_allclose(matrices[:, :, -1], 0.0, atol=1e-14)
    np.testing.assert_allclose(matrices[:, :-1, :-1], field_jacobians(action, params))
    # vec(U C) and vec(-V C^T), row by row.
    for a in range(4):
        c = unit(*divmod(a, 2))
        expected = np.block(
            [
                [np.kron(np.eye(3), c.T), np.zeros((6, 4))],
                [np.zeros((4, 6)), np.kron(np.eye(2), -c)],
            ]
        )
        np.testing.assert_allclose(matrices[a, :-1, :-1], expected, atol=1e-14)


def test_a_translation_is_a_matrix_in_homogeneous_coordinates(getkey):
    params = (normal(getkey, 3, 2),)
    matrices = generator_matrices(Translation("0", axis=0), params)
    np.testing.assert_allclose(matrices[:, :-1, :-1], 0.0, atol=1e-14)
    np.testing.assert_allclose(matrices[0, :-1, -1].reshape(3, 2), [[1, 0]] * 3, atol=1e-14)


def test_structure_constants_of_gl2(gl2):
    """`C -> diag(1 x C^T, -1 x C)` reverses products: `[A_c, A_d] = -A_[c, d]`."""
    f = structure_constants(*gl2)
    for a in range(4):
        for b in range(4):
            c, d = unit(*divmod(a, 2)), unit(*divmod(b, 2))
            np.testing.assert_allclose(f[a, b].reshape(2, 2), d @ c - c @ d, atol=1e-12)


def test_killing_forms_in_closed_form(gl2):
    # gl(r): 2 r tr(CD) - 2 tr C tr D.  so(3): -2.
    form = killing_form(*gl2)
    for a in range(4):
        for b in range(4):
            c, d = unit(*divmod(a, 2)), unit(*divmod(b, 2))
            expected = 4 * np.trace(c @ d) - 2 * np.trace(c) * np.trace(d)
            np.testing.assert_allclose(form[a, b], expected, atol=1e-12)
    rotations = killing_form(Orthogonal("0"), (jnp.arange(1.0, 4.0),))
    np.testing.assert_allclose(rotations, -2 * np.eye(3), atol=1e-12)
    commuting = killing_form(Rescaling("0", "1"), (jnp.ones(2), jnp.ones(2)))
    np.testing.assert_allclose(commuting, 0.0, atol=1e-14)


def test_two_rotations_do_not_close(getkey):
    """Two of the three generators of SO(3): their bracket is the third, at right angles."""
    whole = Orthogonal("0")

    def two(params, c):
        return whole.tangent(params, jnp.concatenate([c, jnp.zeros(1)]))

    part, params = Generators(two, (2,)), (normal(getkey, 3),)
    # |[A, B]| = sqrt(2) for A, B of norm sqrt(2), over 2 |A| |B| = 4.
    np.testing.assert_allclose(closure_residual(part, params), np.sqrt(2) / 4, rtol=1e-12)
    assert float(closure_residual(whole, params)) < 1e-14
    with pytest.raises(ValueError, match=r"bracket of coeffs\[0\] and coeffs\[1\] leaves"):
        structure_constants(part, params)


def test_dependent_generators_are_one_generator(getkey):
    params = (normal(getkey, 3),)
    twice = Product(Scale("0"), Scale("0"))
    assert float(closure_residual(twice, params)) == 0.0
    parts = compact_split(twice, params)
    assert parts.compact[0].shape == (0,) and parts.non_compact[0].shape == (1,)
    np.testing.assert_allclose(parts.non_compact[0], parts.non_compact[1], rtol=1e-12)


def test_gl_splits_into_rotations_and_symmetric_matrices(gl2):
    compact, rest = compact_split(*gl2)
    assert compact.shape == (1, 2, 2) and rest.shape == (3, 2, 2)
    np.testing.assert_allclose(compact, -jnp.swapaxes(compact, 1, 2), atol=1e-12)
    np.testing.assert_allclose(rest, jnp.swapaxes(rest, 1, 2), atol=1e-12)
    rows = np.concatenate([compact, rest]).reshape(4, 4)
    np.testing.assert_allclose(rows @ rows.T, np.eye(4), atol=1e-12)


def test_the_killing_form_is_negative_on_the_compact_part_and_positive_off_it(gl2):
    compact, rest = (x.reshape(x.shape[0], -1) for x in compact_split(*gl2))
    form = killing_form(*gl2)
    assert (np.linalg.eigvalsh(compact @ form @ compact.T) < -1).all()
    found = np.linalg.eigvalsh(rest @ form @ rest.T)
    np.testing.assert_allclose(found[0], 0.0, atol=1e-12)  # the centre
    assert (found[1:] > 1).all()


def shear(params, c):
    return (params[0] @ jnp.array([[0.0, 1.0], [0.0, 0.0]]) * c,)


def test_an_algebra_not_closed_under_transpose_is_refused(getkey):
    nilpotent, params = Generators(shear, ()), (normal(getkey, 3, 2),)
    assert float(closure_residual(nilpotent, params)) < 1e-14
    with pytest.raises(ValueError, match="not closed under transpose: that of coeffs leaves"):
        compact_split(nilpotent, params)
    with pytest.raises(ValueError, match="gradient flow conserves no quadratic form"):
        conserved_quantities(nilpotent, params)
    with pytest.raises(ValueError, match="not closed under transpose"):
        compact_split(Translation("0"), params)


def square(params, c):
    return (c * params[0] ** 2,)


def test_fields_that_are_not_affine_are_refused(getkey):
    with pytest.raises(ValueError, match="not affine in the parameters: the field of coeffs"):
        generator_matrices(Generators(square, ()), (normal(getkey, 3),))


def test_traced_parameters_are_refused():
    def form(x):
        return killing_form(Orthogonal("0"), (x,))

    with pytest.raises(ValueError, match="`params` is traced"):
        jax.jit(form)(jnp.ones(3))


SCENES = {
    "gl": (
        GeneralLinear("0", "1"),
        ((3, 2), (4, 2)),
        lambda p: 0.1 * jnp.sum((p[0] @ p[1].T - 1.0) ** 2),
    ),
    "two layers": (  # no kinks: they would spoil the order of the integrator
        Rescaling("0", "1", axes=(0, 1)),
        ((3, 2), (2, 3)),
        lambda p: 0.1 * jnp.sum((p[1] @ (p[0] @ jnp.ones(2)) - 1.0) ** 2),
    ),
    "softmax": (
        Translation("0", axis=0),
        ((3, 2),),
        lambda p: -jax.nn.log_softmax(p[0] @ jnp.array([1.0, 2.0]))[0],
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_gradient_flow_conserves_what_noether_says(name, getkey):
    action, shapes, loss = SCENES[name]
    start = tuple(normal(getkey, *shape) for shape in shapes)

    def velocity(p):
        return jax.tree.map(jnp.negative, jax.grad(loss)(p))

    @jax.jit
    def flow(p):  # classical Runge-Kutta
        def step(p, _):
            h = 1e-2
            k1 = velocity(p)
            k2 = velocity(jax.tree.map(lambda x, k: x + h / 2 * k, p, k1))
            k3 = velocity(jax.tree.map(lambda x, k: x + h / 2 * k, p, k2))
            k4 = velocity(jax.tree.map(lambda x, k: x + h * k, p, k3))
            move = jax.tree.map(lambda a, b, c, d: h / 6 * (a + 2 * b + 2 * c + d), k1, k2, k3, k4)
            p = jax.tree.map(jnp.add, p, move)
            return p, conserved_quantities(action, p)

        return jax.lax.scan(step, p, None, length=100)

    end, along = flow(start)
    before = ravel_pytree(conserved_quantities(action, start))[0]
    moved = ravel_pytree(jax.tree.map(jnp.subtract, end, start))[0]
    assert float(jnp.abs(moved).max()) > 0.1  # the flow goes somewhere
    np.testing.assert_allclose(along.reshape(100, -1), before[None, :].repeat(100, 0), atol=1e-6)
    # Not so for a loss without the symmetry.
    slope = jax.grad(lambda p: sum(jnp.sum(jnp.cos(x)) for x in p))(start)
    rate = jax.jvp(lambda p: conserved_quantities(action, p), (start,), (slope,))[1]
    assert float(jnp.abs(rate).max()) > 0.1


def test_conserved_quantities_in_closed_form(gl2):
    action, (u, v) = gl2
    np.testing.assert_allclose(conserved_quantities(action, (u, v)), u.T @ u - v.T @ v, atol=1e-13)
    np.testing.assert_allclose(conserved_quantities(RightOrthogonal("0"), (u,)), 0.0, atol=1e-14)
    shifted = conserved_quantities(Translation("0", axis=0), (u,))
    np.testing.assert_allclose(shifted, 2 * u.sum(0), atol=1e-14)


def test_the_effective_group_of_some_leaves(getkey):
    layers = (normal(getkey, 4, 3), normal(getkey, 3, 4), normal(getkey, 2, 3))
    action = Product(
        GeneralLinear("1", "0", axes=(1, 0)),
        GeneralLinear("2", "1", axes=(1, 0)),
    )

    def dimension(where, params=layers):
        return effective_subalgebra(action, params, where)[0].shape[0]

    assert dimension(("0", "1", "2")) == 25
    # C of GL(4) and D of GL(3), at generic frozen values.
    assert dimension(("0", "1")) == 16 + 3  # any C, and D with W_3 D = 0
    assert dimension("1") == 4 + 3  # C W_1 = 0 and W_3 D = 0
    assert dimension("0") == 4 + 3  # W_3 D = 0 and W_2 C = D W_2
    # W_2 C = 0 and C W_1 = 0 has a solution, but it does not move W_3.
    assert dimension("2") == 0
    found = effective_subalgebra(action, layers, "0")
    for i in range(4):
        tangent = action.tangent(layers, tuple(c[i] for c in found))
        assert float(jnp.abs(tangent[0]).max()) > 0.01
        np.testing.assert_allclose(tangent[1], 0.0, atol=1e-12)
        np.testing.assert_allclose(tangent[2], 0.0, atol=1e-12)
    with pytest.raises(ValueError, match="`where` names 'nowhere'"):
        effective_subalgebra(action, layers, "nowhere")


def test_stabilisers(getkey):
    assert int(stabiliser_dimension(Orthogonal("0"), (normal(getkey, 3),))) == 1
    assert int(stabiliser_dimension(Orthogonal("0"), (jnp.zeros(3),))) == 3
    equal = (jnp.diag(jnp.array([1.0, 1.0, 2.0])),)
    assert int(stabiliser_dimension(Conjugation("0"), equal)) == 1
    thin = (normal(getkey, 2, 4), normal(getkey, 1, 4))
    assert int(stabiliser_dimension(GeneralLinear("0", "1"), thin)) == (4 - 2) * (4 - 1)
    batch = jnp.stack([jnp.zeros(3), jnp.ones(3)])
    many = jax.jit(jax.vmap(lambda x: stabiliser_dimension(Orthogonal("0"), (x,))))(batch)
    np.testing.assert_array_equal(many, [3, 1])
