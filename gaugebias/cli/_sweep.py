"""`gaugebias sweep`: a grid or a sample of settings, from a file."""

import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ._options import parse

if TYPE_CHECKING:
    from rich.console import Console

_DESCRIPTION = """Run an experiment of your own on a grid or a sample of its settings. Results are \
in a Zarr store that xarray reads, also while the sweep runs. Stopped or killed, the same command \
goes on where it stopped, with the same numbers.

CONFIG.toml:
  experiment = "model.py:experiment"   # experiment(settings, key) -> numbers by name, for jax
  settings_class = "Settings"          # a dataclass in the same file; this is the default
  path = "sweep.zarr"                  # of the store, relative to CONFIG.toml
  seed = 0                             # of the random key
  seeds = 8                            # repeats of every point
  [settings]                           # what all cells share
  width = 64
  [grid]                               # lists, or { log = [low, high], points = n }
  depth = [2, 3]
  temperature = { log = [1e-3, 1.0], points = 10 }

Instead of [grid], `[sample]` with `n = 100` and `[sample.over]` takes \
{ log_uniform = [low, high] }, { uniform = [low, high] } and { choice = [values] }. Also: static, \
stacked, stack, chunk, devices, x64, source, [units]; see gaugebias.sweep.run.

Examples:
  gaugebias sweep phase.toml
  gaugebias sweep phase.toml --show
  gaugebias sweep phase.toml --retry failed
  gaugebias sweep phase.toml --json

Exit codes: 0 every cell has finite results, 1 some have not, 2 bad input, 130 interrupted."""

_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]
_RETRY = {None: (), "failed": "failed", "not-finite": "not finite", "all": ("failed", "not finite")}
_FAILURES = 5  # reasons printed


@dataclasses.dataclass(frozen=True)
class Options:
    config: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG.toml")]
    """The file that describes the sweep."""
    show: _Flag = False
    """Print what is in the store, and compute nothing."""
    retry: Annotated[
        Literal["failed", "not-finite", "all"] | None,
        tyro.conf.arg(metavar="{failed,not-finite,all}", help_behavior_hint=""),
    ] = None
    """Compute again the cells that raised an error, those without a finite result, or both; cells
    that are done are kept."""
    json: _Flag = False
    """Print one JSON object instead of text: cells, outputs and failures of the store."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, run or show the sweep, and return the exit code."""
    options = parse(Options, argv, prog="gaugebias sweep", description=_DESCRIPTION)
    if options.show and options.retry:
        raise ValueError("`--show` computes nothing: leave it out, or `--retry`.")
    import jax
    from rich.console import Console

    from .. import sweep

    began = time.monotonic()
    config = sweep.read_config(options.config)
    jax.config.update("jax_enable_x64", config.x64)
    sys.path.insert(0, str(options.config.parent.resolve()))  # of what it imports as it runs
    interrupted = False
    try:
        if options.show:
            found = sweep.load(config.path)
        else:
            found = sweep.run(
                config.experiment,
                config.settings,
                config.over,
                path=config.path,
                key=jax.random.key(config.seed),
                retry=_RETRY[options.retry],
                **config.options,
            )
    except KeyboardInterrupt:
        interrupted, found = True, _stored(config.path)
        said = "before anything was stored; the same command begins anew"
        if found is not None:
            about = found.attrs
            said = (
                f"with {about['finished']} of {about['cells']} cells stored in {config.path}; "
                "the same command goes on"
            )
        said = f"gaugebias sweep: interrupted {said}"
        Console(stderr=True).print(said, highlight=False, markup=False, soft_wrap=True)
    failed = found is not None and found.attrs["failed"]
    code = 130 if interrupted else 1 if failed else 0
    if options.json:
        record = {"exit_code": code, "store": str(config.path), **_record(found)}
        record["seconds"] = round(time.monotonic() - began, 3)
        print(json.dumps(record, indent=1, allow_nan=False))
    elif not interrupted:
        _print(found, config.path, Console())
        if found is not None and (found.status == "failed").any():
            said = f"computed again, they alone: gaugebias sweep {options.config} --retry failed"
            Console().print(said, highlight=False, markup=False, soft_wrap=True)
    return code


def _stored(path: Path) -> Any:
    """What is in the store; `None` where the sweep was interrupted before there was one."""
    from .. import sweep

    try:
        return sweep.load(path)
    except ValueError:
        return None


def _record(found: Any) -> dict[str, Any]:
    """A store in numbers: cells, axes, outputs, and why cells have no finite result."""
    if found is None:
        return {"cells": 0, "done": 0, "failed": 0, "left": 0, "outputs": {}, "failures": []}
    about = found.attrs
    return {
        "cells": about["cells"],
        "done": about["finished"] - about["failed"],
        "failed": about["failed"],
        "left": about["cells"] - about["finished"],
        "outputs": {
            name: {"dims": [str(dim) for dim in found[name].dims], "span": span}
            for name, span in _outputs(found)
        },
        "failures": [
            {"reason": reason, "cells": number, "first": first}
            for reason, number, first in _failures(found)
        ],
    }


def _outputs(found: Any) -> list[tuple[str, list[float] | None]]:
    """Names, and least and largest number of the cells that are done."""
    out = []
    for name in (str(n) for n in found.data_vars if n not in ("status", "reason")):
        x = found[name]
        some = bool((found.status == "done").any()) and x.dtype.kind in "fiu" and x.size
        where = x.where(found.status == "done") if some else None
        span = None if where is None else [float(where.min()), float(where.max())]
        out.append((name, span if span and all(map(math.isfinite, span)) else None))
    return out


def _failures(found: Any) -> list[tuple[str, int, dict[str, Any]]]:
    """Reasons, how many cells have each, and the settings of one; the most frequent first."""
    import numpy as np

    status, reason = found.status.values, found.reason.values
    out = []
    for each in dict.fromkeys(reason[np.isin(status, ("failed", "not finite"))].tolist()):
        where = np.argwhere((reason == each) & np.isin(status, ("failed", "not finite")))
        first = found.status[tuple(where[0])].coords
        settings = {str(name): _number(first[name].values.item()) for name in first}
        out.append((each, len(where), settings))
    return sorted(out, key=lambda item: -item[1])


def _number(value: Any) -> Any:
    """A setting as strict JSON has it."""
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _print(found: Any, path: Path, console: "Console") -> None:
    """Axes, outputs and failures of a store."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    about = found.attrs
    say(
        f"{path}: {about['finished']} of {about['cells']} cells finished, "
        f"{about['failed']} without a finite result"
    )
    for name in found.coords:
        values = found[name].values
        ends = f"{values[0]} ... {values[-1]}" if len(values) > 1 else f"{values[0]}"
        say(f"  {name}: {len(values)} {'value' if len(values) == 1 else 'values'}, {ends}")
    for name, span in _outputs(found):
        ends = "" if span is None else f", {span[0]:.6g} to {span[1]:.6g}"
        say(f"  {name} ({', '.join(map(str, found[name].dims))}){ends}")
    most = _failures(found)
    for reason, number, first in most[:_FAILURES]:
        where = ", ".join(f"{name} {value}" for name, value in first.items())
        say(f"  {number} {'cell' if number == 1 else 'cells'}: {reason} (first at {where})")
    if len(most) > _FAILURES:
        say(f"  and {len(most) - _FAILURES} other reasons: the variable `reason` of the store")
    say(f'read it with gaugebias.sweep.load("{path}")')
