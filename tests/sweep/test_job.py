"""What is computed: settings of every kind, failures told apart, experiments that cannot be run."""

import dataclasses
import enum
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sweep_models import Settings

import gaugebias as gb
from gaugebias.sweep._program import Program
from gaugebias.sweep._run import _units


class Noise(enum.Enum):
    NONE = 0
    WHITE = 1


@dataclasses.dataclass(frozen=True)
class Inner:
    scale: float = 1.0


def double(x):
    return 2 * x


def square(x):
    return x**2


@dataclasses.dataclass(frozen=True)
class Many:
    rate: float = 1
    noise: Noise = Noise.NONE
    inner: Inner = Inner()
    shift: float | None = None
    activation: Callable = double
    steps: int = 10
    time: float = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "time", self.rate * self.steps)


def test_settings_of_every_kind_are_swept_and_resumed(tmp_path):
    def experiment(settings, key):
        x = settings.activation(settings.rate) * settings.inner.scale
        x = x + (100.0 if settings.noise is Noise.WHITE else 0.0) + (settings.shift or 0.0)
        return {"x": x, "time": settings.time}

    over = {
        "rate": [1.0, 3.0],
        "noise": [Noise.NONE, Noise.WHITE],
        "inner": [Inner(1.0), Inner(10.0)],
        "shift": [None, 0.5],
        "activation": [double, square],
    }
    run = {"path": tmp_path / "s", "key": jr.key(0)}
    found = gb.sweep.run(experiment, Many(), over, **run).isel(seed=0)
    expected = np.zeros((2, 2, 2, 2, 2))
    for at in np.ndindex(expected.shape):
        rate, noise, inner, shift, fn = (v[i] for v, i in zip(over.values(), at, strict=True))
        expected[at] = fn(rate) * inner.scale + 100.0 * noise.value + (shift or 0.0)
    np.testing.assert_array_equal(found.x, expected)
    # `__post_init__` derives it from a stacked number: of every cell's own, not of the first's.
    np.testing.assert_array_equal(found.time[:, 0, 0, 0, 0], [10.0, 30.0])
    assert list(found.noise.values) == ["NONE", "WHITE"]
    again = gb.sweep.run(experiment, Many(), over, **run).isel(seed=0)
    assert again.identical(found)


def test_a_failing_cell_is_found_by_halves(tmp_path, monkeypatch):
    def check(x):
        if x in (3.0, 17.0):
            raise FloatingPointError(f"no {x}")
        return x

    def fragile(settings, key):
        shape = jax.ShapeDtypeStruct((), float)
        return jax.pure_callback(check, shape, settings.start, vmap_method="sequential")

    run, runs = Program.run, []

    def counted(self, cells, mesh):
        runs.append(sum(cell is not None for cell in cells))
        return run(self, cells, mesh)

    monkeypatch.setattr(Program, "run", counted)
    over = {"start": [float(i) for i in range(32)]}
    found = gb.sweep.run(
        fragile, Settings(), over, path=tmp_path / "s", key=jr.key(0), chunk=32
    ).isel(seed=0)
    bad = np.isin(np.arange(32), (3, 17))
    np.testing.assert_array_equal(found.value, np.where(bad, np.nan, np.arange(32.0)))
    np.testing.assert_array_equal(found.status == "failed", bad)
    # What the function of the host said, not what jax says of it.
    assert [str(found.reason[i].values) for i in (3, 17)] == [
        f"FloatingPointError: no {i}.0" for i in (3, 17)
    ]
    assert runs[0] == 32 and len(runs) == 1 + 2 * (2 * 4 + 1)  # not 32


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda s, k: s.nothing, "AttributeError: 'Settings' object has no attribute 'nothing'"),
        (lambda s: s, "called as `experiment"),
        (lambda s, k: {0.5: 1.0}[s.start], "TypeError: unhashable"),
        (lambda s, k: "text", "cannot be run with any of the settings"),
        (lambda s, k: k, "the output 'value' is of type"),
        (lambda s, k: 1.0 if s.start > 0 else 0.0, "cannot be traced by jax .*`static`"),
        (
            lambda s, k: jax.pure_callback(float, jax.ShapeDtypeStruct((), float), s.start),
            "cannot be stacked by `jax.vmap` .*`stack=False`",
        ),
    ],
)
def test_an_experiment_that_cannot_be_run_is_one_sentence(bad, said, tmp_path):
    over = {"start": [0.1, 0.2]}
    with pytest.raises(ValueError, match=said) as caught:
        gb.sweep.run(bad, Settings(), over, path=tmp_path / "s", key=jr.key(0))
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_what_cannot_be_stacked_runs_on_the_host(tmp_path):
    def outside(settings, key):
        return jax.pure_callback(float, jax.ShapeDtypeStruct((), float), settings.start)

    found = gb.sweep.run(
        outside, Settings(), {"start": [0.5, 1.5]}, path=tmp_path / "s", key=jr.key(0), stack=False
    )
    np.testing.assert_array_equal(found.value[:, 0], [0.5, 1.5])


def test_a_generator_whose_numbers_depend_on_the_chunk_is_refused(tmp_path):
    run = {"path": tmp_path / "s", "key": jr.key(0, impl="rbg")}

    def noise(settings, key):
        return settings.start + jax.random.normal(key, (2,))

    with pytest.raises(ValueError, match="`key` is of the generator 'rbg'"):
        gb.sweep.run(noise, Settings(), {"start": [0.5, 1.5]}, **run)
    found = gb.sweep.run(noise, Settings(), {"start": [0.5, 1.5]}, **run, stack=False, seeds=[7])
    alone = jax.random.normal(jr.fold_in(run["key"], 7), (2,))
    np.testing.assert_array_equal(found.value[1, 0], 1.5 + alone)


def test_a_setting_of_a_name_of_the_store_is_refused(tmp_path):
    @dataclasses.dataclass
    class Seeded:
        seed: int = 0
        status: float = 1.0

    for name, said in (("seed", "pass `seeds=`"), ("status", "rename the setting")):
        with pytest.raises(ValueError, match=f"`over` names '{name}', which the store .*{said}"):
            gb.sweep.run(
                lambda s, k: jnp.zeros(()), Seeded(), {name: [1, 2]}, path=tmp_path, key=jr.key(0)
            )


def test_units_of_what_there_is_not_are_refused(tmp_path):
    run = {"path": tmp_path / "s", "key": jr.key(0)}
    for units, said in (
        ({"start": 3}, r"`units\['start'\]` must be a text"),
        ("m", "a dictionary"),
    ):
        with pytest.raises(ValueError, match=said):
            _units(units, Settings())
    said = "`units` names 'strt', which is no output or setting: did you mean 'start'"
    with pytest.raises(ValueError, match=said):
        gb.sweep.run(
            lambda s, k: {"w": s.start}, Settings(), {"start": [0.1]}, units={"strt": "m"}, **run
        )
    found = gb.sweep.run(
        lambda s, k: {"w": s.start}, Settings(), {"start": [0.1]}, units={"w": "m"}, **run
    )
    assert found.w.attrs["units"] == "m"


def test_a_refused_cell_has_no_numbers_of_another(tmp_path):
    """Its place in the chunk is computed with a copy of a neighbour, which is not its result."""

    @dataclasses.dataclass(frozen=True)
    class Positive:
        rate: float = 1.0

        def __post_init__(self):
            if self.rate < 0:
                raise ValueError("`rate` is negative")

    def experiment(settings, key):
        return {"w": settings.rate, "n": jnp.asarray(7)}

    run = {"path": tmp_path / "s", "key": jr.key(0), "chunk": 4}
    found = gb.sweep.run(experiment, Positive(), {"rate": [1.0, -1.0, 2.0]}, **run).isel(seed=0)
    np.testing.assert_array_equal(found.w, [1.0, np.nan, 2.0])
    np.testing.assert_array_equal(found.n, [7, 0, 7])
    assert list(found.status.values) == ["done", "failed", "done"]
    assert "`rate` is negative" in str(found.reason.values[1])


def test_a_chunk_without_memory_is_left_and_stops_no_other(tmp_path, monkeypatch):
    run, calls = Program.run, []

    def short(self, cells, mesh):
        calls.append(cells)
        if len(calls) == 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return run(self, cells, mesh)

    monkeypatch.setattr(Program, "run", short)
    arguments = (lambda s, k: s.start, Settings(), {"start": [float(i) for i in range(12)]})
    options = {"path": tmp_path / "s", "key": jr.key(0), "chunk": 4}
    with pytest.raises(ValueError, match="`chunk`: 1 chunks of 4 cells found no memory .*RESOURCE"):
        gb.sweep.run(*arguments, **options)
    status = gb.sweep.load(tmp_path / "s").status.values[:, 0]
    assert list(status) == ["done"] * 4 + ["pending"] * 4 + ["done"] * 4
    found = gb.sweep.run(*arguments, **options)
    np.testing.assert_array_equal(found.value[:, 0], np.arange(12.0))
    assert len(calls) == 4  # the finished ones are not repeated
