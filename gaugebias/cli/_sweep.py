"""`gaugebias sweep`: a grid or a sample of settings, from a file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

Exit codes: 0 every cell has finite results, 1 some have not, 2 bad input, 130 interrupted."""

_Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]
_FAILURES = 5  # reasons printed


@dataclasses.dataclass(frozen=True)
class Options:
    config: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG.toml")]
    """The file that describes the sweep."""
    show: _Flag = False
    """Print what is in the store, and compute nothing."""


def run(argv: Sequence[str]) -> int:
    """Parse `argv`, run or show the sweep, and return the exit code."""
    options = parse(Options, argv, prog="gaugebias sweep", description=_DESCRIPTION)
    import jax
    from rich.console import Console

    from .. import sweep

    config = sweep.read_config(options.config)
    jax.config.update("jax_enable_x64", config.x64)
    console = Console()
    if options.show:
        return _print(sweep.load(config.path), config.path, console)
    try:
        found = sweep.run(
            config.experiment,
            config.settings,
            config.over,
            path=config.path,
            key=jax.random.key(config.seed),
            **config.options,
        )
    except KeyboardInterrupt:
        done, total = _done(config.path)
        said = (
            f"gaugebias sweep: interrupted with {done} of {total} cells stored in {config.path}; "
            "the same command goes on"
        )
        Console(stderr=True).print(said, highlight=False, markup=False, soft_wrap=True)
        return 130
    return _print(found, config.path, console)


def _done(path: Path) -> tuple[int, int]:
    from .. import sweep

    try:
        found = sweep.load(path)
    except ValueError:  # interrupted before there was a store
        return 0, 0
    return found.attrs["finished"], found.attrs["cells"]


def _print(found: Any, path: Path, console: "Console") -> int:
    """Axes, outputs and failures of a store; 1 where a cell has no finite result."""

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
        say(f"  {name}: {len(values)} values, {ends}")
    outputs = [str(name) for name in found.data_vars if name not in ("status", "reason")]
    for name in outputs:
        x = found[name]
        where = x.where(found.status == "done")
        span = ""
        if x.dtype.kind in "fiu" and about["finished"] > about["failed"]:
            span = f", {float(where.min()):.6g} to {float(where.max()):.6g}"
        say(f"  {name} ({', '.join(map(str, x.dims))}){span}")
    reasons: dict[str, int] = {}
    for status, reason in zip(
        found.status.values.ravel(), found.reason.values.ravel(), strict=True
    ):
        if status in ("failed", "not finite"):
            reasons[str(reason)] = reasons.get(str(reason), 0) + 1
    most = sorted(reasons.items(), key=lambda item: -item[1])
    for reason, number in most[:_FAILURES]:
        say(f"  {number} cells: {reason}")
    if len(most) > _FAILURES:
        say(f"  and {len(most) - _FAILURES} other reasons: the variable `reason` of the store")
    say(f'read it with gaugebias.sweep.load("{path}")')
    return 1 if about["failed"] else 0
