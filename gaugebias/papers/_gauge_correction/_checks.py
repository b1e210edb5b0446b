"""Checks that the settings of the experiments share."""

from typing import Any


def check_positive(settings: Any, *names: str) -> None:
    """`ValueError` for a setting, or an entry of one that is a tuple, that is not above 0.

    A tuple must not be empty.
    """
    for name in names:
        value = getattr(settings, name)
        entries = value if isinstance(value, tuple) else (value,)
        if not entries:
            raise ValueError(f"`{name}` is empty: give at least one number above 0.")
        for each in entries:
            if not each > 0:
                raise ValueError(f"`{name}` is {each:g}: give a number above 0.")
