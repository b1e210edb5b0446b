"""Options of a subcommand, from words: what cannot be parsed is one sentence."""

import contextlib
import dataclasses
import difflib
import io
import re
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

T = TypeVar("T")
_HELP = ("For full helptext", "Argument helptext", "Perhaps you meant", "Similar", "usage:")
_TITLES = ("Parsing error", "Value error", "Missing argument", "Unrecognized options")
_FRAME = r"^([\s│╭╮╰╯─━┃┏┓┗┛|+]|-{3,}|-(?=\s|$))+|([\s│╭╮╰╯─━┃┏┓┗┛|+]|-{3,})+$"
_KINDS = {int: "a whole number", float: "a number"}


def parse(options: type[T], argv: Sequence[str], *, prog: str, description: str) -> T:
    """`options` (a dataclass) from the words of a command line.

    **Raises:** `ValueError`, one sentence, for an option that does not exist (with the nearest
    one), is missing, has no value or one of another type, and for words that belong to nothing;
    `SystemExit` after `--help`.
    """
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(options, prog=prog, description=description, args=list(argv))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        words = _plain(errors.getvalue())
        said = _explained(_fields(options), list(argv), words) or words.rstrip(".")
        raise ValueError(f"{said} (see `{prog} --help`).") from None


class _Field(typing.NamedTuple):
    """`shown`: as in the usage line; `kind`: its type without annotations."""

    flag: str
    shown: str
    kind: Any
    positional: bool
    required: bool


def _fields(options: Any) -> list[_Field]:
    annotated = typing.get_type_hints(options, include_extras=True)
    kinds = typing.get_type_hints(options)
    found = []
    for field in dataclasses.fields(options):
        extras = getattr(annotated[field.name], "__metadata__", ())
        metavar = next((m for x in extras if (m := getattr(x, "metavar", None))), None)
        positional = tyro.conf.Positional in extras
        flag = f"--{field.name.replace('_', '-')}"
        shown = metavar or field.name.upper()
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        shown = shown if positional else f"{flag} {shown}"
        found.append(_Field(flag, shown, kinds[field.name], positional, required))
    return found


def _plain(text: str) -> str:
    """The words of a boxed message, without the box and the pointers to the help."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    # Rules are drawn with "-" where the terminal has no box characters.
    lines = [re.sub(_FRAME, "", line) for line in plain.splitlines()]
    kept = []
    for line in lines:
        if line.startswith(_HELP):
            break
        if line and line not in _TITLES:
            kept.append(line)
    return " ".join(kept) or "the options cannot be read"


def _explained(fields: list[_Field], argv: list[str], words: str) -> str | None:
    """What is wrong, in our words, where it is one of the usual things."""
    named = {field.flag: field for field in fields if not field.positional}
    for word in argv:
        flag = word.partition("=")[0].replace("_", "-")
        if re.match(r"--?[A-Za-z]", word) and not (flag in named or _negated(flag, named)):
            near = difflib.get_close_matches(flag, named, n=1)
            cure = f": did you mean `{near[0]}`?" if near else ""
            return f"there is no option `{flag}`{cure}".removesuffix("?")
    if found := re.search(r"Missing value for argument '([^']+)'", words):
        return f"`{found[1]}` has no value: give one after it"
    if found := re.search(r"Error parsing (\S+): .*?('[^']*')$", words.rstrip(".")):
        kind = getattr(named.get(found[1]), "kind", None)
        of = [each for each in (*typing.get_args(kind), kind) if each in _KINDS]
        if of:
            return f"`{found[1]}` is {found[2]}: give {_KINDS[of[0]]}"
    if found := re.search(r"choice ('.*?') for argument '([^']+)'.*one of \((.*?)\)", words):
        choices = [each for each in re.findall(r"'([^']*)'", found[3]) if each != "None"]
        return f"`{found[2]}` is {found[1]}: choose from {', '.join(choices)}"
    if "Required options" in words:
        missing = [each for each in fields if each.required and _absent(each, argv, words)]
        if missing:
            listed = " and ".join(f"`{each.shown}`" for each in missing)
            return f"{listed} {'is' if len(missing) == 1 else 'are'} missing"
    if found := re.search(r"Unrecognized options: (.*)", words):
        return f"{found[1].rstrip('.')!r} is one word too many"
    return None


def _negated(flag: str, named: dict[str, _Field]) -> bool:
    """Whether `flag` asks for help, or switches one of the flags off."""
    return flag in ("-h", "--help") or "--" + flag.removeprefix("--no-") in named


def _absent(field: _Field, argv: list[str], words: str) -> bool:
    if field.positional:
        return re.search(rf"\b{re.escape(field.shown)}\b", words) is not None
    return not any(word.partition("=")[0].replace("_", "-") == field.flag for word in argv)
