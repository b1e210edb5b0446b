"""The set of predictors a law lives on, with the strata where its density is singular."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import ArrayLike

Bounds = ArrayLike | Sequence[float]


class Domain(eqx.Module):
    """A box in predictor space, with the points where densities may be singular.

    **Arguments:**

    - `lower`, `upper`: bounds of each coordinate, shape `(m,)`; infinite bounds are allowed.
    - `breaks`: for each coordinate a tuple of interior points at which a density may be singular
        or the strata of the quotient meet (`w = 0` for a product of factors). Quadrature is cut
        there.
    - `ordered`: whether the domain is the cone `x_1 > x_2 > ... > x_m` of the box, as for ordered
        eigenvalues or singular values.

    **Raises:** `ValueError` when the bounds are not increasing or a break lies outside of them.

    !!! example

        ```python
        from gaugebias.quotient import Domain
        positive = Domain.line(lower=0.0)
        assert positive.dimension == 1 and positive.contains(0.5)
        ```
    """

    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    breaks: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    ordered: bool = eqx.field(static=True)

    def __init__(
        self,
        lower: Bounds,
        upper: Bounds,
        breaks: tuple[tuple[float, ...], ...] | None = None,
        ordered: bool = False,
    ):
        self.lower = tuple(float(x) for x in np.atleast_1d(np.asarray(lower)))
        self.upper = tuple(float(x) for x in np.atleast_1d(np.asarray(upper)))
        if breaks is None:
            breaks = ((),) * len(self.lower)
        self.breaks = tuple(tuple(sorted(float(b) for b in bs)) for bs in breaks)
        self.ordered = bool(ordered)

    def __check_init__(self):
        if len(self.lower) != len(self.upper) or len(self.lower) == 0:
            raise ValueError(
                f"`lower` and `upper` need one bound a coordinate each, but have {len(self.lower)} "
                f"and {len(self.upper)}."
            )
        if len(self.breaks) != len(self.lower):
            raise ValueError(
                f"`breaks` needs one tuple a coordinate ({len(self.lower)}), but has "
                f"{len(self.breaks)}."
            )
        for i, (a, b, bs) in enumerate(zip(self.lower, self.upper, self.breaks, strict=True)):
            if not a < b:
                raise ValueError(
                    f"`lower` must be below `upper`, but coordinate {i} has [{a}, {b}]."
                )
            if any(not a < x < b for x in bs):
                raise ValueError(
                    f"`breaks` must lie inside the bounds, but coordinate {i} has {bs} in "
                    f"({a}, {b}): leave out the points on or beyond a bound."
                )

    @staticmethod
    def line(
        lower: float = -np.inf, upper: float = np.inf, breaks: tuple[float, ...] = ()
    ) -> "Domain":
        """An interval of the line; breaks outside of `(lower, upper)` are dropped."""
        return Domain((lower,), (upper,), (tuple(b for b in breaks if lower < b < upper),))

    @staticmethod
    def box(
        lower: Bounds,
        upper: Bounds,
        breaks: tuple[tuple[float, ...], ...] | None = None,
        ordered: bool = False,
    ) -> "Domain":
        """A box in several coordinates."""
        return Domain(lower, upper, breaks, ordered)

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.lower)

    def contains(self, x: Bounds) -> np.ndarray:
        """Whether points lie in the (closed) domain.

        `x` has shape `(..., m)`, or `(...)` for one coordinate; booleans of shape `(...)` return.
        """
        points = np.asarray(x)
        if self.dimension == 1 and (points.ndim == 0 or points.shape[-1] != 1):
            points = points[..., None]
        if points.shape[-1] != self.dimension:
            raise ValueError(
                f"`x` has {points.shape[-1]} coordinates, the domain {self.dimension}."
            )
        inside = np.all(
            (points >= np.asarray(self.lower)) & (points <= np.asarray(self.upper)), axis=-1
        )
        if self.ordered and self.dimension > 1:
            inside = inside & np.all(points[..., :-1] >= points[..., 1:], axis=-1)
        return np.asarray(inside)
