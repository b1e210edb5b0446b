"""`gaugebias completion`: the script with which a shell completes subcommands and options."""

import contextlib
import dataclasses
import importlib
import io
import typing
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from ._options import parse

_DESCRIPTION = """Print a script with which the shell completes the subcommands and their options. \
The script needs a `python3` on the path, of any environment.

Examples:
  gaugebias completion bash > ~/.local/share/bash-completion/completions/gaugebias
  gaugebias completion zsh > ~/.zfunc/_gaugebias   # a folder of $fpath, before compinit
  gaugebias completion fish > ~/.config/fish/completions/gaugebias.fish

Exit codes: 0 done, 2 bad input."""


@dataclasses.dataclass(frozen=True)
class Options:
    shell: Annotated[
        Literal["bash", "zsh", "fish"],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SHELL", help_behavior_hint=""),
    ]
    """bash, zsh or fish."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, print the script and return the exit code."""
    options = parse(Options, argv, prog="gaugebias completion", description=_DESCRIPTION)
    print(script(options.shell), end="")
    return 0


def script(shell: str) -> str:
    """The completion script of the whole command, made by tyro from the options of each part."""
    from ._main import COMMANDS

    parts = tuple(_subcommand(name, line) for name, line in COMMANDS.items())
    whole: typing.Any = typing.Union[parts]  # noqa: UP007 - of a tuple
    out = io.StringIO()
    # tyro has no other way to it than its own flag, after which it stops.
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        tyro.cli(whole, prog="gaugebias", args=["--tyro-print-completion", shell])
    return out.getvalue()


def _subcommand(name: str, line: str) -> typing.Any:
    options = importlib.import_module(f"._{name}", __package__).Options
    return Annotated[options, tyro.conf.subcommand(name, description=line, prefix_name=False)]
