"""Product and what commutes with what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.symmetry import (
    GeneralLinear,
    Generators,
    Orthogonal,
    Product,
    RightOrthogonal,
    Scale,
    commutator_residual,
)

INNER = (GeneralLinear("2", "1", axes=(1, 0)), GeneralLinear("1", "0", axes=(1, 0)))


def test_deep_linear_network(getkey):
    params = tuple(jax.random.normal(getkey(), (2, 2)) for _ in range(3))
    act = Product(*INNER)
    coeffs = tuple(jax.random.normal(getkey(), (2, 2)) for _ in range(2))
    parts = [a.tangent(params, c) for a, c in zip(INNER, coeffs, strict=True)]
    for got, one, two in zip(act.tangent(params, coeffs), *parts, strict=True):
        np.testing.assert_allclose(got, one + two, atol=1e-14)
    end = act.flow(params, coeffs)
    product = params[2] @ params[1] @ params[0]
    np.testing.assert_allclose(end[2] @ end[1] @ end[0], product, atol=1e-10)
    v = tuple(jax.random.normal(getkey(), (2, 2)) for _ in range(3))
    for got, a in zip(act.cotangent(params, v), INNER, strict=True):
        np.testing.assert_allclose(got, a.cotangent(params, v), atol=1e-13)


def test_commuting_factors(getkey):
    params = tuple(jax.random.normal(getkey(), (3, 3)) for _ in range(3))
    assert commutator_residual(*INNER, params, getkey()) < 1e-14
    assert commutator_residual(RightOrthogonal("0"), Orthogonal("0"), params, getkey()) < 1e-14
    assert commutator_residual(Scale("0"), Scale("1"), params, getkey()) == 0.0


def test_factors_that_do_not_commute(getkey):
    params = (jax.random.normal(getkey(), (3,)),)

    def turn(i, j):
        return lambda p, c: (jnp.zeros(3).at[i].set(c * p[0][j]).at[j].set(-c * p[0][i]),)

    one, two = Generators(turn(0, 1), ()), Generators(turn(1, 2), ())
    assert commutator_residual(one, two, params, getkey()) > 0.1


def test_wrong_products():
    with pytest.raises(ValueError, match="`actions` is empty"):
        Product()
    with pytest.raises(ValueError, match="`coeffs` must be a tuple with one entry for each of the"):
        Product(Scale("0"), Scale("1")).tangent((jnp.ones(1), jnp.ones(1)), (1.0,))
