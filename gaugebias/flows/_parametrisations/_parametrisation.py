"""Parametrisations `x = g(w)` that act entry by entry."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PyTree

from .._potentials._potential import AbstractSeparablePotential, Interval, as_float


class AbstractParametrisation(eqx.Module):
    r"""A parametrisation \(x_i = g(w_i)\) of predictors by parameters, entry by entry.

    Gradient flow \(\dot w = -\nabla_w L(g(w))\) moves the predictor by
    \(\dot x = -J J^T \nabla L(x)\), with \(J J^T\) diagonal here: a mirror flow of the potential
    whose second derivative is `1 / gram`.

    Parameters are an array (elementwise maps) or a tuple of arrays of one shape (redundant ones).
    """

    @property
    @abc.abstractmethod
    def domain(self) -> Interval:
        """Ends of the open interval of predictors that are reached."""

    @abc.abstractmethod
    def __call__(self, params: PyTree) -> Array:
        """The predictor `x`, of the shape of each array of parameters."""

    @abc.abstractmethod
    def gram(self, params: PyTree) -> Array:
        """The diagonal of `J J^T`, of the shape of `x`."""

    @abc.abstractmethod
    def potential(self, start: PyTree) -> AbstractSeparablePotential:
        """The potential of the mirror flow that starts at the parameters `start`.

        **Raises:** `ValueError` where `start` is outside the domain, with the reason.
        """


def check_entries(good: Array, name: str, must: str) -> None:
    """`ValueError` naming the first entry that is not `good`, where values are concrete."""
    if isinstance(good, Tracer):
        return
    flat = np.ravel(np.asarray(good))
    if not flat.all():
        bad = int(np.argmin(flat))
        where = f" (entry {bad})" if flat.size > 1 else ""
        raise ValueError(f"`{name}` {must}{where}.")


def pair(params: PyTree, name: str = "params") -> tuple[Array, Array]:
    """Two arrays of one shape from the parameters of a redundant map."""
    if not isinstance(params, (tuple, list)) or len(params) != 2:
        raise ValueError(f"`{name}` must be a pair of arrays (u, v), but is {type(params)}.")
    u, v = as_float(params[0]), as_float(params[1])
    if u.shape != v.shape:
        raise ValueError(f"`{name}` must hold two arrays of one shape: {u.shape} and {v.shape}.")
    return u, v


def everywhere() -> Interval:
    """The whole line."""
    return -jnp.inf, jnp.inf
