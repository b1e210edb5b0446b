"""Charts: coordinates of the parameters of a statistical model."""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._potentials._potential import as_float


class AbstractChart(eqx.Module):
    r"""A smooth injective map \(\theta = g(\xi)\) from coordinates to parameters.

    The coordinates range over all of their space; `contains` says which \(\theta\) are reached.
    \(\theta\) has one row a component, shape `(K,)` or `(K, d)`. Flows and descent in the
    coordinates depend on the chart through \(J J^T\); those of the Fisher metric, which a chart
    pulls back as \(J^T I J\), do not.
    """

    @abc.abstractmethod
    def rows(self, components: int) -> int:
        """The number of rows of coordinates of `components` rows of parameters."""

    @abc.abstractmethod
    def contains(self, theta: ArrayLike) -> Array:
        """Whether the parameters are in the image of the chart, a scalar."""

    @abc.abstractmethod
    def _image(self, coordinates: Array) -> Array:
        """The parameters."""

    @abc.abstractmethod
    def _preimage(self, theta: Array) -> Array:
        """The coordinates of parameters in the image."""

    @property
    @abc.abstractmethod
    def image(self) -> str:
        """The image in words, as it stands in messages."""

    def __call__(self, coordinates: ArrayLike) -> Array:
        """The parameters at the coordinates."""
        return self._image(_rows(coordinates, "coordinates"))

    def inverse(self, theta: ArrayLike) -> Array:
        """The coordinates of the parameters.

        **Raises:** `ValueError` outside the image. Under `jit` such points give NaN: test
        `contains`.
        """
        theta = _rows(theta, "theta")
        good = self.contains(theta)
        if not isinstance(good, Tracer) and not bool(good):
            raise ValueError(f"`theta` is not in the image of the chart: it needs {self.image}.")
        return jnp.where(good, self._preimage(theta), jnp.nan)

    def jacobian(self, coordinates: ArrayLike) -> Array:
        """`d theta / d xi`, both flattened row by row: shape `(theta.size, xi.size)`."""
        xi = _rows(coordinates, "coordinates")
        return jax.jacfwd(lambda v: self._image(v.reshape(xi.shape)).ravel())(xi.ravel())

    def pull_back(self, coordinates: ArrayLike, metric: ArrayLike) -> Array:
        r"""The metric \(J^T I J\) of the coordinates, from `metric`, \(I\), of the parameters.

        Where the Jacobian is not square (fixed differences, the simplex) it is that of the
        submodel.
        """
        metric, j = as_float(metric), self.jacobian(coordinates)
        if metric.shape != (j.shape[0], j.shape[0]):
            raise ValueError(
                f"`metric` must have shape {(j.shape[0], j.shape[0])}, that of the parameters, "
                f"but has {metric.shape}."
            )
        return j.T @ metric @ j


def _rows(value: ArrayLike, name: str) -> Array:
    value = as_float(value)
    if value.ndim not in (1, 2) or value.shape[0] < 1:
        raise ValueError(f"`{name}` must have shape (K,) or (K, d), but has {value.shape}.")
    return value


@final
class AbsoluteChart(AbstractChart):
    """The parameters as their own coordinates: the control."""

    def rows(self, components: int) -> int:
        return components

    def contains(self, theta: ArrayLike) -> Array:
        return jnp.all(jnp.isfinite(as_float(theta)))

    @property
    def image(self) -> str:
        return "finite values"

    def _image(self, coordinates: Array) -> Array:
        return coordinates

    def _preimage(self, theta: Array) -> Array:
        return theta
