"""The maps from parameters to the predictor that designs are made of."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ._monotone import MonotoneMap


class AbstractMap(eqx.Module):
    """`params -> w`, with a representative `w -> params`. All traceable, of one point."""

    @abc.abstractmethod
    def __call__(self, params: PyTree) -> Array:
        """The predictor."""

    @abc.abstractmethod
    def lift(self, w: Array) -> PyTree:
        """Parameters of the predictor `w`: the balanced ones where the map is redundant."""

    @abc.abstractmethod
    def beyond(self, params: PyTree) -> Array:
        """Whether an entry lies beyond an infinity of `w` that is met at finite parameters."""


class Frame(eqx.Module):
    """Coordinates `d = D w` of vectors; the first `count` are penalised.

    - `back`, `forth`: square matrices, `w = back d`, `d = forth w`; `None` for the identity.
    """

    back: Array | None
    forth: Array | None
    count: int | None = eqx.field(static=True)

    def to_w(self, d: Array) -> Array:
        return d if self.back is None else self.back.astype(d.dtype) @ d

    def to_d(self, w: Array) -> Array:
        return w if self.forth is None else self.forth.astype(w.dtype) @ w

    def split(self, map: Callable, d: Array) -> Array:
        """`map` on the penalised coordinates, the identity on the others."""
        if self.count is None:
            return map(d)
        return jnp.concatenate([map(d[: self.count]), d[self.count :]])

    def seen(self, d: Array) -> Array:
        """The penalised coordinates."""
        return d if self.count is None else d[: self.count]


class Coordinates(AbstractMap):
    """`w = h(u)` entry by entry, or `w = D^+ h(u)`; parameters: the array `u`."""

    map: MonotoneMap
    frame: Frame

    def __call__(self, params: Array) -> Array:
        return self.frame.to_w(self.frame.split(self.map, params))

    def lift(self, w: Array) -> Array:
        return self.frame.split(self.map.inverse, self.frame.to_d(w))

    def beyond(self, params: Array) -> Array:
        return jnp.any(self.map.beyond(self.frame.seen(params)))


class Products(AbstractMap):
    """`w = h(x)` of `x = sign(uv) sqrt(2 |uv|)`, the arc length along the slice `|u| = |v|`.

    Parameters: `{"u": ..., "v": ...}`. On the slice `K = h'(x)^2`, as for `w = h(u)`; unpenalised
    coordinates are products `uv` of plain arc length too.
    """

    map: MonotoneMap
    frame: Frame

    def _length(self, params: PyTree) -> Array:
        z = params["u"] * params["v"]
        size = jnp.abs(z)
        positive = size > 0.0
        root = jnp.where(positive, jnp.sqrt(2.0 * jnp.where(positive, size, 1.0)), 0.0)
        return jnp.sign(z) * root

    def __call__(self, params: PyTree) -> Array:
        return self.frame.to_w(self.frame.split(self.map, self._length(params)))

    def beyond(self, params: PyTree) -> Array:
        return jnp.any(self.map.beyond(self.frame.seen(self._length(params))))

    def lift(self, w: Array) -> PyTree:
        x = self.frame.split(self.map.inverse, self.frame.to_d(w))
        size = jnp.abs(x) / jnp.sqrt(2.0).astype(x.dtype)
        return {"u": size, "v": jnp.sign(x) * size}


class Factors(AbstractMap):
    """`w = u_1 * ... * u_N`, entry by entry; parameters: the tuple of factors."""

    depth: int = eqx.field(static=True)
    frame: Frame

    def __call__(self, params: PyTree) -> Array:
        d = params[0]
        for u in params[1:]:
            d = d * u
        return self.frame.to_w(d)

    def lift(self, w: Array) -> PyTree:
        d = self.frame.to_d(w)
        size = jnp.abs(d) ** (1.0 / self.depth)
        signed = jnp.sign(d) * size
        if self.depth % 2:
            return (signed,) * self.depth
        return (size,) * (self.depth - 1) + (signed,)

    def beyond(self, params: PyTree) -> Array:
        return jnp.zeros((), bool)


class Radial(AbstractMap):
    """`w = g(N(x)) x / N(x)` for a norm `N`, over leading axes one by one; parameters: `x`.

    In the polar coordinates of the norm, `dx = r^(D-1) dr dm` with a measure `dm` on the sphere of
    the norm, whatever the norm: so `det dw/dx = g'(r) (g/r)^(D-1)`, and a radial function is
    enough for every norm.
    """

    map: MonotoneMap
    norm: Callable
    core: int = eqx.field(static=True)

    def _along(self, x: Array, radius: Callable) -> Array:
        groups = x.reshape(-1, *x.shape[x.ndim - self.core :])

        def one(point: Array) -> Array:
            size = self.norm(point)
            positive = size > 0.0
            safe = jnp.where(positive, size, 1.0)
            return point * jnp.where(positive, radius(safe) / safe, 0.0)

        return jax.vmap(one)(groups).reshape(x.shape)

    def __call__(self, params: Array) -> Array:
        return self._along(params, self.map)

    def lift(self, w: Array) -> Array:
        return self._along(w, self.map.inverse)

    def beyond(self, params: Array) -> Array:
        sizes = jax.vmap(self.norm)(params.reshape(-1, *params.shape[params.ndim - self.core :]))
        return jnp.any(self.map.beyond(sizes))
