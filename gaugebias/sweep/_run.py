"""Sweeps: cells in chunks, each finished chunk stored at once, and resumed where it stopped."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from .._arguments import as_key
from ..dynamics._checks import count, flag, function
from ._axes import Choice, Over, Sample, checked, points
from ._dataset import load
from ._definition import define
from ._groups import cells_of, groups_of
from ._job import Job
from ._lock import locked, others_at_work
from ._progress import Bar
from ._retry import reopen, statuses
from ._settings import check_settings, names_of, stacked_names, typed
from ._share import await_definition, await_others, work
from ._store import RESERVED, Store, check_same


def run(
    experiment: Callable,
    settings: Any,
    over: Mapping[str, Any] | Sample,
    *,
    path: str | Path,
    key,
    seeds: int | Sequence[int] = 1,
    static: Sequence[str] = (),
    stacked: Sequence[str] = (),
    stack: bool = True,
    chunk: int | None = None,
    devices: int | None = None,
    retry: str | Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    source: str = "",
    progress: bool | None = None,
):
    r"""Run `experiment` on a grid or a sample of settings, and store what it returns.

    Cells that differ in numbers alone are stacked: `experiment` is traced once for each group of
    them, vmapped and compiled for chunks of one size, which is chosen when the sweep is defined and
    stored with it. Each finished chunk is written at once. Killed at any moment, a sweep loses the
    chunks in flight; the same call again repeats no finished cell and ends with the same numbers,
    bit for bit. A cell that fails is recorded with its reason, and the others go on.

    Under `jax.distributed`, every process runs the same call on a path that all can reach; each
    takes its share of the chunks, and the numbers are those of one process.

    ??? example

        ```python
        import dataclasses
        import jax
        import jax.numpy as jnp
        import gaugebias as gb

        @dataclasses.dataclass(frozen=True)
        class Settings:
            depth: int = 2
            learning_rate: float = 0.1
            start: float = 0.5

        def experiment(settings, key):
            u = settings.start * jnp.exp(0.01 * jax.random.normal(key))
            def step(u, _):
                slope = (u**settings.depth - 1.0) * u ** (settings.depth - 1)
                return u - settings.learning_rate * slope, None
            u, _ = jax.lax.scan(step, u, length=100)
            return {"loss": 0.5 * (u**settings.depth - 1.0) ** 2}

        over = {"depth": [1, 2, 3], "learning_rate": [0.03, 0.1, 0.3]}
        found = gb.sweep.run(
            experiment, Settings(), over, path="sweep.zarr", key=jax.random.key(0), seeds=4
        )
        found.loss.mean("seed")
        ```

    **Arguments:**

    - `experiment`: `experiment(settings, key)`, a pure function that jax can trace, returning
        numbers or arrays by name (a pytree; a single array is named `value`).
    - `settings`: an instance of a dataclass: what all cells share.
    - `over`: a dictionary from names of settings to lists of values, for their product; or a
        [`gaugebias.sweep.Sample`][].
    - `path`: folder of the Zarr store; a sweep that is there goes on.
    - `key`: a jax random key. The cell with seed `s` gets `fold_in(key, s)`: cells of one seed
        share their random numbers, so that settings are compared on the same noise.
    - `seeds`: the seeds of every point, or how many (`0, 1, ...`).
    - `static`: swept floats that `experiment` needs as Python numbers; they are grouped.
    - `stacked`: swept integers that change no shape; they become arrays. All other integers,
        strings and truth values are grouped.
    - `stack`: `False` runs `experiment` as it is on the host, cell by cell, untraced.
    - `chunk`: cells computed at once; by default up to 256, at least eight chunks a group, and
        what fits into half of the free memory.
    - `devices`: number of local devices to cut chunks over.
    - `retry`: `"failed"`, `"not finite"`, or both in a list: cells of a stored sweep that have this
        status are computed again, each once; all others are kept. For what may end otherwise now:
        an error of the machine, of a file, or of code that has been mended. What `experiment`
        computes may have changed for those settings none of whose cells is kept, and is compared
        for all others (the source of `experiment` with `stack=False`, as ever). The attribute
        `retries` of the result lists how many cells were computed again, and at which commit. For
        runs of one process.
    - `units`, `source`: units of outputs and settings by name, and a citation, kept in attributes.
    - `progress`: whether to show a bar; by default in terminals and notebooks.

    **Returns:** an `xarray.Dataset` as from [`gaugebias.sweep.load`][].

    **Raises:** `ValueError` for names that are no settings, values of another type, a store of
    another sweep, a path that cannot be written; `OSError` where the disk is full, with what was
    finished kept.
    """
    function(experiment, "experiment", "`experiment(settings, key)`")
    again = statuses(retry)
    check_settings(settings)
    over = typed(settings, checked(over))
    _check_free(over)
    numbers = _seeds(seeds)
    stack = flag(stack, "stack")
    rows = stacked_names(settings, _values(over), static, stacked) if stack else ()
    many = 1 if devices is None else _devices(devices)
    size = None if chunk is None else count(chunk, "chunk", least=1)
    key = _checked_key(key, stack)
    definition = define(
        experiment,
        settings,
        over,
        seeds=numbers,
        stacked=rows,
        stack=stack,
        key=key,
        devices=many,
        units=_units(units, settings),
        citation=source,
    )
    designed = points(over)
    cells = cells_of(designed, numbers)
    mesh = None if many == 1 else Mesh(np.asarray(jax.local_devices()[:many]), ("cells",))
    job = Job(experiment, settings, key, rows, stack, mesh, cells, groups_of(cells, rows))
    target = _folder(path)
    process, processes = jax.process_index(), jax.process_count()
    with locked(target, process):
        if process == 0 and not target.exists():
            job.create(target, definition, designed, size)
        elif process > 0:
            await_definition(target)
        store = Store(target)
        if size not in (None, store.size):
            raise ValueError(
                f"`chunk` is {size}, but the sweep in {str(target)!r} was defined with chunks of "
                f"{store.size}: leave `chunk` out to go on with it."
            )
        if again:
            reopen(job, store, definition, again)
        else:
            check_same(target, definition, store.record["definition"])
            job.resume(target, store.record["programs"])
        if processes == 1 and not others_at_work(target, process):
            store.sweep_up()
        with Bar(len(cells), progress if process == 0 else False) as bar:
            work(job, store, bar, process, processes)
            await_others(store, bar, process, processes)
    return load(target)


def _check_free(over: Over) -> None:
    """`ValueError` where a swept setting has a name that the store uses itself."""
    for name in _values(over):
        if name in RESERVED:
            cure = (
                "pass `seeds=`, which every point has" if name == "seed" else "rename the setting"
            )
            raise ValueError(f"`over` names {name!r}, which the store uses itself: {cure}.")


def _values(over: Over) -> dict[str, tuple[Any, ...]]:
    """The values of every swept setting; none of a range."""
    if not isinstance(over, Sample):
        return over
    return {
        name: axis.values if isinstance(axis, Choice) else () for name, axis in over.over.items()
    }


def _folder(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise ValueError(f"`path` must be the path of a folder, but is {path!r}.")
    return Path(path)


def _checked_key(key: Any, stack: bool) -> jax.Array:
    key = as_key(key)
    kind = str(jax.random.key_impl(key))
    if stack and "rbg" in kind:
        raise ValueError(
            f"`key` is of the generator {kind!r}, whose numbers depend on what a cell is stacked "
            "with: pass `jax.random.key(seed, impl='threefry2x32')`, or `stack=False`."
        )
    return key


def _seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, int | np.integer | float | str) or not isinstance(seeds, Iterable):
        return list(range(count(seeds, "seeds", least=1)))
    found = [count(s, "seeds", least=0) for s in seeds]
    if not found or len(set(found)) < len(found) or max(found) >= 2**32:
        raise ValueError(
            f"`seeds` must be different integers from 0 to 4294967295, but is {seeds!r}."
        )
    return found


def _devices(devices: int) -> int:
    many, there = count(devices, "devices", least=1), len(jax.local_devices())
    if many > there:
        raise ValueError(
            f"`devices` is {many}, but this process has {there} "
            f"({jax.local_devices()[0].platform}): ask for fewer."
        )
    return many


def _units(units: Any, settings: Any) -> dict[str, str]:
    """Units by name; those of settings may stand in the metadata of the dataclass's fields."""
    own = {
        field.name: str(field.metadata["units"])
        for field in dataclasses.fields(settings)
        if "units" in field.metadata and field.name in names_of(settings)
    }
    if units is not None and not isinstance(units, Mapping):
        raise ValueError(f"`units` must be a dictionary from names to texts, but is {units!r}.")
    for name, unit in (units or {}).items():
        if not isinstance(unit, str):
            raise ValueError(f"`units[{name!r}]` must be a text, but is {unit!r}.")
    return own | dict(units or {})
