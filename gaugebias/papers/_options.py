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

    **Arguments:** `words`: `"NAME=VALUE"`; entries of a tuple are separated by commas.

    **Raises:** `ValueError` for a word without `=`, a name given twice, a name that is no field,
    with the nearest one, a value of another type, and what the settings themselves refuse.

    !!! example

        ```python
        with_options(Settings(), ["seeds=32", "widths=100,1000"])
        ```
    """
    types = typing.get_type_hints(type(settings))
    names = [field.name for field in dataclasses.fields(settings)]
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"`set` is {word!r}: give NAME=VALUE, as in {names[0]}=...")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            cure = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"`set`: there is no setting {name!r}: {cure}The names are {', '.join(names)}."
            )
        if name in changes:
            raise ValueError(f"`set` gives {name!r} twice: give it once.")
        changes[name] = _value(name, types[name], text)
    return dataclasses.replace(settings, **changes)


def _value(name: str, kind: Any, text: str) -> Any:
    if typing.get_origin(kind) is tuple:
        of = typing.get_args(kind)[0]
        parts = [part.strip() for part in text.split(",")]
        return tuple(_one(name, of, part) for part in parts if part)
    return _one(name, kind, text)


def _one(name: str, kind: Any, text: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or (kind is float and not math.isfinite(value)):
        raise ValueError(f"`set` gives {name!r} the value {text!r}: give {_KINDS[kind]}.")
    return value
