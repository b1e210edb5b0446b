"""A sweep as a TOML file: `gaugebias sweep CONFIG.toml`."""

import contextlib
import dataclasses
import difflib
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..design._named import load_function
from ._axes import Choice, LogUniform, Sample, Uniform
from ._settings import check_names, converted

_TOP = (
    "experiment",
    "settings_class",
    "path",
    "seed",
    "seeds",
    "static",
    "stacked",
    "stack",
    "chunk",
    "devices",
    "x64",
    "source",
    "units",
    "settings",
    "grid",
    "sample",
)
_AXES = {"uniform": Uniform, "log_uniform": LogUniform}
_GRIDS = {"linear": np.linspace, "log": np.geomspace}


@dataclasses.dataclass(frozen=True)
class Config:
    """A sweep as a file describes it: the arguments of [`gaugebias.sweep.run`][].

    `seed` is that of the random key, `x64` whether numbers are of double precision.
    """

    experiment: Callable
    settings: Any
    over: dict[str, Any] | Sample
    path: Path
    seed: int
    x64: bool
    options: dict[str, Any]


def read_config(file: str | Path) -> Config:
    """The sweep in a TOML file. The Python file that it names is run.

    **Arguments:**

    - `file`: names `experiment = "model.py:function"` and tables `[settings]`, `[grid]` or
        `[sample]`; `gaugebias sweep --help` shows one. Paths are relative to its folder.

    **Raises:** `ValueError` naming the entry and the fix.
    """
    source = Path(file)
    try:
        with source.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ValueError(
            f"the file {str(file)!r} cannot be read ({why}): check the path."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {str(file)!r} is not TOML: {error}.") from None
    _known(table, _TOP, str(file))
    folder = source.parent
    words = _text(table, "experiment")
    python, colon, name = words.rpartition(":")
    if not colon or not python.endswith(".py"):
        raise ValueError(
            f"`experiment` is {words!r}: write `file.py:function`, relative to {str(file)!r}."
        )
    with _importing(folder):
        experiment = load_function(folder / python, name, "experiment")
        kind = load_function(
            folder / python, str(table.get("settings_class", "Settings")), "settings_class"
        )
    base = _settings(kind, _table(table, "settings"))
    if ("grid" in table) == ("sample" in table):
        raise ValueError("give one of the tables `[grid]` and `[sample]`: what to sweep over.")
    over = _grid(_table(table, "grid")) if "grid" in table else _sample(_table(table, "sample"))
    check_names(base, over.over if isinstance(over, Sample) else over, "over")
    seed = table.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"`seed` is {seed!r}: give an integer from 0 to 4294967295.")
    names = ("seeds", "static", "stacked", "stack", "chunk", "devices", "source", "units")
    _check_types(table)
    return Config(
        experiment,
        base,
        over,
        folder / _text(table, "path", f"{source.stem}.zarr"),
        seed,
        bool(table.get("x64", True)),
        {name: table[name] for name in names if name in table},
    )


def _check_types(table: Mapping[str, Any]) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "seeds": (int, list),
        "static": (list,),
        "stacked": (list,),
        "stack": (bool,),
        "x64": (bool,),
        "chunk": (int,),
        "devices": (int,),
        "source": (str,),
        "units": (dict,),
    }
    for name, allowed in kinds.items():
        value = table.get(name)
        wrong_truth = isinstance(value, bool) and bool not in allowed
        if value is not None and (wrong_truth or not isinstance(value, allowed)):
            words = " or ".join(kind.__name__ for kind in allowed)
            raise ValueError(f"`{name}` is {value!r}: give a value of type {words}.")


def _known(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            cure = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"{where} has an entry {name!r}, which is unknown: {cure}The entries are "
                f"{', '.join(names)}."
            )


def _text(table: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = table.get(name, default)
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a text, but is {value!r}.")
    return value


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"`{name}` must be a table (`[{name}]`), but is {value!r}.")
    return value


@contextlib.contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """What the experiment's file imports is looked for beside it."""
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)


def _settings(kind: Any, values: Mapping[str, Any]) -> Any:
    if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
        raise ValueError(f"`settings_class` must name a dataclass, but is {kind!r}.")
    try:
        base = kind()
    except TypeError:
        try:
            return kind(**values)
        except TypeError as error:
            raise ValueError(f"`settings`: {error}: give every setting without default.") from None
    check_names(base, values, "settings")
    return dataclasses.replace(base, **converted(base, values, "settings"))


def _grid(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _values(name, value) for name, value in table.items()}


def _values(name: str, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and set(value) in ({"linear", "points"}, {"log", "points"}):
        (kind,) = set(value) - {"points"}
        try:
            low, high = (float(x) for x in value[kind])
            return [float(x) for x in _GRIDS[kind](low, high, int(value["points"]))]
        except (TypeError, ValueError) as error:
            raise ValueError(f"`grid.{name}`: {error}.") from None
    raise ValueError(
        f"`grid.{name}` is {value!r}: give a list of values, or "
        "{ log = [low, high], points = n } or { linear = [low, high], points = n }."
    )


def _sample(table: Mapping[str, Any]) -> Sample:
    _known(table, ("n", "seed", "over"), "`[sample]`")
    over = _table(table, "over")
    return Sample(
        table.get("n", 0), {k: _axis(k, v) for k, v in over.items()}, table.get("seed", 0)
    )


def _axis(name: str, value: Any) -> Uniform | LogUniform | Choice:
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inside),) = value.items()
        if kind == "choice":
            return Choice(inside)
        if kind in _AXES and isinstance(inside, list) and len(inside) == 2:
            return _AXES[kind](float(inside[0]), float(inside[1]))
    raise ValueError(
        f"`sample.over.{name}` is {value!r}: give {{ log_uniform = [low, high] }}, "
        "{ uniform = [low, high] } or { choice = [values] }."
    )
