"""Charts of one component and of the differences to the next ones."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._parametrisations._parametrisation import check_entries
from .._potentials._potential import as_float
from ._chart import AbstractChart
from ._simplex_chart import on_simplex


@final
class RelativeChart(AbstractChart):
    r"""\(\theta_1\) and the differences \(\delta_k = \theta_{k+1} - \theta_k\), of any sign.

    A linear map of determinant 1: it moves the singular set \(\theta_k = \theta_{k+1}\) to
    \(\delta_k = 0\), but does not remove it.

    Source: of 2206.08598; re-derived, protocol ours.
    """

    def rows(self, components: int) -> int:
        return components

    def contains(self, theta: ArrayLike) -> Array:
        return jnp.all(jnp.isfinite(as_float(theta)))

    @property
    def image(self) -> str:
        return "finite values"

    def _image(self, coordinates: Array) -> Array:
        return jnp.cumsum(coordinates, axis=0)

    def _preimage(self, theta: Array) -> Array:
        return jnp.concatenate([theta[:1], jnp.diff(theta, axis=0)])


@final
class CentredChart(AbstractChart):
    r"""The mean \(m = \sum_k w_k \theta_k\) and the differences \(\theta_{k+1} - \theta_k\).

    With known weights the mean of a mixture and its differences do not mix to leading order: its
    Fisher matrix is nearly diagonal there.

    **Arguments:** `weights`, `w`, shape `(K,)`, on the simplex.
    """

    weights: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        on_simplex(self.weights, "weights")

    def rows(self, components: int) -> int:
        if components != self.weights.size:
            raise ValueError(
                f"`weights` of the chart has {self.weights.size} entries for {components} "
                "components: give one for each."
            )
        return components

    def contains(self, theta: ArrayLike) -> Array:
        return jnp.all(jnp.isfinite(as_float(theta)))

    @property
    def image(self) -> str:
        return "finite values"

    def _image(self, coordinates: Array) -> Array:
        self.rows(coordinates.shape[0])
        offsets = _offsets(coordinates[1:])
        return coordinates[:1] + offsets - (self.weights @ offsets)[None]

    def _preimage(self, theta: Array) -> Array:
        self.rows(theta.shape[0])
        return jnp.concatenate([(self.weights @ theta)[None], jnp.diff(theta, axis=0)])


@final
class FixedChart(AbstractChart):
    r"""\(\theta_{k+1} = \theta_k + \delta_k\) with given differences: only \(\theta_1\) is free.

    **Arguments:** `differences`, shape `(K - 1,)` or `(K - 1, d)`, none of them 0.

    Source: of 2206.08598, whose own definition was not available; re-derived, protocol ours.
    """

    differences: Array = eqx.field(converter=as_float)

    def __check_init__(self):
        if self.differences.ndim not in (1, 2):
            raise ValueError(
                "`differences` must have shape (K - 1,) or (K - 1, d), but has "
                f"{self.differences.shape}."
            )
        size = jnp.abs(self.differences)
        size = size if size.ndim == 1 else jnp.linalg.norm(size, axis=1)
        check_entries(
            (size > 0) & jnp.isfinite(size), "differences", "must be finite and not 0: two "
            "components would be one"
        )  # fmt: skip

    def rows(self, components: int) -> int:
        if components != self.differences.shape[0] + 1:
            raise ValueError(
                f"`differences` has {self.differences.shape[0]} rows for {components} components: "
                "give one less than components."
            )
        return 1

    @property
    def offsets(self) -> Array:
        r"""\(\theta_k - \theta_1\), shape `(K,)` or `(K, d)`."""
        return _offsets(self.differences)

    def contains(self, theta: ArrayLike) -> Array:
        theta = as_float(theta)
        self.rows(theta.shape[0])
        off = jnp.diff(theta, axis=0) - self.differences
        scale = jnp.max(jnp.abs(theta)) + jnp.max(jnp.abs(self.differences))
        return jnp.all(jnp.abs(off) <= 64 * jnp.finfo(theta.dtype).eps * scale)

    @property
    def image(self) -> str:
        return "the given `differences` between its rows"

    def _image(self, coordinates: Array) -> Array:
        return coordinates[:1] + self.offsets

    def _preimage(self, theta: Array) -> Array:
        return theta[:1]


def _offsets(differences: Array) -> Array:
    return jnp.concatenate([jnp.zeros_like(differences[:1]), jnp.cumsum(differences, axis=0)])
