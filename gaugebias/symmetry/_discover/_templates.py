"""Standard groups written as coefficients of candidate fields, with the action that they are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .._action import AbstractAction
from .._general_linear import GeneralLinear
from .._linear_fields import LinearFields
from .._orthogonal import RightOrthogonal
from .._rescaling import Rescaling, Scale, Translation
from ._candidates import Family, place, total


class Slot(NamedTuple):
    """An axis of a leaf, with the axis over which matrices vary, its length and the leaf's path."""

    leaf: int
    axis: int
    batch: int | None
    size: int
    full: bool
    path: str


class Template(NamedTuple):
    """An action, what it is called, and its generators as rows of candidate coefficients."""

    action: AbstractAction
    text: str
    coeffs: np.ndarray


def _names(slots: Sequence[Slot]) -> str:
    return ", ".join(slot.path or "params" for slot in slots)


def _paths(slots: Sequence[Slot]) -> tuple[str, ...]:
    return tuple(slot.path for slot in slots)


def _axes(one: Sequence[Slot], two: Sequence[Slot]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(s.axis for s in one), tuple(s.axis for s in two)


def _elementary(
    found: Sequence[Family],
    same: Sequence[Slot],
    opposite: Sequence[Slot],
    matrix: np.ndarray,
) -> np.ndarray:
    out = np.zeros(total(found))
    for slot in same:
        out += place(found, slot.leaf, slot.axis, matrix, slot.batch)
    for slot in opposite:
        out -= place(found, slot.leaf, slot.axis, np.swapaxes(matrix, -1, -2), slot.batch)
    return out


def _units(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    for index in np.ndindex(*shape):
        matrix = np.zeros(shape)
        matrix[index] = 1.0
        yield matrix


def general_linear(
    found: Sequence[Family], same: list[Slot], opposite: list[Slot], copies: int | None
) -> Template:
    """GL(r) between two sides, one matrix for each of `copies` where given."""
    r = same[0].size
    shape = (r, r) if copies is None else (copies, r, r)
    coeffs = np.stack([_elementary(found, same, opposite, m) for m in _units(shape)])
    names = _names(same + opposite)
    if not opposite:
        places = {(s.path, s.axis, s.batch)[: 2 if copies is None else 3]: s for s in same}
        matrices = {key: np.stack(list(_units(shape))) for key in places}
        return Template(LinearFields(matrices), f"GL({r}) on one side of leaves {names}", coeffs)
    batch = None
    if copies is not None:
        batch = (
            tuple(int(s.batch) for s in same if s.batch is not None),
            tuple(int(s.batch) for s in opposite if s.batch is not None),
        )
    action = GeneralLinear(_paths(same), _paths(opposite), axes=_axes(same, opposite), batch=batch)
    text = f"GL({r}) on leaves {names}"
    return Template(action, text if copies is None else f"{copies} copies of {text}", coeffs)


def block_general_linear(
    found: Sequence[Family], same: list[Slot], opposite: list[Slot], block: list[int]
) -> Template:
    """GL(b) on b of the indices of an axis, as one head of several in a flattened leaf."""
    r, b = same[0].size, len(block)
    units = []
    for i in block:
        for j in block:
            matrix = np.zeros((r, r))
            matrix[i, j] = 1.0
            units.append(matrix)
    stack = np.stack(units)
    coeffs = np.stack([_elementary(found, same, opposite, m) for m in units])
    matrices: dict[tuple[str, int], np.ndarray] = {(s.path, s.axis): stack for s in same}
    matrices |= {(s.path, s.axis): -np.swapaxes(stack, -1, -2) for s in opposite}
    text = f"GL({b}) on leaves {_names(same + opposite)}"
    if b < r:
        text += f", indices {_ranges(block)} of {r}"
    return Template(LinearFields(matrices), text, coeffs)


def _ranges(indices: list[int]) -> str:
    if indices == list(range(indices[0], indices[-1] + 1)) and len(indices) > 1:
        return f"{indices[0]}-{indices[-1]}"
    return ", ".join(str(i) for i in indices)


def orthogonal(found: Sequence[Family], slots: list[Slot]) -> Template:
    """SO(r) on one axis of each leaf."""
    r = slots[0].size
    rows = []
    for i in range(r):
        for j in range(i + 1, r):
            matrix = np.zeros((r, r))
            matrix[i, j], matrix[j, i] = 1.0, -1.0
            rows.append(_elementary(found, slots, [], matrix))
    axes = tuple(s.axis for s in slots)
    action = RightOrthogonal(_paths(slots), axis=axes)
    return Template(action, f"SO({r}) on leaves {_names(slots)}", np.stack(rows))


def rescaling(
    found: Sequence[Family], tied: list[tuple[Slot, float]], units: list[int]
) -> Template:
    """Positive rescaling of hidden units, leaf after leaf with its power."""
    r = tied[0][0].size
    rows = []
    for unit in units:
        row = np.zeros(total(found))
        for slot, power in tied:
            row += power * place(found, slot.leaf, slot.axis, np.diag(np.eye(r)[unit]))
        rows.append(row)
    coeffs = np.stack(rows)
    up = [slot for slot, power in tied if power > 0]
    down = [slot for slot, power in tied if power < 0]
    powers = _two_powers([power for _, power in tied])
    if down:
        text = f"rescaling of {len(units)} units between {_names(up)} and {_names(down)}"
    else:
        text = f"scaling of {len(units)} units of {_names(up)}"
    if len(units) < r:
        text += f", indices {_ranges(units)} of {r}"
    if powers is not None and down and len(units) == r:
        axes = _axes(up, down)
        action: AbstractAction = Rescaling(_paths(up), _paths(down), axes=axes, powers=powers)
        return Template(action, text, coeffs)
    diagonals = np.eye(r)[units]
    matrices = {(slot.path, slot.axis): power * diagonals for slot, power in tied}
    return Template(LinearFields(matrices), text, coeffs)


def _two_powers(powers: list[float]) -> tuple[float, float] | None:
    """The power of the rising and of the falling leaves, where each kind has only one."""
    rising = {round(p, 6) for p in powers if p > 0}
    falling = {round(p, 6) for p in powers if p < 0}
    if len(rising) != 1 or len(falling) > 1:
        return None
    up, down = rising.pop(), falling.pop() if falling else -1.0
    # Coefficients are those of the first leaf, of power one: rounded powers would not be exact.
    return (float(up), float(down))


def scaling(
    rows: Mapping[int, np.ndarray], powers: list[tuple[int, float]], paths: Sequence[str]
) -> Template:
    """Scalings of whole leaves, each with its power; `rows` are their coefficients."""
    coeffs = sum(power * rows[leaf] for leaf, power in powers)[None]  # type: ignore[index]
    names = [paths[leaf] or "params" for leaf, _ in powers]
    rising = tuple(paths[leaf] for leaf, power in powers if power > 0)
    falling = tuple(paths[leaf] for leaf, power in powers if power < 0)
    both = _two_powers([power for _, power in powers])
    if both is not None and not falling:
        return Template(Scale(rising), f"scaling of leaves {', '.join(names)}", coeffs)
    if both is not None:
        text = f"rescaling between leaves {', '.join(rising)} and {', '.join(falling)}"
        axes = ((None,) * len(rising), (None,) * len(falling))
        action: AbstractAction = Rescaling(rising, falling, axes=axes, powers=both)
        return Template(action, text, coeffs)
    matrices = {(paths[leaf], None): np.full((1,), power) for leaf, power in powers}
    text = "scaling of leaves " + ", ".join(
        f"{name} (power {power:g})" for name, (_, power) in zip(names, powers, strict=True)
    )
    return Template(LinearFields(matrices), text, coeffs)


def translation(found: Sequence[Family], family: Family, path: str) -> list[Template]:
    """Translations of one leaf, the largest group first."""
    name = path or "params"
    rows = np.zeros((family.size, total(found)))
    rows[:, family.columns] = np.eye(family.size)
    if family.axis is not None:
        text = f"translation of leaf {name}, constant along axis {family.axis}"
        return [Template(Translation(path, axis=family.axis), text, rows)]
    out = [Template(Translation(path, axis=...), f"translation of leaf {name}", rows)]
    if family.size > 1:
        one = rows.sum(axis=0, keepdims=True)
        text = f"translation of leaf {name} by a common constant, as of logits"
        out.append(Template(Translation(path, axis=0), text, one))
    return out
