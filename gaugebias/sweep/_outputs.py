"""What cells return: shapes that all groups share, and whether the numbers are numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._store import DONE, NOT_FINITE, RESERVED

Shapes = dict[str, tuple[tuple[int, ...], np.dtype]]
_LONGEST = 200  # characters of a name: it is a folder's


def named(tree: Any) -> dict[str, Any]:
    """What an experiment returns as arrays by name.

    **Raises:** `ValueError` where there is none, two of one name, or a name is no folder's.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    out: dict[str, Any] = {}
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "value"
        if name in out:
            raise ValueError(f"`experiment` returns two leaves named {name!r}.")
        if (
            not name.isprintable()
            or set(name) & set("/\\")
            or name.startswith((".", "__"))
            or name in ("zarr.json", "c")
            or len(name.encode()) > _LONGEST
        ):
            raise ValueError(
                f"`experiment` returns an output named {name[:_LONGEST]!r}, which can be no name "
                "in a store: return it under another, of letters and digits."
            )
        out[name] = leaf
    if not out:
        raise ValueError("`experiment` returns no arrays: return numbers by name, as a dictionary.")
    return out


def as_numbers(name: str, x: Any) -> np.ndarray:
    """An output of the host as an array that a store takes; `ValueError` where it is none."""
    kind = stored(name, x.dtype) if isinstance(x, jax.Array) else None
    array = np.asarray(x)
    return array.astype(kind or stored(name, array.dtype), copy=False)


def stored(name: str, dtype: Any) -> np.dtype:
    """The dtype in which a store holds an output; `ValueError` where it holds none such."""
    if jnp.issubdtype(dtype, jax.dtypes.extended):
        raise ValueError(_no_numbers(name, dtype))
    found = np.dtype(dtype)
    if found.kind in "biufc" and found.itemsize <= 16:
        return np.dtype(np.float64) if found == np.longdouble else found
    if jnp.issubdtype(dtype, jnp.floating):  # bfloat16 and shorter, which numpy does not know
        return np.dtype(np.float32)
    if jnp.issubdtype(dtype, jnp.integer):
        return np.dtype(np.int8 if jnp.issubdtype(dtype, jnp.signedinteger) else np.uint8)
    raise ValueError(_no_numbers(name, dtype))


def _no_numbers(name: str, dtype: Any) -> str:
    return f"the output {name!r} is of type {dtype}, which is no number: return numbers."


def shapes_of(outputs: Mapping[str, Any]) -> Shapes:
    """Of one cell: `outputs` hold arrays or shapes by name."""
    return {name: (tuple(x.shape), stored(name, x.dtype)) for name, x in outputs.items()}


def common_shapes(groups: Sequence[Shapes], taken: Iterable[str]) -> Shapes:
    """Shapes into which the outputs of all groups fit; shorter ones are filled up with NaN.

    **Raises:** `ValueError` where names, numbers of axes or kinds differ, where something other
    than floats would be filled up, or where a name is taken by the sweep itself.
    """
    first = groups[0]
    axes = {f"{name}_dim_{i}" for name, (shape, _) in first.items() for i in range(len(shape))}
    for name in first:
        if name in {*RESERVED, *taken, *axes}:
            raise ValueError(
                f"`experiment` returns an output named {name!r}, which the store uses itself: "
                "return it under another name."
            )
    out: Shapes = {}
    for other in groups[1:]:
        if set(other) != set(first):
            raise ValueError(
                f"`experiment` returns {', '.join(sorted(first))} for some settings and "
                f"{', '.join(sorted(other))} for others: return the same names for all."
            )
    for name, (shape, dtype) in first.items():
        found = [g[name] for g in groups]
        if len({len(s) for s, _ in found}) > 1:
            raise ValueError(
                f"the output {name!r} has {len(shape)} axes for some settings and another number "
                "for others: return the same number for all."
            )
        kind = np.result_type(*(d for _, d in found))
        most = tuple(max(sizes) for sizes in zip(*(s for s, _ in found), strict=True))
        if any(s != most for s, _ in found) and not np.issubdtype(kind, np.inexact):
            raise ValueError(
                f"the output {name!r} holds {dtype} and its shape depends on the settings: return "
                "floats, which can be filled up with NaN."
            )
        out[name] = (most, kind)
    return out


def check_fits(outputs: Mapping[str, np.ndarray], shapes: Shapes) -> None:
    """`ValueError` where the outputs of a chunk do not go into the store.

    Only experiments of the host come to this: of the others all shapes are known beforehand.
    """
    if set(outputs) != set(shapes):
        raise ValueError(
            f"returns {', '.join(sorted(outputs))}, where the first cell returned "
            f"{', '.join(sorted(shapes))}"
        )
    for name, x in outputs.items():
        shape, dtype = shapes[name]
        found = x.shape[1:]
        fits = len(found) == len(shape) and all(a <= b for a, b in zip(found, shape, strict=True))
        filled = found == shape or np.issubdtype(dtype, np.inexact)
        if not (fits and filled and np.can_cast(x.dtype, dtype, "same_kind")):
            raise ValueError(
                f"{name!r} is {x.dtype}{list(found)}, where the first cell returned "
                f"{dtype}{list(shape)}"
            )


def judged(outputs: Mapping[str, np.ndarray], index: int) -> tuple[int, str]:
    """The status of one cell of a chunk by what it returned, and the reason."""
    bad = [
        name
        for name, x in outputs.items()
        if np.issubdtype(x.dtype, np.inexact) and not np.all(np.isfinite(x[index]))
    ]
    if bad:
        return NOT_FINITE, f"not finite: {', '.join(sorted(bad))}"
    return DONE, ""
