"""What differs between two records that are written as JSON, in words."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_DIGEST = re.compile(r"[0-9a-f]{16}")
_LONGEST = 60  # characters of a value that is shown
_ABSENT = object()


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """What differs, by name and value where that says something; empty where nothing does.

    A list and a tuple of the same values are the same, as JSON has one of them only.
    """
    return "; ".join(_lines(here, there, ""))


def _lines(here: Mapping[str, Any], there: Mapping[str, Any], at: str) -> Iterator[str]:
    for name in [*here, *(name for name in there if name not in here)]:
        a, b = here.get(name, _ABSENT), there.get(name, _ABSENT)
        if _same(a, b):
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _lines(a, b, f"{at}{name}.")
        elif name == "sha256" and at:
            yield f"the source code of {at[:-1]} differs"
        elif _is_digest(a) or _is_digest(b):
            yield f"{at}{name} differs"
        else:
            yield f"{at}{name} is {_short(a)} here and {_short(b)} there"


def _same(a: Any, b: Any) -> bool:
    if a is _ABSENT or b is _ABSENT:
        return a is b
    return a == b or json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _short(value: Any) -> str:
    text = "absent" if value is _ABSENT else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
