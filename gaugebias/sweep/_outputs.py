"""What cells return: shapes that all groups share, and whether the numbers are numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._store import DONE, NOT_FINITE, RESERVED

Shapes = dict[str, tuple[tuple[int, ...], np.dtype]]


def shapes_of(outputs: Mapping[str, Any]) -> Shapes:
    """Of one cell: `outputs` hold arrays or shapes by name."""
    return {name: (tuple(x.shape), np.dtype(x.dtype)) for name, x in outputs.items()}


def common_shapes(groups: Sequence[Shapes], taken: Sequence[str]) -> Shapes:
    """Shapes into which the outputs of all groups fit; shorter ones are filled up with NaN.

    **Raises:** `ValueError` where names, numbers of axes or kinds differ, where something other
    than floats would be filled up, or where a name is taken by the sweep itself.
    """
    first = groups[0]
    for name in first:
        if name in (*RESERVED, *taken):
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
