"""Outputs: names that a store can have, numbers that it can hold, shapes that fit together."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sweep_models import Settings

import gaugebias as gb
from gaugebias.sweep._outputs import as_numbers, common_shapes, named, shapes_of


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".hidden", "__a", "zarr.json", "c", "x" * 300, "a\nb"]
)
def test_names_that_no_folder_can_have_are_refused(name):
    with pytest.raises(ValueError, match="which can be no name in a store"):
        named({name: 1.0, "other": 2.0} if name else {"": {"": 1.0}, "other": 2.0})


def test_leaves_of_a_pytree_are_named_by_their_path():
    assert list(named({"a": [1.0, (2.0,)], "b c": 3.0})) == ["a.0", "a.1.0", "b c"]
    assert list(named(1.0)) == ["value"]
    with pytest.raises(ValueError, match="returns no arrays"):
        named({"a": None})
    with pytest.raises(ValueError, match=r"two leaves named 'a\.b'"):
        named({"a": {"b": 1.0}, "a.b": 2.0})


@pytest.mark.parametrize("bad", ["text", object(), np.datetime64("2020"), jr.key(0), {1: 2}])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match="the output 'x' is of type .*: return numbers"):
        as_numbers("x", bad)


def test_short_floats_are_kept_as_floats():
    found = as_numbers("x", jnp.asarray([1.5, jnp.nan], jnp.bfloat16))
    assert found.dtype == np.float32 and found[0] == 1.5
    assert as_numbers("x", np.longdouble(1.5)).dtype == np.float64
    assert shapes_of({"x": jnp.zeros(3, jnp.bfloat16)}) == {"x": ((3,), np.dtype(np.float32))}
    assert as_numbers("x", 1j).dtype == complex and as_numbers("x", True).dtype == bool


def test_an_output_named_as_the_axis_of_another_is_refused():
    shapes = shapes_of({"w": np.zeros(3), "w_dim_0": np.zeros(())})
    with pytest.raises(ValueError, match="an output named 'w_dim_0'"):
        common_shapes([shapes], [])


def test_every_kind_of_number_comes_back_as_it_was(tmp_path):
    def kinds(settings, key):
        return {
            "short": jnp.asarray(settings.start, jnp.bfloat16),
            "half": jnp.asarray(settings.start, jnp.float16),
            "complex": settings.start * (1 + 2j),
            "truth": settings.start > 1.0,
            "whole": jnp.asarray([1, 2], jnp.int8),
            "none": jnp.zeros((0, 2)),
            "nested": {"deep": [settings.start, (settings.start, None)]},
        }

    over = {"start": [0.5, 1.5]}
    for stack in (True, False):
        run = {"path": tmp_path / f"s{stack}", "key": jr.key(0), "stack": stack}
        found = gb.sweep.run(kinds, Settings(), over, **run).isel(seed=0)
        np.testing.assert_array_equal(found.short, [0.5, 1.5])
        np.testing.assert_array_equal(found.half, np.asarray([0.5, 1.5], np.float16))
        np.testing.assert_array_equal(found["complex"], [0.5 + 1j, 1.5 + 3j])
        np.testing.assert_array_equal(found.truth, [False, True])
        np.testing.assert_array_equal(found.whole, [[1, 2], [1, 2]])
        assert found.none.shape == (2, 0, 2) and found.truth.dtype == bool
        np.testing.assert_array_equal(found["nested.deep.1.0"], [0.5, 1.5])
        assert (found.status == "done").all()
