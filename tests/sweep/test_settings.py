"""Settings: names, types, what is stacked, what `__post_init__` makes of numbers."""

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from sweep_models import Settings

from gaugebias.sweep import Choice, Sample, Uniform
from gaugebias.sweep._axes import checked
from gaugebias.sweep._settings import (
    _named,
    check_names,
    converted,
    number_kind,
    stacked_names,
    traced,
    typed,
)


class Noise(enum.Enum):
    NONE = 0
    WHITE = 1


@dataclasses.dataclass(frozen=True)
class Optimiser:
    name: str = "sgd"
    rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Many:
    """One setting of each kind."""

    rate: float = 1  # an integer, where the annotation says what it is
    clip: float | None = None
    depth: int | None = 2
    noise: Noise = Noise.NONE
    optimiser: Optimiser = Optimiser()
    widths: tuple[int, ...] = (4, 4)
    sizes: list[int] = dataclasses.field(default_factory=lambda: [4])
    activation: Callable = jnp.tanh
    data: Path = Path("data")
    start: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))
    scale: Any = np.float32(2.0)
    shift: Any = dataclasses.field(default_factory=lambda: jnp.asarray(0.5))
    flag: bool = False


UNLIKE = [lambda x: x, lambda x: -x]


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


def test_settings_of_every_kind_take_values_of_theirs():
    def double(x):
        return 2 * x

    given = dict(
        rate=0.5,
        clip=1,
        depth=None,
        noise="WHITE",
        optimiser={"rate": 1},
        widths=[1, 2],
        sizes=(1, 2),
        activation=double,
        data="other",
        start=[1, 2],
        scale=3,
        shift=1,
        flag=True,
    )
    found = converted(Many(), given)
    assert found["rate"] == 0.5 and found["clip"] == 1.0 and found["depth"] is None
    assert found["noise"] is Noise.WHITE and converted(Many(), {"noise": 1})["noise"] is Noise.WHITE
    assert found["optimiser"] == Optimiser("sgd", 1.0)
    assert found["widths"] == (1, 2) and found["sizes"] == [1, 2]
    assert found["activation"] is double and found["data"] == Path("other")
    np.testing.assert_array_equal(found["start"], [1.0, 2.0])
    assert found["start"].dtype == float
    assert (found["scale"], found["shift"], found["flag"]) == (3.0, 1.0, True)
    kinds = {f.name: number_kind(Many(), f.name) for f in dataclasses.fields(Many)}
    floats = {"rate", "clip", "scale", "shift"}
    assert {n for n, kind in kinds.items() if kind is float} == floats
    assert {n for n, kind in kinds.items() if kind is int} == {"depth"}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"noise": "PINK"}, "one of NONE, WHITE"),
        ({"optimiser": {"rte": 1.0}}, "did you mean 'rate'"),
        ({"optimiser": 3}, "is of type Optimiser"),
        ({"rate": None}, "is of type float"),
        ({"activation": 3}, "holds 3"),
        ({"flag": 1}, "is of type bool"),
        ({"widths": 3}, "is of type tuple"),
    ],
)
def test_what_is_of_another_kind_is_said(bad, said):
    with pytest.raises(ValueError, match=said):
        converted(Many(), bad)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"rate": [1, 1.0]}, "names a value twice"),
        ({"widths": [[1, 2], (1, 2)]}, "names a value twice"),
        # Functions of one line have one source: the store could not tell their cells apart.
        ({"activation": UNLIKE}, "or two that read the same"),
        ({"activation": Choice(UNLIKE)}, "or two that read the same"),
        ({"depth": Uniform(0.0, 1.0)}, "is a range, but the setting is of type int"),
    ],
)
def test_designs_whose_values_cannot_be_told_apart_are_refused(over, said):
    sampled = any(not isinstance(axis, list) for axis in over.values())
    with pytest.raises(ValueError, match=said):
        typed(Many(), Sample(4, over) if sampled else checked(over))
    assert typed(Many(), Sample(4, {"depth": Choice([1, 1, 2])})) is not None  # 1 twice as often


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
    for names_, said in (("start", "`static` must be a list"), (3, "`static` must be a list")):
        with pytest.raises(ValueError, match=said):
            _named(names_, "static")
    with pytest.raises(ValueError, match="is no number"):
        stacked_names(Settings(), ["loss"], (), ("loss",))


def test_an_axis_with_a_gap_is_not_stacked():
    assert stacked_names(Many(), {"clip": (0.5, 1.0), "rate": (0.1,)}, (), ()) == ("clip", "rate")
    assert stacked_names(Many(), {"clip": (None, 1.0), "rate": (0.1,)}, (), ()) == ("rate",)


def test_traced_settings_pass_by_the_checks_and_leave_the_original_alone():
    base = Settings()
    new = traced(base, {"depth": "anything"})
    assert new.depth == "anything" and base.depth == 2


def test_what_is_made_of_a_traced_number_is_made_again_or_refused():
    @dataclasses.dataclass
    class Timed:
        rate: float = 0.1
        steps: int = 10
        time: float = dataclasses.field(init=False)

        def __post_init__(self):
            self.time = self.rate * self.steps

    assert traced(Timed(), {"rate": jnp.asarray(0.5)}).time == 5.0

    @dataclasses.dataclass
    class Rounded(Timed):
        def __post_init__(self):
            self.time = float("x") if isinstance(self.rate, str) else round(self.rate * self.steps)

    cells = [{"rate": 0.1}, {"rate": 0.14}, {"rate": 0.5}]
    assert traced(Rounded(), {"rate": "traced"}, cells[:2]).time == 1  # the same for all
    with pytest.raises(ValueError, match="Rounded computes 'time' in Python from settings"):
        traced(Rounded(), {"rate": "traced"}, cells)
