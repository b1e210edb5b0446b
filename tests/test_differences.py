"""Two records held against each other: what is said of them."""

import pytest

from gaugebias._differences import differences

HERE = {"steps": 64, "shape": (1, 2), "drift": "0123456789abcdef", "inner": {"a": None, "b": 1.0}}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (HERE, ""),
        (HERE | {"shape": [1, 2]}, ""),
        (HERE | {"steps": 32}, "steps is 64 here and 32 there"),
        (HERE | {"drift": "fedcba9876543210"}, "drift differs"),
        (HERE | {"inner": {"b": 1}}, "inner.a is None here and absent there"),
        (HERE | {"more": "x" * 99}, f"more is absent here and '{'x' * 56}... there"),
        ({**HERE, "inner": 3, "steps": 1}, "steps is 64 here and 1 there; inner is {'a'"),
    ],
)
def test_what_differs_is_named(there, said):
    found = differences(HERE, there)
    assert found == said if not said.endswith("{'a'") else found.startswith(said)


def test_a_function_differs_by_its_source():
    fn = {"name": "f", "sha256": "0123456789abcdef"}
    found = differences({"loss": fn}, {"loss": fn | {"sha256": "unknown"}})
    assert found == "the source code of loss differs"
