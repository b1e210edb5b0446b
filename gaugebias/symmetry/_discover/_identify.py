"""Recognising standard groups in a null space of candidate fields.

Each stage restricts the null space to one family of candidates (off-diagonal matrices, diagonal
ones, scalings of whole leaves, translations), ties leaves whose coefficients agree up to sign and
transposition, writes down the standard group that this suggests and **verifies** that all of it
lies in the null space and is new. What no stage explains stays a field without a name.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._action import AbstractAction
from .._linear_fields import LinearFields
from ._candidates import Family, fields, place, scale_of, total
from ._null_space import span
from ._solve import Solution, flat
from ._templates import (
    Slot,
    Template,
    block_general_linear,
    general_linear,
    orthogonal,
    rescaling,
    scaling,
    translation,
)

_SMALL = 1e-6
_MOST_CHOICES = 16


class Found(NamedTuple):
    """The action of one recognised group (or of the rest), what it is, and its coefficients."""

    action: AbstractAction
    text: str
    coeffs: np.ndarray


class _Accepted:
    """The span of what has been recognised, modulo what acts trivially."""

    def __init__(self, found: Sequence[Family], solution: Solution, paths: Sequence[str]):
        self.found = found
        self.solution = solution
        self.paths = paths
        self.basis = np.zeros((0, total(found)))
        self.moves = np.zeros((0, solution.frame.seen.size))
        self.groups: list[Found] = []

    def reduced(self, coeffs: np.ndarray) -> np.ndarray:
        scaled = coeffs * self.solution.scale
        trivial = self.solution.trivial
        return scaled - (scaled @ trivial.T) @ trivial

    def offer(self, template: Template) -> bool:
        """Take the group if it is a symmetry and entirely new."""
        if not self.solution.holds(template.coeffs).all():
            return False
        linear = self.reduced(template.coeffs)
        size = np.linalg.norm(template.coeffs * self.solution.scale, axis=1, keepdims=True)
        linear = linear / size
        if np.linalg.norm(linear, axis=1).min() <= _SMALL:
            return False
        both = span(np.concatenate([self.basis, linear]), _SMALL)
        if both.shape[0] != self.basis.shape[0] + template.coeffs.shape[0]:
            return False
        self.basis = both
        self.groups.append(Found(template.action, template.text, template.coeffs))
        return True

    def offer_translation(self, template: Template, point: list[np.ndarray]) -> bool:
        zero = [np.zeros_like(x) for x in point]
        moves = flat(fields(self.found, zero, template.coeffs)) * self.solution.frame.seen[None]
        alive = moves.any(axis=1)
        if not alive.all():
            coeffs, moves = template.coeffs[alive], moves[alive]
            shapes = [x.shape for x in point]
            action = linear_fields(self.found, coeffs, self.paths, shapes)
            template = Template(action, f"{template.text}, where it is seen", coeffs)
        if not alive.any() or not self.solution.holds(template.coeffs).all():
            return False
        both = span(np.concatenate([self.moves, moves]), _SMALL)
        if both.shape[0] != self.moves.shape[0] + template.coeffs.shape[0]:
            return False
        self.moves = both
        self.groups.append(Found(template.action, template.text, template.coeffs))
        return True


def identify(
    found: Sequence[Family],
    solution: Solution,
    paths: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
) -> list[Found]:
    """Recognised groups, and the rest as `LinearFields`, together of the solution's dimension."""
    accepted = _Accepted(found, solution, paths)
    slots = [
        Slot(f.leaf, f.axis, f.batch, f.shape[-1], f.kind == "matrix", paths[f.leaf])
        for f in found
        if f.axis is not None and f.kind != "shift"
    ]
    batched = [s for s in slots if s.batch is not None]
    plain = [s for s in slots if s.batch is None]
    for group in (*_consistent(batched, shapes), plain):
        _matrices(accepted, [s for s in group if s.full and s.size > 1])
    _diagonals(accepted, [s for s in plain if s.size > 1])
    _scales(accepted, shapes)
    _translations(accepted, shapes)
    _rest(accepted, shapes)
    return accepted.groups


def _consistent(slots: list[Slot], shapes: Sequence[tuple[int, ...]]) -> list[list[Slot]]:
    """Sets of slots of one size and number of copies, with each axis of a leaf at most once.

    One axis with its matrices varying over one or over another axis are overlapping candidates,
    whose coefficients are not unique: they are looked at separately.
    """
    sizes: dict[tuple[int, int], dict[tuple[int, int], list[Slot]]] = {}
    for slot in slots:
        assert slot.batch is not None
        size = slot.size, shapes[slot.leaf][slot.batch]
        sizes.setdefault(size, {}).setdefault((slot.leaf, slot.axis), []).append(slot)
    out: list[list[Slot]] = []
    for options in sizes.values():
        choices = itertools.islice(itertools.product(*options.values()), _MOST_CHOICES)
        out += [list(choice) for choice in choices]
    return out


# -- the stages ----------------------------------------------------------------------------------


def _family(found: Sequence[Family], slot: Slot) -> Family:
    (family,) = [
        f
        for f in found
        if (f.leaf, f.axis, f.batch) == (slot.leaf, slot.axis, slot.batch) and f.kind != "shift"
    ]
    return family


def _proportional(one: np.ndarray, other: np.ndarray) -> float | None:
    """The number sigma with `other = sigma * one`, where there is one that is not zero."""
    if one.shape != other.shape:
        return None
    square = float(np.sum(one * one))
    sigma = float(np.sum(one * other)) / square
    size = np.linalg.norm(other)
    if size == 0 or np.linalg.norm(other - sigma * one) > _SMALL * size:
        return None
    return sigma


def _matrices(accepted: _Accepted, slots: list[Slot]) -> None:
    """General linear and rotation groups, tied by their off-diagonal entries."""
    found, columns = accepted.found, []
    for slot in slots:
        family = _family(found, slot)
        off = ~np.eye(slot.size, dtype=bool)
        off = np.broadcast_to(off, family.shape).ravel()
        columns.append(np.arange(family.start, family.start + family.size)[off])
    if not columns:
        return
    chosen = np.concatenate(columns)
    null = accepted.solution.restricted(np.eye(total(found))[chosen])
    whole = np.zeros((null.shape[0], total(found)))
    whole[:, chosen] = null
    parts = {
        slot: whole[:, _family(found, slot).columns].reshape(-1, *_family(found, slot).shape)
        for slot in slots
    }
    biggest = max((np.linalg.norm(x) for x in parts.values()), default=0.0)
    left = [s for s in slots if np.linalg.norm(parts[s]) > _SMALL * biggest]
    while left:
        first, left = left[0], left[1:]
        same, opposite = [first], []
        for slot in list(left):
            turned = np.swapaxes(parts[slot], -1, -2)
            straight = _proportional(parts[first], parts[slot])
            across = _proportional(parts[first], turned)
            if straight is not None and abs(straight - 1.0) < _SMALL:
                same.append(slot)
            elif across is not None and abs(across + 1.0) < _SMALL:
                opposite.append(slot)
            else:
                continue
            left.remove(slot)
        _offer_matrices(accepted, same, opposite, parts[first])


def _offer_matrices(
    accepted: _Accepted, same: list[Slot], opposite: list[Slot], part: np.ndarray
) -> None:
    found, r = accepted.found, same[0].size
    basis = span(part.reshape(part.shape[0], -1), _SMALL)
    reach = np.sqrt(np.sum(basis**2, axis=0)).reshape(part.shape[1:])
    if part.ndim == 4:
        accepted.offer(general_linear(found, same, opposite, part.shape[1]))
        return
    if np.allclose(part, -np.swapaxes(part, -1, -2), atol=_SMALL * np.abs(part).max()):
        accepted.offer(orthogonal(found, same + opposite))
        return
    joined = reach > 1.0 - _SMALL
    left = list(range(r))
    while left:
        block = [left[0]] + [j for j in left[1:] if joined[left[0], j]]
        left = [j for j in left if j not in block]
        if len(block) == r and opposite:
            accepted.offer(general_linear(found, same, opposite, None))
        elif len(block) > 1:
            accepted.offer(block_general_linear(found, same, opposite, block))


def _diagonals(accepted: _Accepted, slots: list[Slot]) -> None:
    """Rescalings unit by unit, tied by diagonals up to a multiple of the identity."""
    found, rows, owner = accepted.found, [], []
    for slot in slots:
        for j in range(slot.size):
            rows.append(place(found, slot.leaf, slot.axis, np.diag(np.eye(slot.size)[j])))
            owner.append(slot)
    if not rows:
        return
    null = accepted.solution.restricted(np.stack(rows))
    parts = {}
    for slot in slots:
        mine = null[:, [i for i, s in enumerate(owner) if s is slot]]
        parts[slot] = mine - mine.mean(axis=1, keepdims=True)
    biggest = max((np.linalg.norm(x) for x in parts.values()), default=0.0)
    left = [s for s in slots if np.linalg.norm(parts[s]) > _SMALL * biggest]
    while left:
        first, left = left[0], left[1:]
        tied = [(first, 1.0)]
        for slot in list(left):
            sigma = _proportional(parts[first], parts[slot])
            if sigma is not None and abs(sigma) > _SMALL:
                tied.append((slot, sigma))
                left.remove(slot)
        units = [j for j in range(first.size) if _is_unit(accepted, tied, j)]
        if units:
            accepted.offer(rescaling(found, tied, units))


def _is_unit(accepted: _Accepted, tied: list[tuple[Slot, float]], unit: int) -> bool:
    coeffs = np.zeros(total(accepted.found))
    for slot, sigma in tied:
        one = np.eye(slot.size)[unit]
        coeffs = coeffs + sigma * place(accepted.found, slot.leaf, slot.axis, np.diag(one))
    return bool(accepted.solution.holds(coeffs[None])[0])


def _scales(accepted: _Accepted, shapes: Sequence[tuple[int, ...]]) -> None:
    """Scalings of whole leaves, in the sparsest combinations that elimination finds."""
    found = accepted.found
    leaves = sorted({f.leaf for f in found if f.kind != "shift"})
    if not leaves:
        return
    rows = {i: scale_of(found, i, shapes[i][0] if shapes[i] else None) for i in leaves}
    for powers in _eliminated(accepted.solution.restricted(np.stack(list(rows.values())))):
        pairs = zip(leaves, powers, strict=True)
        chosen = [(leaf, float(p)) for leaf, p in pairs if abs(p) > _SMALL]
        accepted.offer(scaling(rows, chosen, accepted.paths))


def _eliminated(rows: np.ndarray) -> np.ndarray:
    """Reduced row echelon form."""
    rows = rows.copy()
    done = 0
    for column in range(rows.shape[1]):
        if done == rows.shape[0]:
            break
        pivot = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[pivot, column]) <= _SMALL * np.abs(rows).max():
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        for other in range(rows.shape[0]):
            if other != done:
                rows[other] -= rows[other, column] * rows[done]
        done += 1
    return rows[:done]


def _translations(accepted: _Accepted, shapes: Sequence[tuple[int, ...]]) -> None:
    if accepted.solution.frame.translations.shape[0] == 0:
        return
    point = [np.zeros(shape) for shape in shapes]
    for family in accepted.found:
        if family.kind == "shift":
            for template in translation(accepted.found, family, accepted.paths[family.leaf]):
                if accepted.offer_translation(template, point):
                    break


def _rest(accepted: _Accepted, shapes: Sequence[tuple[int, ...]]) -> None:
    """Directions that no group explains, as fields of their own."""
    solution, found = accepted.solution, accepted.found
    linear = solution.linear - (solution.linear @ accepted.basis.T) @ accepted.basis
    linear = span(linear, _SMALL) if len(linear) else linear
    linear = linear[: solution.linear.shape[0] - accepted.basis.shape[0]]
    shifts = solution.shifts / solution.scale
    zero = [np.zeros(shape) for shape in shapes]
    left = np.zeros((0, total(found)))
    if len(shifts):
        moves = flat(fields(found, zero, shifts)) * solution.frame.seen[None]
        new = moves - (moves @ accepted.moves.T) @ accepted.moves
        u, s, _ = np.linalg.svd(new, full_matrices=False)
        left = u[:, : solution.frame.translations.shape[0] - accepted.moves.shape[0]].T @ shifts
    rows = np.concatenate([left, linear / solution.scale])
    if len(rows):
        scaled = np.abs(rows * solution.scale)
        moved = sorted({f.leaf for f in found if scaled[:, f.columns].max() > 1e-9})
        names = ", ".join(accepted.paths[leaf] or "params" for leaf in moved)
        text = f"{len(rows)} generators without a standard name on leaves {names}"
        action = linear_fields(found, rows, accepted.paths, shapes)
        accepted.groups.append(Found(action, text, rows))


def linear_fields(
    found: Sequence[Family],
    coeffs: np.ndarray,
    paths: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
) -> LinearFields:
    """The action whose generators are the rows of `coeffs`, shape (k, c)."""
    matrices, shifts = {}, {}
    for family in found:
        block = coeffs[:, family.columns].reshape(-1, *family.shape)
        if not np.abs(block).max(initial=0.0) > 0.0:
            continue
        path = paths[family.leaf]
        if family.kind == "shift":
            whole = block if family.axis is None else np.expand_dims(block, family.axis + 1)
            whole = np.broadcast_to(whole, (len(coeffs), *shapes[family.leaf]))
            shifts[path] = shifts.get(path, 0.0) + whole
        elif family.kind == "scale":
            matrices[path, None] = block
        elif family.batch is None:
            matrices[path, family.axis] = block
        else:
            matrices[path, family.axis, family.batch] = block
    if not matrices and not shifts:
        shifts[paths[0]] = np.zeros((len(coeffs), *shapes[0]))
    return LinearFields(matrices, shifts)
