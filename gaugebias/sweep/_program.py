"""The compiled part: the experiment traced once a group, and stacked over a chunk."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ..dynamics._runs._fingerprint import digest_of
from ..dynamics._runs._path import folded_keys
from ._groups import Cell, Group
from ._outputs import as_numbers, named
from ._settings import number_kind, replaced, traced

Outputs = dict[str, np.ndarray]


class CannotTrace(ValueError):
    """The experiment is no function that jax can trace: why, and what to do."""


class CannotStack(ValueError):
    """The experiment is no function that jax can vmap: why, and what to do."""


def stacked_values(cells: Sequence[Cell], stacked: Sequence[str], settings: Any) -> dict[str, Any]:
    """Arrays `(cells,)` of the stacked settings."""
    out = {}
    for name in stacked:
        dtype = jnp.result_type(number_kind(settings, name) or float)
        out[name] = np.asarray([cell.values[name] for cell in cells], dtype)
    return out


def said(error: Exception) -> str:
    """The first line of an error, with its type."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".rstrip(".: ")


def ran_out(error: Exception) -> bool:
    """Whether an error says that there is no memory left: of the machine, not of a cell."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def seed_keys(key: Array, cells: Sequence[Cell]) -> Array:
    """`fold_in(key, seed)` of every cell: cells of one seed share their random numbers."""
    return folded_keys(key, jnp.asarray([cell.seed for cell in cells], jnp.uint32))


class Program:
    """One group: `experiment` with its static settings, over a chunk of cells.

    The experiment is traced once, whatever the number of chunks and of compilations.
    """

    def __init__(
        self, experiment: Callable, settings: Any, group: Group, stacked: Sequence[str], key: Array
    ) -> None:
        base = replaced(settings, group.cells[0].values)
        one = stacked_values(group.cells[:1], stacked, settings)
        shapes = {name: jax.ShapeDtypeStruct((), x.dtype) for name, x in one.items()}
        names: list[str] = []
        cells = list({cell.point: cell.values for cell in group.cells}.values())

        def flat(values, key_data):
            key_ = jr.wrap_key_data(key_data, impl=jr.key_impl(key))
            found = named(experiment(traced(base, values, cells), key_))
            names[:] = found
            return tuple(jnp.asarray(x) for x in found.values())

        data = jr.key_data(key)
        try:
            closed = jax.make_jaxpr(flat)(shapes, jax.ShapeDtypeStruct(data.shape, data.dtype))
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
            raise CannotTrace(
                f"`experiment` cannot be traced by jax ({said(error)}). Name the settings that "
                "steer its Python code in `static`, or pass `stack=False` to run cell by cell on "
                "the host."
            ) from error
        self.names = tuple(names)
        self.shapes = {
            name: jax.ShapeDtypeStruct(aval.shape, aval.dtype)
            for name, aval in zip(names, closed.out_avals, strict=True)
        }
        self.bytes = _footprint(closed)
        self.digest = digest_of(closed)
        self.stacked = tuple(sorted(stacked))  # the order of a dictionary's leaves
        self.settings = settings
        self.key = key
        self._first = group.cells[0]
        self._call = jaxpr_as_fun(closed)
        self._compiled: dict[int, Any] = {}

    def compiled(self, size: int, mesh: Mesh | None) -> Any:
        """The executable for chunks of `size` cells."""
        if size not in self._compiled:

            @jax.jit
            def run(values, key_data):
                return jax.vmap(lambda v, k: self._call(*[v[n] for n in self.stacked], k))(
                    values, key_data
                )

            args = self._arguments([self._first] * size, mesh)
            try:
                self._compiled[size] = run.lower(*args).compile()
            except Exception as error:
                if ran_out(error):
                    raise
                self._compiled[size] = CannotStack(
                    f"`experiment` cannot be stacked by `jax.vmap` ({said(error)}): pass "
                    "`stack=False` to run it cell by cell on the host."
                )
        found = self._compiled[size]
        if isinstance(found, Exception):
            raise found
        return found

    def _arguments(self, cells: Sequence[Cell | None], mesh: Mesh | None) -> tuple[Any, Any]:
        first = next(cell for cell in cells if cell is not None)
        whole = [cell or first for cell in cells]
        values = stacked_values(whole, self.stacked, self.settings)
        keys = jr.key_data(seed_keys(self.key, whole))
        if mesh is None:
            return values, keys
        cut = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
        return jax.device_put((values, keys), cut)

    def memory(self, size: int, mesh: Mesh | None) -> int:
        """Bytes that a chunk needs, as the compiler says; 0 where it does not."""
        found = self.compiled(size, mesh).memory_analysis()
        if found is None:
            return 0
        parts = ("temp_size_in_bytes", "output_size_in_bytes", "argument_size_in_bytes")
        return sum(int(getattr(found, part, 0)) for part in parts)

    def run(self, cells: Sequence[Cell | None], mesh: Mesh | None) -> Outputs:
        """The outputs `(size, ...)` of a chunk; where a cell is `None` the first is repeated."""
        found = self.compiled(len(cells), mesh)(*self._arguments(cells, mesh))
        _await(found)
        return {name: as_numbers(name, x) for name, x in zip(self.names, found, strict=True)}


def _await(arrays: Sequence[Any]) -> None:
    """Wait for arrays where Ctrl-C is heard: in Python, at most 1% longer than it takes."""
    began = time.monotonic()
    while not all(x.is_ready() for x in arrays):
        time.sleep(min(1e-4 + 0.01 * (time.monotonic() - began), 0.05))


def _footprint(closed: Any) -> int:
    """Bytes of everything a jaxpr makes at its top level: which group is the largest."""
    total = 0
    for equation in closed.jaxpr.eqns:
        for out in equation.outvars:
            shape, dtype = getattr(out.aval, "shape", ()), getattr(out.aval, "dtype", None)
            size = np.dtype(dtype).itemsize if isinstance(dtype, np.dtype) else 8
            total += int(np.prod(shape)) * size
    return total


def on_host(experiment: Callable, settings: Any, cell: Cell, key: Array) -> Outputs:
    """One cell by itself, as the experiment is written."""
    found = named(experiment(replaced(settings, cell.values), jr.fold_in(key, cell.seed)))
    return {name: as_numbers(name, x) for name, x in found.items()}
