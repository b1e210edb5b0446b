"""`gaugebias discover`: the continuous symmetries of a model in a Python file."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._options import parse

if TYPE_CHECKING:
    from ..symmetry import Discovery

_DESCRIPTION = """Find the continuous linear and affine symmetries of a predictor, name them, and \
say what that rests on.

FILE.py defines (and is run):
  def predict(params, inputs): ...   # floating outputs, batch axis first
  params = ...                       # any pytree, or a function without arguments
  inputs = ...                       # arrays with a common first axis, or a function

Examples:
  gaugebias discover model.py
  gaugebias discover model.py --predict logits --json

Exit codes: 0 done, 1 no symmetry was found, 2 bad input (also where the answer would be a guess), \
130 interrupted."""

_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Options:
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.py")]
    """The Python file with the model."""
    predict: str = "predict"
    """Name of the predictor in it."""
    params: str = "params"
    """Name of the parameters in it, or of a function that makes them."""
    inputs: str = "inputs"
    """Name of the inputs in it, or of a function that makes them."""
    seed: int = 0
    """Seed of the sampled parameters."""
    json: _Flag = False
    """Print one JSON object instead of text."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, discover, print, and return the exit code."""
    options = parse(Options, argv, prog="gaugebias discover", description=_DESCRIPTION)
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"`seed` is {options.seed}: give an integer from 0 to 4294967295.")
    import jax

    from .. import discover
    from ..design._named import load_names

    jax.config.update("jax_enable_x64", True)
    names = {"predict": options.predict, "params": options.params, "inputs": options.inputs}
    found = load_names(options.file, names, "file")
    if not callable(found["predict"]):
        raise ValueError(f"`predict`: {options.predict!r} in {str(options.file)!r} is no function.")
    params, inputs = (_made(found[name]) for name in ("params", "inputs"))
    result = discover(found["predict"], params, inputs, key=jax.random.key(options.seed))
    print(json.dumps(_record(result), indent=1) if options.json else result.table())
    return 0 if result.dimension else 1


def _made(value: Any) -> Any:
    """A pytree that is callable, as an Equinox module may be, is no function that makes one."""
    import inspect

    return value() if inspect.isfunction(value) else value


def _record(result: "Discovery") -> dict[str, Any]:
    return {
        field.name: getattr(result, field.name)
        for field in dataclasses.fields(result)
        if field.name != "action"
    }
