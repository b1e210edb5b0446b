"""How values of settings are written down: one text for one value, on every machine."""

import dataclasses
import enum
import functools
import json

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sweep_models import descend

from gaugebias.sweep._written import plain, text_of, written


class Level(enum.IntEnum):
    LOW = 1


def test_what_is_written_tells_one_value_from_another():
    @dataclasses.dataclass(frozen=True)
    class Inner:
        data: np.ndarray
        fn: object

    a = written(Inner(np.zeros(3), descend))
    b = written(Inner(np.ones(3), descend))
    assert a["fn"]["name"].endswith("descend") and len(a["fn"]["sha256"]) == 16
    assert a["data"] != b["data"] and a["fn"] == b["fn"]
    assert written((1, float("inf"), None, {"k": True})) == [1, "inf", None, {"k": True}]
    assert "0x" not in written(object())
    twice, thrice = functools.partial(descend, 2), functools.partial(descend, 3)
    assert text_of(twice) != text_of(thrice)
    assert text_of(jr.key(1)) != text_of(jr.key(2))


@pytest.mark.parametrize(
    "value",
    [
        Level.LOW,
        {"b", "a"},
        np.float32(0.5),
        jnp.asarray(2),
        jnp.zeros((2, 2)),
        jr.key(0),
        functools.partial(descend, key=np.zeros(2)),
        {"a": (1, {2.0})},
        1j,
    ],
)
def test_everything_is_json(value):
    assert json.loads(text_of(value)) == written(value)


def test_scalars_are_plain_and_keys_are_left_alone():
    assert plain([np.int64(1), jnp.asarray(0.5)]) == (1, 0.5)
    key = jr.key(0)
    assert plain(key) is key
    assert written(Level.LOW) == "LOW" and written({"b", "a"}) == ["a", "b"]
