"""Three components: where in the plane one of them can be, decided exactly point by point."""

from typing import final

import equinox as eqx
import numpy as np

from ._factorisation import Factorisation
from ._nested import require_full_rank
from ._search import hull_rows

_EDGE = 1e-9


@final
class ComponentRegion(eqx.Module):
    """The plane of three components, in barycentric coordinates of the factorisation's own.

    - `outer`: (v, 3), corners of the polygon where all shares of columns are non-negative, in
      order around it.
    - `inner`: (h, 3), corners of the hull of the rows of A, in order around it.
    - `points`: (m, 3), a grid over the outer polygon.
    - `possible`: (m,), whether an admissible solution has a component there. Each is decided
      exactly; what lies between the points is not seen.
    """

    outer: np.ndarray
    inner: np.ndarray
    points: np.ndarray
    possible: np.ndarray


def component_region(factorisation: Factorisation, *, resolution: int = 120) -> ComponentRegion:
    """Where a component can be in *some* admissible solution, K = 3.

    A point v is possible exactly if the triangle of v and of the points where its two tangents to
    the inner polygon leave the outer one contains the inner polygon: any other triangle with the
    corner v around the inner polygon, cut along the tangents and drawn out along them, becomes
    that one and stays around it.

    **Arguments:** `resolution`: points along each side of the grid.

    **Raises:** `ValueError` where K is not 3, the factors have rank below 3, or `resolution` is
    below 2.

    Source: re-derived (nested polygons: Aggarwal et al. 1989).
    """
    if factorisation.components != 3:
        raise ValueError(
            f"`factorisation` has {factorisation.components} components: the plane is for 3."
        )
    if resolution < 2:
        raise ValueError(f"`resolution` is {resolution}: give at least 2.")
    mixing, basis = factorisation.mixing, factorisation.basis
    require_full_rank(mixing, basis)
    outer, inner = outer_polygon(basis), _around(mixing[hull_rows(mixing)])
    low, high = outer[:, :2].min(axis=0), outer[:, :2].max(axis=0)
    sides = [np.linspace(a, b, resolution) for a, b in zip(low, high, strict=True)]
    flat = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.column_stack([flat, 1.0 - flat.sum(axis=1)])
    points = points[(points @ basis).min(axis=1) >= 0.0]
    return ComponentRegion(outer, inner, points, possible_component(points, inner, basis))


def possible_component(points: np.ndarray, inner: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Whether each of `points`, (m, 3) in the outer polygon, is a corner of an admissible triangle.

    `inner`: (h, 3), corners of the inner polygon; `basis`: G, (3, J).
    """
    v, corners = points[:, None, :2], inner[None, :, :2]
    arrows = corners - v  # (m, h, 2)
    cross = arrows[:, :, None, 0] * arrows[:, None, :, 1]
    cross = cross - arrows[:, :, None, 1] * arrows[:, None, :, 0]  # (m, h, h): from h to h'
    apart = np.abs(arrows).max(axis=2) > _EDGE
    right = apart & (cross >= -(_EDGE**1.5)).all(axis=2)  # all others to the left of this one
    left = apart & (cross <= _EDGE**1.5).all(axis=2)
    outside = right.any(axis=1) & left.any(axis=1)
    at = np.arange(len(points))
    ends = []
    for tangent in (right, left):
        # Of several corners on one tangent any will do; the farthest is the best conditioned.
        size = np.where(tangent, np.abs(arrows).sum(axis=2), -1.0)
        chosen = arrows[at, size.argmax(axis=1)]
        direction = np.column_stack([chosen, -chosen.sum(axis=1)])
        height, slope = np.maximum(points @ basis, 0.0), direction @ basis
        # Along an edge of the outer polygon a slope is 0 but for rounding.
        falls = slope < -1e-12 * np.abs(direction) @ basis
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(falls, height / -slope, np.inf).min(axis=1)
        ends.append(points + np.where(np.isfinite(reach), reach, 0.0)[:, None] * direction)
    triangle = np.stack([points, *ends], axis=1)  # (m, 3, 3)
    proper = outside & (np.abs(np.linalg.det(triangle)) > 1e-14)
    triangle = np.where(proper[:, None, None], triangle, np.eye(3))
    shares = np.linalg.solve(np.swapaxes(triangle, 1, 2), inner.T[None])  # (m, 3, h)
    return proper & (shares.min(axis=(1, 2)) >= -_EDGE)


def outer_polygon(basis: np.ndarray) -> np.ndarray:
    """The corners of {t : sum t = 1, t G >= 0} for K = 3, (v, 3), in order."""
    from scipy.spatial import HalfspaceIntersection

    # t = (t_1, t_2, 1 - t_1 - t_2): the half-planes (G_1j - G_3j, G_2j - G_3j) . t + G_3j >= 0.
    planes = np.column_stack([basis[2] - basis[0], basis[2] - basis[1], -basis[2]])
    planes = planes[np.abs(planes[:, :2]).max(axis=1) > 1e-14]
    corners = HalfspaceIntersection(planes, np.array([1 / 3, 1 / 3])).intersections
    corners = corners[np.isfinite(corners).all(axis=1)]
    return _around(np.column_stack([corners, 1.0 - corners.sum(axis=1)]))


def _around(points: np.ndarray) -> np.ndarray:
    centre = points[:, :2].mean(axis=0)
    angle = np.arctan2(points[:, 1] - centre[1], points[:, 0] - centre[0])
    return points[np.argsort(angle)]
