"""Naming leaves: paths, functions, and what every wrong name is told."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from gaugebias.symmetry import GeneralLinear, Product, Rescaling, Scale, Translation


def network():
    return eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0))


def plain():
    return {"u": jnp.ones(3), "v": jnp.ones(3), "n": jnp.arange(3), "rate": 0.1, "none": None}


def test_paths_functions_and_tuples_name_the_same_leaves():
    model = network()
    coeffs = jnp.array([0.1, -0.2, 0.3])
    acts = [
        Rescaling(
            lambda m: (m.layers[0].weight, m.layers[0].bias),
            lambda m: m.layers[1].weight,
            axes=((0, 0), 1),
        ),
        Rescaling(("layers.0.weight", "layers.0.bias"), "layers.1.weight", axes=(0, 1)),
        Rescaling(["layers.0.weight", lambda m: m.layers[0].bias], "layers.1.weight", [[0, 0], 1]),
    ]
    ends = [act.flow(model, coeffs) for act in acts]
    x = jnp.array([0.3, -0.8])
    for end in ends:
        assert jnp.allclose(end(x), model(x), atol=1e-12)
        assert end.layers[1].bias is model.layers[1].bias
        assert jnp.array_equal(end.layers[0].weight, ends[0].layers[0].weight)
    assert not jnp.allclose(ends[0].layers[0].weight, model.layers[0].weight)


def test_actions_are_hashable_static_data():
    act = Rescaling("u", "v", axes=[0, 0])
    assert jax.tree.leaves(act) == [] and hash(act) == hash(Rescaling("u", "v"))
    assert jax.jit(lambda a, p: a.flow(p, jnp.zeros(3)))(act, {"u": jnp.ones(3), "v": jnp.ones(3)})


def test_a_bare_array_and_a_sequence():
    assert Scale("").tangent(jnp.ones(2), 2.0).tolist() == [2.0, 2.0]
    assert Scale(lambda p: p).tangent(jnp.ones(2), 2.0).tolist() == [2.0, 2.0]
    out = Scale("1.0").tangent((jnp.ones(()), [jnp.ones(2)]), 3.0)
    assert out[0] == 0.0 and out[1][0].tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("w", "'w', which is not there: the floating leaves are 'u', 'v'"),
        ("n", "names 'n' of dtype int64: only real floating arrays can move"),
        ("rate", "names 'rate' of type float"),
        ("none", "'none', which is not there"),
        (lambda p: p["none"], "names None"),
        (lambda p: p["w"], r"KeyError: 'w'\): it must only pick leaves"),
        (lambda p: p, "whole subtree"),
        (lambda p: (p["u"], p["u"]), "names 'u', which `where` has already named"),
        (("u", lambda p: p["u"]), "names 'u', which `where` has already named"),
        (lambda p: p["u"] * 2, "TypeError"),
        (lambda p: p["u"].T, "AttributeError"),
        (lambda p: p["u"][0], "TypeError"),
        (lambda p: 3, "returns 3, which is not a leaf"),
        (lambda p: (), "names no leaf"),
    ],
)
def test_wrong_names(where, says):
    with pytest.raises(ValueError, match=says) as info:
        Scale(where).algebra(plain())
    assert "`where`" in str(info.value)


def test_wrong_names_in_a_model():
    model = network()
    with pytest.raises(ValueError, match="IndexError"):
        Scale(lambda m: m.layers[5].weight).algebra(model)
    with pytest.raises(ValueError, match="whole subtree .*Linear, 2 leaves"):
        Scale(lambda m: m.layers[0]).algebra(model)
    with pytest.raises(ValueError, match="'layers.0', a whole subtree"):
        Scale("layers.0").algebra(model)
    with pytest.raises(ValueError, match="'layers.0.weight', 'layers.0.bias'"):
        Scale("layers.9.weight").algebra(model)


def test_wrong_names_without_any_floating_leaf():
    with pytest.raises(ValueError, match="no floating array at all"):
        Scale("x").algebra({"n": jnp.arange(2)})


def test_complex_leaves_are_refused():
    with pytest.raises(ValueError, match="only real floating arrays"):
        Scale("z").algebra({"z": jnp.ones(2, complex)})


def test_ambiguous_paths_are_refused():
    with pytest.raises(ValueError, match="a path of 2 leaves"):
        Scale("a.b").algebra({"a.b": jnp.ones(1), "a": {"b": jnp.ones(1)}})


def test_the_same_leaf_on_both_sides_is_refused_and_shared_in_a_product_is_not():
    with pytest.raises(ValueError, match="`second` names 'u', which `first` has already named"):
        GeneralLinear("u", lambda p: p["u"], axes=0).algebra(plain())
    assert Product(Scale("u"), Scale("u")).tangent(plain(), (1.0, 2.0))["u"].tolist() == [3.0] * 3


@pytest.mark.parametrize("where", [3, None, (), ("u", 3)])
def test_where_of_the_wrong_kind(where):
    with pytest.raises(ValueError, match="`where`"):
        _unchecked(Scale, where)


def _unchecked(cls, *args, **kwargs):
    """Build with the run-time type checker of the tests out of the way, as users do."""
    from jaxtyping import config

    config.update("jaxtyping_disable", True)
    try:
        return cls(*args, **kwargs)
    finally:
        config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("axes", [(0, 0, 0), (0, "x"), (0, True), (0, 1.5)])
def test_axes_of_the_wrong_kind(axes):
    with pytest.raises(ValueError, match="`axes`"):
        Rescaling("u", "v", axes=axes)


def test_axes_are_refused_where_they_do_not_fit():
    params = {"U": jnp.ones((4, 3)), "V": jnp.ones((5, 2)), "b": jnp.ones(3)}
    with pytest.raises(
        ValueError, match=r"`axes` asks for axis 2 of 'U', which has shape \(4, 3\)"
    ):
        Rescaling("U", "b", axes=(2, 0)).algebra(params)
    with pytest.raises(ValueError, match=r"3 along axis 1 of 'U' .* but 2 along axis 1 of 'V'"):
        GeneralLinear("U", "V").algebra(params)
    with pytest.raises(ValueError, match=r"\(4,\) along axis 0 of 'U' .* but \(3,\) along axis 0"):
        Rescaling("U", "b").algebra(params)
    with pytest.raises(ValueError, match="gives 2 axes for the 1 leaves of `first`"):
        Rescaling(lambda p: p["U"], "b", axes=((0, 1), 0)).algebra(params)
    with pytest.raises(ValueError, match="gives 3 axes for the 2 entries of `first`"):
        Rescaling(("U", "b"), "V", axes=((0, 1, 2), 0)).algebra(params)
    with pytest.raises(ValueError, match="nested deeper"):
        Rescaling(lambda p: (p["U"], p["b"]), "V", axes=(((0, 1), 0), 0)).algebra(params)
    with pytest.raises(ValueError, match="the shift's shape"):
        Translation(("U", "V")).algebra(params)
