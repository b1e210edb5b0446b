"""The command `gaugebias`: finds the subcommand and turns what it raises into an exit code."""

import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from ._interrupt import listen

COMMANDS = {
    "catalogue": "models with their symmetry, closed forms and laws; checked in three ways",
    "completion": "the script with which bash, zsh or fish completes subcommands and options",
    "design": "a penalty in, a parametrisation whose noise has that bias out",
    "discover": "the continuous symmetries of a model in a Python file, found and named",
    "doctor": "devices, versions, precision, and a check in ten seconds that all is well",
    "factorise": "a table of counts as a mixture of components, and how far these can move",
    "reproduce": "the claims of publications measured again, with controls and verdicts",
    "sweep": "an experiment of your own on a grid of settings: stored as it runs, resumable",
    "verify": "which law does the simulated process follow? Built-in cases, or your own table",
}
"""Subcommand -> one line; `gaugebias verify` is `run(argv)` of the module `_verify` beside this."""
_UNREAD = 141  # as a shell says of a program that the signal of a broken pipe has ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (of the process by default) and return its exit code.

    0 all as expected, 1 a verdict differs, 2 bad input, 3 undecided, 130 interrupted, 141 where
    nobody reads the output any more, as of `| head`. Bad input (`ValueError`, `OSError`) is one
    sentence on stderr.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        listen()
    try:
        code = _answered(words)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:  # of the stream that is printed to
        code = _UNREAD if isinstance(error, BrokenPipeError) else 2
        if code == 2:
            print(f"gaugebias: {_said(error)}", file=sys.stderr)
        if argv is None:
            _write_to_nobody()
    if words[:1] == ["sweep"] and code == 130 and argv is None:
        # jax waits at exit for what it computes: for the chunk in flight, which nobody wants.
        sys.stderr.flush()
        os._exit(code)
    return code


def _write_to_nobody() -> None:
    """Whatever is still to be written goes nowhere: Python would complain at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())


def _answered(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0 if words else 2
    if words[0] == "--version":
        from .. import __version__

        print(f"gaugebias {__version__}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(COMMANDS)}."
        print(f"gaugebias: there is no subcommand {name!r}: {cure}", file=sys.stderr)
        return 2
    return _run(name, words[1:])


def _run(name: str, words: Sequence[str]) -> int:
    try:
        return importlib.import_module(f"._{name}", __package__).run(words)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        print(f"gaugebias {name}: {_said(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"gaugebias {name}: interrupted", file=sys.stderr)
        return 130
    except SystemExit as stop:  # the option parser stops by itself on --help and on errors
        if isinstance(stop.__context__, BrokenPipeError):  # rich stops so
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))


def _said(error: Exception) -> str:
    """An error on one line; of one of the system the file and its reason, without the number."""
    if isinstance(error, OSError) and error.strerror and str(error).startswith("[Errno"):
        file = "the output" if error.filename is None else repr(str(error.filename))
        return f"{file} cannot be read or written ({error.strerror.lower()})."
    return " ".join(str(error).split())


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {line}" for name, line in COMMANDS.items()]
    return "\n".join(
        [
            "usage: gaugebias SUBCOMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "`gaugebias SUBCOMMAND --help` lists the options; `gaugebias --version` the version.",
        ]
    )
