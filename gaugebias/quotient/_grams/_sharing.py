"""Which factors of a product share leaves, and whether they form a chain."""

from collections.abc import Sequence

from jaxtyping import PyTree

from ...symmetry import Product
from ...symmetry._support import moved_leaves


def sharing(action: Product, params: PyTree) -> tuple[frozenset[int], ...]:
    """The floating leaves that each factor can move, by index."""
    return tuple(frozenset(moved_leaves(factor, params)) for factor in action.actions)


def _neighbours(moved: Sequence[frozenset[int]]) -> list[set[int]]:
    n = len(moved)
    return [{j for j in range(n) if j != i and moved[i] & moved[j]} for i in range(n)]


def components(moved: Sequence[frozenset[int]]) -> tuple[tuple[int, ...], ...]:
    """Factors grouped so that different groups share no leaf: their generators are orthogonal."""
    beside = _neighbours(moved)
    left = set(range(len(moved)))
    groups = []
    while left:
        group, front = set(), {min(left)}
        while front:
            group |= front
            front = set().union(*(beside[i] for i in front)) - group
        left -= group
        groups.append(tuple(sorted(group)))
    return tuple(groups)


def chain(moved: Sequence[frozenset[int]]) -> tuple[int, ...] | None:
    """An order in which each factor shares leaves with the next one and with no other."""
    beside = _neighbours(moved)
    ends = [i for i, others in enumerate(beside) if len(others) == 1]
    if len(ends) != 2 or any(len(others) > 2 for others in beside):
        return None
    order = [ends[0]]
    while len(order) < len(moved):
        following = beside[order[-1]] - set(order)
        if len(following) != 1:
            return None
        order.append(following.pop())
    return tuple(order)
