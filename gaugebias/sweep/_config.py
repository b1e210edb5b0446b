"""A sweep as a TOML file: `gaugebias sweep CONFIG.toml`."""

import contextlib
import dataclasses
import difflib
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..design._named import load_names
from ..dynamics._checks import count
from ._axes import Choice, LogUniform, Sample, Uniform, checked, listed
from ._settings import check_known, converted, typed

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
    _check_types(table)
    x64 = table.get("x64", True)
    wanted = {"experiment": name, "settings_class": table.get("settings_class", "Settings")}
    # Arrays that the file makes have the precision of the run; its classes are those of both names.
    with _importing(folder), jax.enable_x64(x64):
        found = load_names(folder / python, wanted, right=callable)
        base = _settings(found["settings_class"], _table(table, "settings"))
    if ("grid" in table) == ("sample" in table):
        raise ValueError("give one of the tables `[grid]` and `[sample]`: what to sweep over.")
    over = _grid(_table(table, "grid")) if "grid" in table else _sample(_table(table, "sample"))
    typed(base, checked(over))
    seed = table.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"`seed` is {seed!r}: give an integer from 0 to 4294967295.")
    names = ("seeds", "static", "stacked", "stack", "chunk", "devices", "source", "units")
    return Config(
        found["experiment"],
        base,
        over,
        folder / Path(_text(table, "path", f"{source.stem}.zarr")).expanduser(),
        seed,
        x64,
        {name: table[name] for name in names if name in table},
    )


def _check_types(table: Mapping[str, Any]) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "settings_class": (str,),
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
    known = [field.name for field in dataclasses.fields(kind) if field.init]
    check_known(values, known, "settings", f"setting of {kind.__name__}")
    try:
        base = kind()
    except Exception:  # it takes no defaults: what it says of the values comes out below
        base = None
    if base is not None:
        values = converted(base, values, "settings")
    try:
        return kind(**values) if base is None else dataclasses.replace(base, **values)
    except Exception as error:
        raise ValueError(
            f"`settings` cannot be made into {kind.__name__} ({type(error).__name__}: {error}): "
            "check them, and give every one without a default."
        ) from error


def _grid(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _values(name, value) for name, value in table.items()}


def _values(name: str, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and set(value) in ({"linear", "points"}, {"log", "points"}):
        (kind,) = set(value) - {"points"}
        number = count(value["points"], f"grid.{name}.points", least=1)
        low, high = _ends(f"grid.{name}", value[kind], kind)
        if kind == "log" and not low * high > 0:
            raise ValueError(f"`grid.{name}`: a log grid needs ends of one sign, not 0.")
        return [float(x) for x in _GRIDS[kind](low, high, number)]
    raise ValueError(
        f"`grid.{name}` is {value!r}: give a list of values, or "
        "{ log = [low, high], points = n } or { linear = [low, high], points = n }."
    )


def _ends(where: str, value: Any, kind: str) -> tuple[float, float]:
    right = isinstance(value, list) and len(value) == 2
    if not right or any(isinstance(x, bool) or not isinstance(x, int | float) for x in value):
        raise ValueError(f"`{where}` has {kind} = {value!r}: give two numbers, [low, high].")
    return float(value[0]), float(value[1])


def _sample(table: Mapping[str, Any]) -> Sample:
    _known(table, ("n", "seed", "over"), "`[sample]`")
    over = _table(table, "over")
    return Sample(
        table.get("n", 0), {k: _axis(k, v) for k, v in over.items()}, table.get("seed", 0)
    )


def _axis(name: str, value: Any) -> Uniform | LogUniform | Choice:
    where = f"sample.over.{name}"
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inside),) = value.items()
        if kind == "choice":
            return Choice(listed(inside, where))
        if kind in _AXES:
            ends = _ends(where, inside, kind)
            try:
                return _AXES[kind](*ends)
            except ValueError as error:
                raise ValueError(f"`{where}`: {error}") from None
    raise ValueError(
        f"`{where}` is {value!r}: give {{ log_uniform = [low, high] }}, "
        "{ uniform = [low, high] } or { choice = [values] }."
    )
