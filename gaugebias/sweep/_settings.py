"""Settings dataclasses: replaced, checked, grouped by what changes shapes, written down."""

import copy
import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ._axes import plain


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


def converted(settings: Any, values: Mapping[str, Any], argument: str = "over") -> dict[str, Any]:
    """`values` in the types that the base settings have; `ValueError` where one is of another."""
    out = {}
    for name, value in values.items():
        base = getattr(settings, name)
        if isinstance(base, bool) or isinstance(value, bool):
            right = isinstance(base, bool) and isinstance(value, bool)
        elif isinstance(base, float):
            right = isinstance(value, int | float)
            value = float(value) if right else value
        elif isinstance(base, int):
            right = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            value = int(value) if right else value
        elif base is None:
            right = True
        elif isinstance(base, tuple):
            right = isinstance(value, list | tuple)
            value = plain(value)
        else:
            right = isinstance(value, type(base))
        if not right:
            raise ValueError(
                f"`{argument}[{name!r}]` holds {value!r}, but the setting is of type "
                f"{type(base).__name__} (it is {base!r}): give values of that type."
            )
        out[name] = value
    return out


def replaced(settings: Any, values: Mapping[str, Any]) -> Any:
    """The settings with `values` in place, checked by the dataclass's own `__post_init__`."""
    return dataclasses.replace(settings, **values)


def traced(settings: Any, values: Mapping[str, Any]) -> Any:
    """A copy with `values` (arrays) in place, past the checks, which have seen the numbers."""
    new = copy.copy(settings)
    for name, value in values.items():
        object.__setattr__(new, name, value)
    return new


def stacked_names(
    settings: Any, swept: Iterable[str], static: Iterable[str], stack: Iterable[str]
) -> tuple[str, ...]:
    """Of the swept settings, those that become arrays: floats, unless said otherwise."""
    static, stack, swept = set(static), set(stack), list(swept)
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
        if isinstance(getattr(settings, name), bool) or not isinstance(
            getattr(settings, name), int | float
        ):
            raise ValueError(f"`stacked` names {name!r}, which is no number: it stays static.")
    return tuple(
        name
        for name in swept
        if name in stack or (isinstance(getattr(settings, name), float) and name not in static)
    )


def written(value: Any) -> Any:
    """A setting as JSON can hold it: the value, or what tells it from another."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: written(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, list | tuple):
        return [written(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): written(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        array = np.asarray(value)
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
        return f"array {array.dtype}{list(array.shape)} sha256 {digest}"
    if callable(value):
        from ..dynamics._runs._engine import source

        return source(value)
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def same(a: Any, b: Any) -> bool:
    """Whether two written values are the same JSON."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
