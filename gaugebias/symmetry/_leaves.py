"""Naming leaves of a parameter pytree, and building tangents and parameters from updates.

A `where` function is applied to a copy of the tree whose leaves are opaque markers that know only
their own position. So whatever it returns is either a leaf of the tree or visibly something else:
a duplicate, a subtree, a computed value or a missing field are all seen, and refused by name. A
subtree of one leaf is that leaf: libraries keep arrays in boxes.
"""

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Params, PyTree, Where

#: One axis of one leaf: an integer, `None` (the whole leaf at once) or `...` (every entry).
Axis: TypeAlias = int | None | EllipsisType

_MOST_PATHS_LISTED = 24


class Slot(NamedTuple):
    """One named leaf: its position in the flattened tree, its path, its value and its axis."""

    index: int
    path: str
    value: Array
    axis: Axis


class _Marker:
    """Stands in for a leaf while a `where` function is looking."""

    __slots__ = ("index",)

    def __init__(self, index: int):
        self.index = index


# -- paths ---------------------------------------------------------------------------------------


def _entry(key: Any) -> str:
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def leaf_paths(params: Params) -> tuple[str, ...]:
    """Dotted path of every leaf of `params`, in the order of `jax.tree.leaves`.

    Attribute names, dictionary keys and sequence indices are joined by dots, for example
    ``"layers.0.weight"``. A bare array has the empty path.
    """
    with_paths, _ = jax.tree_util.tree_flatten_with_path(params)
    return tuple(".".join(_entry(key) for key in path) for path, _ in with_paths)


def _available(params: Params) -> str:
    leaves = jax.tree.leaves(params)
    paths = [repr(p) for p, x in zip(leaf_paths(params), leaves, strict=True) if is_moving(x)]
    if not paths:
        return "the parameters hold no floating array at all"
    more = len(paths) - _MOST_PATHS_LISTED
    listed = ", ".join(paths[:_MOST_PATHS_LISTED])
    return f"the floating leaves are {listed}" + (f" and {more} more" if more > 0 else "")


# -- which leaves move ---------------------------------------------------------------------------


def is_moving(leaf: Any) -> bool:
    """Whether a leaf is a floating array, so that it has a place in a tangent."""
    return bool(eqx.is_inexact_array(leaf))


def moving_part(params: Params) -> PyTree:
    """`params` with `None` in place of every leaf that does not move: the structure of a tangent.

    Same as `equinox.filter(params, equinox.is_inexact_array)`.
    """
    return eqx.filter(params, is_moving)


def moving_dtype(params: Params) -> Any:
    """The dtype to which all floating leaves of `params` promote.

    **Raises:** `ValueError` where one is complex.
    """
    leaves = [x for x in jax.tree.leaves(params) if is_moving(x)]
    dtype = jnp.result_type(*leaves) if leaves else jnp.result_type(float)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError(
            "`params` holds complex arrays: keep their real and imaginary parts as two leaves."
        )
    return dtype


def precision(params: Params) -> float:
    """Machine epsilon of the coarsest floating leaf: what checks of numbers can ask for."""
    leaves = [x for x in jax.tree.leaves(params) if is_moving(x)]
    dtypes = [x.dtype for x in leaves] or [jnp.result_type(float)]
    return max(float(jnp.finfo(dtype).eps) for dtype in dtypes)


def build_tangent(params: Params, updates: Mapping[int, Array]) -> PyTree:
    """The tangent that is `updates[i]` at flattened leaf i, zero at every other floating leaf."""
    leaves, treedef = jax.tree.flatten(params)
    out = [
        (jnp.asarray(updates[i], x.dtype) if i in updates else jnp.zeros_like(x))
        if is_moving(x)
        else None
        for i, x in enumerate(leaves)
    ]
    return jax.tree.unflatten(treedef, out)


def build_params(params: Params, updates: Mapping[int, Array]) -> Params:
    """`params` with flattened leaf i replaced by `updates[i]` (its dtype kept)."""
    leaves, treedef = jax.tree.flatten(params)
    out = [jnp.asarray(updates[i], x.dtype) if i in updates else x for i, x in enumerate(leaves)]
    return jax.tree.unflatten(treedef, out)


def with_moving(params: Params, moving: PyTree) -> Params:
    """`params` with its floating leaves replaced, in order, by the leaves of `moving`."""
    index = [i for i, x in enumerate(jax.tree.leaves(params)) if is_moving(x)]
    return build_params(params, dict(zip(index, jax.tree.leaves(moving), strict=True)))


# -- naming leaves -------------------------------------------------------------------------------


def freeze(value: Any) -> Any:
    """Lists to tuples, so that names and axes are hashable static fields."""
    if isinstance(value, list | tuple):
        return tuple(freeze(v) for v in value)
    return value


def check_where(where: Any, name: str) -> None:
    """Refuse a `where` that is neither a function, a path string nor a tuple of these."""
    if isinstance(where, tuple):
        if not where:
            raise ValueError(f"`{name}` names no leaf: give a function, a path string or a tuple.")
        for item in where:
            check_where(item, name)
    elif not (callable(where) or isinstance(where, str)):
        raise ValueError(
            f"`{name}` must be a function of the parameters, a path string such as "
            f"'layers.0.weight' or a tuple of these, not {where!r}."
        )


def check_axes(axes: Any, name: str, *, whole: bool) -> None:
    """Refuse axes that are not integers (or, with `whole`, `None` and `...`) or tuples of them."""
    if isinstance(axes, tuple):
        for axis in axes:
            check_axes(axis, name, whole=whole)
    elif whole and (axes is None or axes is ...):
        return
    elif isinstance(axes, bool) or not isinstance(axes, int | np.integer):
        also = ", None or ..." if whole else ""
        raise ValueError(f"`{name}` must hold integers{also}, nested as the leaves, not {axes!r}.")


def pair(axes: Any, name: str) -> tuple[Any, Any]:
    """Axes of the first and of the second group of leaves; one axis serves both."""
    if not isinstance(axes, tuple):
        return axes, axes
    if len(axes) != 2:
        raise ValueError(
            f"`{name}` must be one axis or a pair, for `first` and for `second`, not {axes!r}: "
            "nest several axes as in ((0, 0), 1)."
        )
    return axes[0], axes[1]


def _picked(result: Any, name: str, params: Params) -> list[int]:
    if isinstance(result, _Marker):
        return [result.index]
    if isinstance(result, list | tuple) and not hasattr(result, "_fields"):
        return [index for item in result for index in _picked(item, name, params)]
    if result is None:
        raise ValueError(
            f"`{name}` names None (a layer without bias?): drop it; {_available(params)}."
        )
    inside = [x for x in jax.tree.leaves(result) if isinstance(x, _Marker)]
    if len(inside) == 1 and len(jax.tree.leaves(result)) == 1:
        return [inside[0].index]  # a box around one array, as a Flax variable is
    if inside:
        raise ValueError(
            f"`{name}` names a whole subtree ({type(result).__name__}, {len(inside)} leaves): "
            f"name its array leaves one by one; {_available(params)}."
        )
    raise ValueError(
        f"`{name}` returns {result!r}, which is not a leaf of the parameters: it must only pick "
        f"leaves, without computing anything; {_available(params)}."
    )


def _indices(params: Params, where: Where, name: str) -> list[int]:
    if isinstance(where, str):
        paths = leaf_paths(params)
        found = [i for i, path in enumerate(paths) if path == where]
        if len(found) == 1:
            return found
        if found:
            raise ValueError(
                f"`{name}` names {where!r}, a path of {len(found)} leaves: rename one."
            )
        below = [i for i, path in enumerate(paths) if path.startswith(where + ".")]
        if len(below) == 1:
            return below  # a box around one array, as a Flax variable is
        if below:
            raise ValueError(
                f"`{name}` names {where!r}, a whole subtree: name its array leaves one by one; "
                f"{_available(params)}."
            )
        raise ValueError(f"`{name}` names {where!r}, which is not there: {_available(params)}.")
    leaves, treedef = jax.tree.flatten(params)
    marked = jax.tree.unflatten(treedef, [_Marker(i) for i in range(len(leaves))])
    assert callable(where)
    try:
        result = where(marked)
    except Exception as error:
        raise ValueError(
            f"`{name}` fails on these parameters ({type(error).__name__}: {error}): it must only "
            f"pick leaves, without computing anything; {_available(params)}."
        ) from error
    found = _picked(result, name, params)
    if not found:
        raise ValueError(f"`{name}` names no leaf: {_available(params)}.")
    return found


def _slots(params: Params, where: Where, axes: Any, name: str, axes_name: str) -> list[Slot]:
    if isinstance(where, tuple):
        each = axes if isinstance(axes, tuple) else (axes,) * len(where)
        if len(each) != len(where):
            raise ValueError(
                f"`{axes_name}` gives {len(each)} axes for the {len(where)} entries of `{name}`: "
                "give one axis for all, or one each."
            )
        return [
            slot
            for item, axis in zip(where, each, strict=True)
            for slot in _slots(params, item, axis, name, axes_name)
        ]
    found = _indices(params, where, name)
    each = axes if isinstance(axes, tuple) else (axes,) * len(found)
    if len(each) != len(found):
        raise ValueError(
            f"`{axes_name}` gives {len(each)} axes for the {len(found)} leaves of `{name}`: "
            "give one axis for all, or one each."
        )
    leaves, paths = jax.tree.leaves(params), leaf_paths(params)
    out = []
    for index, axis in zip(found, each, strict=True):
        leaf, path = leaves[index], paths[index]
        if not is_moving(leaf) or jnp.iscomplexobj(leaf):
            dtype = getattr(leaf, "dtype", None)
            kind = f"type {type(leaf).__name__}" if dtype is None else f"dtype {dtype}"
            raise ValueError(
                f"`{name}` names {path!r} of {kind}: only real floating arrays can move; "
                f"{_available(params)}."
            )
        value = jnp.asarray(leaf)
        if isinstance(axis, int | np.integer):
            if not -value.ndim <= axis < value.ndim:
                raise ValueError(
                    f"`{axes_name}` asks for axis {axis} of {path!r}, which has shape "
                    f"{value.shape}: choose an axis that it has."
                )
            axis = int(axis) % value.ndim
        elif isinstance(axis, tuple):
            raise ValueError(f"`{axes_name}` is nested deeper than `{name}`: got {axis!r}.")
        out.append(Slot(index, path, value, axis))
    return out


def select(
    params: Params, *groups: tuple[Where, Any, str], axes_name: str = "axes"
) -> tuple[tuple[Slot, ...], ...]:
    """Resolve groups `(where, axes, name)` on `params` to slots.

    **Raises:** `ValueError`, naming the group, where it names anything but real floating array
    leaves, where an axis does not exist, and where a leaf is named twice over all groups.
    """
    out = tuple(tuple(_slots(params, w, axes, name, axes_name)) for w, axes, name in groups)
    seen: dict[int, str] = {}
    for (_, _, name), slots in zip(groups, out, strict=True):
        for slot in slots:
            if slot.index in seen:
                raise ValueError(
                    f"`{name}` names {slot.path!r}, which `{seen[slot.index]}` has already named: "
                    "an action may name a leaf once (combine actions with `Product`)."
                )
            seen[slot.index] = name
    return out


def agreed(slots: Sequence[Slot], sizes: Sequence[Any], axes_name: str, what: str) -> Any:
    """The one value of `sizes`, or a `ValueError` naming two leaves that differ."""
    for slot, size in zip(slots, sizes, strict=True):
        if size != sizes[0]:
            first = slots[0]
            raise ValueError(
                f"`{axes_name}`: {what} is {sizes[0]} along axis {_axis_name(first.axis)} of "
                f"{first.path!r} (shape {first.value.shape}) but {size} along axis "
                f"{_axis_name(slot.axis)} of {slot.path!r} (shape {slot.value.shape}): they must "
                "be equal; choose other axes or leaves."
            )
    return sizes[0]


def _axis_name(axis: Axis) -> str:
    return "..." if axis is ... else str(axis)
