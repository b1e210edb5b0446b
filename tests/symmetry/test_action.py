"""What follows from the interface alone: names, dimensions and wrong tangents."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from gaugebias.symmetry import (
    AbstractAction,
    GeneralLinear,
    Product,
    RightOrthogonal,
    Scale,
    algebra_dimension,
    generator_name,
    orbit_jacobian,
)


class Shift(AbstractAction):
    """A user's own action: everything but `algebra`, `tangent` and `flow` follows."""

    by: jax.Array = eqx.field(converter=jnp.asarray)

    def algebra(self, params):
        return {"c": jax.ShapeDtypeStruct((), params.dtype)}

    def tangent(self, params, coeffs):
        return coeffs["c"] * self.by

    def flow(self, params, coeffs):
        return params + coeffs["c"] * self.by


def test_a_users_own_action():
    act, params = Shift([1.0, 2.0]), jnp.array([3.0, 4.0])
    assert algebra_dimension(act, params) == 1
    assert orbit_jacobian(act, params).tolist() == [[1.0], [2.0]]
    assert act.cotangent(params, jnp.array([1.0, -1.0]))["c"] == -1.0
    assert generator_name(act, params, 0) == "coeffs['c']"


def test_generator_names():
    params = (jnp.ones((3, 2)), jnp.ones((4, 2)), jnp.ones((2, 3)))
    act = Product(GeneralLinear("0", "1"), RightOrthogonal("2"), Scale("2"))
    assert algebra_dimension(act, params) == 8
    names = [generator_name(act, params, i) for i in (0, 2, 4, 6, 7)]
    expected = ["[0][0, 0]", "[0][1, 0]", "[1][0]", "[1][2]", "[2]"]
    assert names == ["coeffs" + name for name in expected]
    for index in (-1, 8):
        with pytest.raises(ValueError, match="`index` must be from 0 to 7"):
            generator_name(act, params, index)


def test_a_group_without_generators():
    params = (jnp.ones((3, 1)),)
    act = RightOrthogonal("0")
    assert algebra_dimension(act, params) == 0
    assert orbit_jacobian(act, params).shape == (3, 0)


def test_cotangent_takes_whole_parameters_and_missing_leaves():
    act = Scale("u")
    params = {"u": jnp.array([1.0, 2.0]), "v": jnp.ones(3), "n": jnp.arange(2)}
    assert act.cotangent(params, params) == 5.0
    assert act.cotangent(params, {"u": params["u"], "v": None, "n": None}) == 5.0


@pytest.mark.parametrize(
    ("v", "says"),
    [
        ({"u": jnp.ones(2)}, "`v` must have the structure"),
        (jnp.ones(2), "`v` must have the structure"),
        ({"u": jnp.ones(2), "v": jnp.ones(2)}, r"`v` has a leaf of shape \(2,\) where"),
    ],
)
def test_wrong_cotangents(v, says):
    with pytest.raises(ValueError, match=says):
        Scale("u").cotangent({"u": jnp.ones(2), "v": jnp.ones(3)}, v)


def test_complex_parameters_are_refused():
    with pytest.raises(ValueError, match="`params` holds complex arrays"):
        orbit_jacobian(Scale("u"), {"u": jnp.ones(2), "z": jnp.ones(2, complex)})
