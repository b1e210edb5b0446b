"""Settings of a publication, changed by words."""

import dataclasses
import difflib
import math
import typing
from collections.abc import Sequence
from typing import Any

_KINDS = {int: "a whole number", float: "a finite number"}


def with_options(settings: Any, words: Sequence[str]) -> Any:
    """`settings` (a dataclass) with some of its fields changed.

    **Arguments:** `words`: `"NAME=VALUE"`; entries of a tuple are separated by commas, and
    those of a tuple inside it by colons. A setting of one experiment of several is
    `"EXPERIMENT.NAME=VALUE"`.

    **Raises:** `ValueError` for a word without `=`, a name given twice, a name that is no field,
    with the nearest one, a value of another type, and what the settings themselves refuse.

    !!! example

        ```python
        with_options(Settings(), ["seeds=32", "widths=100,1000"])
        ```
    """
    given = _flat(settings)
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"`set` is {word!r}: give NAME=VALUE, as in {next(iter(given))}=...")
        if name not in given:
            near = difflib.get_close_matches(name, given, n=1)
            cure = f"did you mean {near[0]!r}? " if near else ""
            known = [each for each in given if each.startswith(name + ".")] if name else []
            raise ValueError(
                f"`set`: there is no setting {name!r}: {cure}The names are "
                f"{', '.join(known or given)}."
            )
        if name in changes:
            raise ValueError(f"`set` gives {name!r} twice: give it once.")
        changes[name] = _value(name, given[name], text)
    return _changed(settings, changes)


def _flat(settings: Any) -> dict[str, Any]:
    """Types by name; settings inside of settings are `OUTER.INNER`."""
    types = typing.get_type_hints(type(settings))
    found: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found |= {f"{field.name}.{name}": kind for name, kind in _flat(value).items()}
        else:
            found[field.name] = types[field.name]
    return found


def _changed(settings: Any, changes: dict[str, Any]) -> Any:
    """All changes of one group at once, as they may hold only together."""
    own: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        outer, dot, inner = name.partition(".")
        if dot:
            groups.setdefault(outer, {})[inner] = value
        else:
            own[name] = value
    for outer, inside in groups.items():
        own[outer] = _changed(getattr(settings, outer), inside)
    return dataclasses.replace(settings, **own)


def _value(name: str, kind: Any, text: str, separator: str = ",") -> Any:
    if typing.get_origin(kind) is not tuple:
        return _one(name, kind, text)
    kinds = typing.get_args(kind)
    parts = [part.strip() for part in text.split(separator) if part.strip()]
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(parts)
    if len(parts) != len(kinds):
        raise ValueError(
            f"`set` gives {name!r} the value {text!r}: give {len(kinds)} values with "
            f"{separator!r} between."
        )
    return tuple(_value(name, each, part, ":") for each, part in zip(kinds, parts, strict=True))


def _one(name: str, kind: Any, text: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or (kind is float and not math.isfinite(value)):
        raise ValueError(f"`set` gives {name!r} the value {text!r}: give {_KINDS[kind]}.")
    return value
