"""Settings dataclasses: names checked, values converted, arrays put in their place."""

import copy
import dataclasses
import difflib
import enum
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._axes import Choice, Over, Sample, check_different
from ._written import plain, text_of


def check_settings(settings: Any) -> None:
    """`ValueError` where `settings` is not an instance of a dataclass."""
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise ValueError(
            f"`settings` must be an instance of a dataclass, but is {settings!r}: pass the "
            "settings that every cell shares."
        )


def names_of(settings: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(settings) if field.init]


def check_names(settings: Any, names: Iterable[str], argument: str) -> None:
    """`ValueError` with the nearest name where one is not a setting."""
    known = names_of(settings)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            cure = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"`{argument}` names {name!r}, which is not a setting of "
                f"{type(settings).__name__}: {cure}The settings are {', '.join(known)}."
            )


def check_known(names: Iterable[str], known: Sequence[str], argument: str, what: str) -> None:
    """`ValueError` with the nearest name where one is not among those known."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}."
            raise ValueError(f"`{argument}` names {name!r}, which is no {what}: {cure}")


def _kinds(settings: Any, name: str) -> tuple[Any, ...]:
    """The types that the annotation of a setting allows; none where it cannot be read."""
    try:
        hint = typing.get_type_hints(type(settings)).get(name)
    except Exception:  # an annotation of names that are not there
        return ()
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return () if hint is None else (hint,)


def number_kind(settings: Any, name: str) -> type | None:
    """`float` or `int` where a setting is such a number: by its annotation, or by its value."""
    kinds = [kind for kind in _kinds(settings, name) if kind is not type(None)]
    base = plain(getattr(settings, name))
    if isinstance(base, bool | enum.Enum) or not isinstance(base, int | float | None):
        return None
    if isinstance(base, float) or kinds == [float]:
        return float
    return int if isinstance(base, int) or kinds == [int] else None


def converted(settings: Any, values: Mapping[str, Any], argument: str = "over") -> dict[str, Any]:
    """`values` in the types that the base settings have; `ValueError` where one is of another."""
    return {name: _converted(settings, name, value, argument) for name, value in values.items()}


def _converted(settings: Any, name: str, value: Any, argument: str) -> Any:
    base, where = getattr(settings, name), f"{argument}[{name!r}]"
    make: Any = type(base)
    if value is None and (base is None or type(None) in _kinds(settings, name)):
        return None
    number = number_kind(settings, name)
    if number is not None:
        if isinstance(value, int | float) and not isinstance(value, bool | enum.Enum):
            if number is float or float(value).is_integer():
                return number(value)
        said = number.__name__
    elif base is None:
        return value
    elif isinstance(base, enum.Enum):
        found = _member(type(base), value)
        if found is not None:
            return found
        said = f"{type(base).__name__}, one of {', '.join(type(base).__members__)}"
    elif dataclasses.is_dataclass(base) and isinstance(value, Mapping):
        check_names(base, value, where)
        return replaced(base, converted(base, value, where))
    elif isinstance(base, list | tuple) and isinstance(value, list | tuple):
        return make(plain(value)) if make in (list, tuple) else value
    elif isinstance(base, os.PathLike) and isinstance(value, str):
        return make(value)
    elif hasattr(base, "__array__") and isinstance(value, list | tuple):
        return np.asarray(value, np.asarray(base).dtype)
    elif isinstance(value, type(plain(base))) or (callable(base) and callable(value)):
        return value
    elif hasattr(base, "__array__") and hasattr(value, "__array__"):
        return value
    else:
        said = make.__name__
    raise ValueError(
        f"`{where}` holds {value!r}, but the setting is of type {said} (it is {base!r}): give "
        "values of that type."
    )


def _member(kind: type[enum.Enum], value: Any) -> enum.Enum | None:
    """A member by itself, by its name, or by its value."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    try:
        return kind(value)
    except ValueError:
        return None


def typed(settings: Any, over: Over) -> Over:
    """A design with every value in the type of its setting; `ValueError` where one is not."""
    check_names(settings, over.over if isinstance(over, Sample) else over, "over")

    def values(name: str, given: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(_converted(settings, name, value, "over") for value in given)

    if not isinstance(over, Sample):
        found = {name: values(name, given) for name, given in over.items()}
        for name, each in found.items():
            check_different(name, each)
        return found
    axes = {}
    for name, axis in over.over.items():
        if isinstance(axis, Choice):
            axes[name] = copy.copy(axis)
            object.__setattr__(axes[name], "values", values(name, axis.values))
            check_different(name, _once(axes[name].values))
        elif number_kind(settings, name) is not float:
            kind = type(getattr(settings, name)).__name__
            raise ValueError(
                f"`over[{name!r}]` is a range, but the setting is of type {kind} (it is "
                f"{getattr(settings, name)!r}): give a `Choice` of values."
            )
        else:
            axes[name] = axis
    return dataclasses.replace(over, over=axes)


def _once(values: Sequence[Any]) -> list[Any]:
    """Each value once: a choice may name one twice, which is then taken more often."""
    try:
        return list(dict.fromkeys(values))
    except TypeError:  # not hashable
        return list({id(value): value for value in values}.values())


def replaced(settings: Any, values: Mapping[str, Any]) -> Any:
    """The settings with `values` in place, checked by the dataclass's own `__post_init__`."""
    return dataclasses.replace(settings, **values)


def traced(
    settings: Any, values: Mapping[str, Any], cells: Iterable[Mapping[str, Any]] = ()
) -> Any:
    """A copy with `values` (arrays) in place.

    It is made anew, so that what `__post_init__` computes from them is traced too. Where
    `__post_init__` looks at the numbers, which are not there, it is passed by: it has seen those of
    `cells`, and must have made nothing of them.

    **Raises:** `ValueError` where it has.
    """
    try:
        return replaced(settings, values)
    except Exception:  # of any type: checks are the user's
        _check_nothing_made(settings, values, cells)
    new = copy.copy(settings)
    for name, value in values.items():
        object.__setattr__(new, name, value)
    return new


def _check_nothing_made(
    settings: Any, stacked: Iterable[str], cells: Iterable[Mapping[str, Any]]
) -> None:
    stacked = set(stacked)
    state = {field.name for field in dataclasses.fields(settings)} | set(
        getattr(settings, "__dict__", {})
    )
    for values in cells:
        other = replaced(settings, values)
        for name in sorted(state):
            a, b = getattr(settings, name, None), getattr(other, name, None)
            if name in stacked:
                same = np.allclose(values[name], plain(b), rtol=1e-6, atol=0.0, equal_nan=True)
            else:
                same = a is b or text_of(a) == text_of(b)
            if not same:
                raise ValueError(
                    f"`settings`: {type(settings).__name__} computes {name!r} in Python from "
                    "settings that are swept, which is the same for all stacked cells: make it a "
                    "property, name the settings that it needs in `static`, or pass `stack=False`."
                )


def _named(names: Any, argument: str) -> set[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ValueError(f"`{argument}` must be a list of names of settings, but is {names!r}.")
    return set(names)


def stacked_names(
    settings: Any,
    swept: Mapping[str, Sequence[Any]] | Sequence[str],
    static: Iterable[str],
    stack: Iterable[str],
) -> tuple[str, ...]:
    """Of the swept settings, those that become arrays: floats, unless said otherwise.

    `swept` may say their values: an axis with a `None` stays as it is.
    """
    static, stack = _named(static, "static"), _named(stack, "stacked")
    values = swept if isinstance(swept, Mapping) else {}
    gaps = {name for name, each in values.items() if any(value is None for value in each)}
    both = static & stack
    if both:
        raise ValueError(f"`static` and `stacked` both name {', '.join(sorted(both))}.")
    for argument, named in (("static", static), ("stacked", stack)):
        check_names(settings, named, argument)
        missing = named - set(swept)
        if missing:
            raise ValueError(
                f"`{argument}` names {', '.join(sorted(missing))}, which is not swept over: leave "
                "it out."
            )
    for name in stack:
        if number_kind(settings, name) is None or name in gaps:
            raise ValueError(f"`stacked` names {name!r}, which is no number: it stays static.")
    return tuple(
        name
        for name in swept
        if name in stack or (number_kind(settings, name) is float and name not in static | gaps)
    )
