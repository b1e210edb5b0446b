"""Settings: names, types, what is stacked, how they are written."""

import dataclasses

import numpy as np
import pytest
from sweep_models import Settings, descend

from gaugebias.sweep._settings import check_names, converted, stacked_names, traced, written


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        check_names(Settings(), ["lerning_rate"], "over")


@pytest.mark.parametrize(
    "bad", [{"depth": "two"}, {"depth": 2.5}, {"depth": True}, {"start": "x"}, {"loss": 3}]
)
def test_values_of_another_type_are_refused(bad):
    (name,) = bad
    with pytest.raises(ValueError, match=rf"`over\['{name}'\]` holds .* is of type"):
        converted(Settings(), bad)


def test_numbers_take_the_type_of_the_setting():
    found = converted(Settings(), {"depth": 3.0, "start": 1})
    assert found == {"depth": 3, "start": 1.0}
    assert type(found["depth"]) is int and type(found["start"]) is float


def test_floats_are_stacked_and_the_rest_grouped_unless_said_otherwise():
    names = ["depth", "learning_rate", "start"]
    assert stacked_names(Settings(), names, (), ()) == ("learning_rate", "start")
    assert stacked_names(Settings(), names, ("start",), ("depth",)) == ("depth", "learning_rate")
    for static, stack, said in (
        (("steps",), (), "not swept over"),
        (("start",), ("start",), "both name start"),
        (("strt",), (), "did you mean 'start'"),
    ):
        with pytest.raises(ValueError, match=said):
            stacked_names(Settings(), names, static, stack)
    with pytest.raises(ValueError, match="is no number"):
        stacked_names(Settings(), ["loss"], (), ("loss",))


def test_traced_settings_pass_by_the_checks_and_leave_the_original_alone():
    base = Settings()
    new = traced(base, {"depth": "anything"})
    assert new.depth == "anything" and base.depth == 2


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
