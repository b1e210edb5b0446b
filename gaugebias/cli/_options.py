"""Options of a subcommand, from words: what cannot be parsed is one sentence."""

import contextlib
import io
import re
from collections.abc import Sequence
from typing import TypeVar

import tyro

T = TypeVar("T")
_HELP = ("For full helptext", "Argument helptext", "Perhaps you meant", "Similar", "usage:")
_TITLES = ("Parsing error", "Value error", "Missing argument", "Unrecognized options")


def parse(options: type[T], argv: Sequence[str], *, prog: str, description: str) -> T:
    """`options` (a dataclass) from the words of a command line.

    **Raises:** `ValueError` with what the parser says, on one line; `SystemExit` after `--help`.
    """
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(options, prog=prog, description=description, args=list(argv))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ValueError(_sentence(errors.getvalue(), prog)) from None


def _sentence(text: str, prog: str) -> str:
    """The words of a boxed message, without the box and the pointers to the help."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.strip(" │╭╮╰╯─━┃┏┓┗┛") for line in plain.splitlines()]
    kept = []
    for line in lines:
        if line.startswith(_HELP):
            break
        if line and line not in _TITLES:
            kept.append(line)
    words = " ".join(kept) or "the options cannot be read"
    return f"{words.rstrip('.')}: see `{prog} --help`."
