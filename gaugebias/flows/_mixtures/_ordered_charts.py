"""Charts that order their components, on the line or along a direction."""

from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float
from ._chart import AbstractChart


@final
class OrderedChart(AbstractChart):
    r"""\(\theta_{k+1} = \theta_k + e^{\rho_k}\): increasing parameters.

    It chooses one of the `K!` labellings. The singular set is at \(\rho_k \to -\infty\), at
    infinite distance in the coordinates but a finite one in distribution; differences keep their
    digits down to rounding of the parameters, below which `contains` is false.

    Above one dimension, shape `(K, d)`, the differences \(\delta_k\) are ordered along a unit
    vector `u`: \(u \cdot \delta_k = e^{u \cdot \xi_k}\), and across it they are those of the
    coordinates. Components apart across `u` only are then a boundary too: order along a direction
    in which they differ.

    **Arguments:** `direction`, of any length, shape `(d,)`; None on the line.
    """

    direction: Array | None

    def __init__(self, direction: ArrayLike | None = None):
        self.direction = _unit(direction)

    def rows(self, components: int) -> int:
        return components

    def contains(self, theta: ArrayLike) -> Array:
        theta = as_float(theta)
        steps = along(jnp.diff(theta, axis=0), self.direction, "OrderedChart")
        return jnp.all(jnp.isfinite(theta)) & jnp.all(steps > 0)

    @property
    def image(self) -> str:
        return "values in increasing order" + _words(self.direction) + ", no two equal"

    def _image(self, coordinates: Array) -> Array:
        rho = along(coordinates[1:], self.direction, "OrderedChart")
        return _summed(coordinates, rho, jnp.exp(rho), self.direction)

    def _preimage(self, theta: Array) -> Array:
        steps = jnp.diff(theta, axis=0)
        size = along(steps, self.direction, "OrderedChart")
        moved = _moved(steps, jnp.log(size) - size, self.direction)
        return jnp.concatenate([theta[:1], moved])


@final
class FlooredChart(AbstractChart):
    r"""\(\theta_{k+1} = \theta_k + \delta_{\min,k} + \log(1 + e^{\rho_k})\).

    A regular open submodel: with known weights and variance the condition number of the Fisher
    matrix of two components in `(m, delta)` is about \(1/(2 w^2 (1-w)^2 \delta_{\min}^2)\) at the
    floor, to leading order in it; this is no bound. In the coordinates the slope of softplus
    comes on top, which vanishes as \(\rho \to -\infty\).

    Above one dimension the floor is one of the differences along a direction, as in
    [`gaugebias.flows.OrderedChart`][]: no two components are then closer than it. The image is
    convex, so that EM still has an exact M-step; that of a floor under the norm is not.

    **Arguments:** `floor`, \(\delta_{\min} > 0\), a scalar or of shape `(K - 1,)`; `direction`, of
    any length, shape `(d,)`; None on the line.

    Source: of 2206.08598, whose own definition was not available; re-derived, protocol ours.
    """

    floor: Array
    direction: Array | None

    def __init__(self, floor: ArrayLike, direction: ArrayLike | None = None):
        self.floor, self.direction = as_float(floor), _unit(direction)

    def __check_init__(self):
        if self.floor.ndim > 1:
            raise ValueError(
                f"`floor` must be a scalar or of shape (K - 1,), but has {self.floor.shape}."
            )
        check_entries(
            (self.floor > 0) & jnp.isfinite(self.floor),
            "floor",
            "must be positive and finite: use `OrderedChart()` for no floor",
        )

    def rows(self, components: int) -> int:
        if self.floor.ndim and self.floor.size != components - 1:
            raise ValueError(
                f"`floor` has {self.floor.size} entries for {components} components: give a "
                f"scalar or {components - 1} of them."
            )
        return components

    def contains(self, theta: ArrayLike) -> Array:
        theta = as_float(theta)
        steps = along(jnp.diff(theta, axis=0), self.direction, "FlooredChart")
        self.rows(theta.shape[0])
        return jnp.all(jnp.isfinite(theta)) & jnp.all(steps > self.floor)

    @property
    def image(self) -> str:
        order = "values in increasing order" + _words(self.direction)
        return order + ", each above the one before by more than `floor`"

    def _image(self, coordinates: Array) -> Array:
        self.rows(coordinates.shape[0])
        rho = along(coordinates[1:], self.direction, "FlooredChart")
        return _summed(coordinates, rho, self.floor + jax.nn.softplus(rho), self.direction)

    def _preimage(self, theta: Array) -> Array:
        steps = jnp.diff(theta, axis=0)
        above = along(steps, self.direction, "FlooredChart") - self.floor
        # log(e^a - 1) - (floor + a)
        shift = jnp.log(-jnp.expm1(-above)) - self.floor
        return jnp.concatenate([theta[:1], _moved(steps, shift, self.direction)])


def _unit(direction: ArrayLike | None) -> Array | None:
    if direction is None:
        return None
    u = as_float(direction)
    if u.ndim != 1:
        raise ValueError(f"`direction` must be a vector of shape (d,), but has {u.shape}.")
    size = jnp.linalg.norm(u)
    check_entries((size > 0) & jnp.isfinite(size), "direction", "must be finite and not 0")
    return u / size


def along(rows: Array, direction: Array | None, chart: str) -> Array:
    """The components of rows along the direction; the rows themselves on the line."""
    if direction is None:
        if rows.ndim != 1:
            raise ValueError(
                f"`{chart}` orders parameters on the line: give it a `direction` to order them "
                f"along in {rows.shape[1]} dimensions, or use `RelativeChart()`."
            )
        return rows
    if rows.ndim != 2 or rows.shape[1] != direction.size:
        shape = f"(K, {rows.shape[1]})" if rows.ndim == 2 else "(K,)"
        raise ValueError(
            f"`direction` of `{chart}` has {direction.size} entries, for parameters of shape "
            f"(K, {direction.size}), but got {shape}."
        )
    return rows @ direction


def _moved(rows: Array, shift: Array, direction: Array | None) -> Array:
    return rows + (shift if direction is None else jnp.outer(shift, direction))


def _summed(coordinates: Array, rho: Array, size: Array, direction: Array | None) -> Array:
    """The rows whose differences have `size` along the direction, `rho` in the coordinates."""
    # Not rho + (size - rho): a small size would keep the rounding of rho only.
    steps = size
    if direction is not None:
        across = coordinates[1:] - jnp.outer(rho, direction)
        across = across - jnp.outer(across @ direction, direction)  # what rounding left along it
        steps = across + jnp.outer(size, direction)
    return jnp.cumsum(jnp.concatenate([coordinates[:1], steps]), axis=0)


def _words(direction: Array | None) -> str:
    return "" if direction is None else " along `direction`"
