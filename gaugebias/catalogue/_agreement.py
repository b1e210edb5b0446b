"""Closed forms against automatic and finite differences of the group's flow and the predictor."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ._base import AbstractModel

AUTODIFF, DIFFERENCE = 1e-9, 1e-6
"""Largest relative differences of the two from a closed form that they agree with."""

_WEIGHTS = np.array([45.0, -9.0, 1.0]) / 60.0
"""Of the sixth-order central difference, for the steps 1, 2 and 3."""


class Agreement(NamedTuple):
    """One closed form and what it should be, at one point of the slice.

    - `quantity`: `"log det S"`, `"log det K"` or `"log V"`.
    - `closed`: the model's closed form.
    - `autodiff`: from the Jacobian of the flow (of the predictor) by forward differentiation.
    - `difference`: from their sixth-order central differences. NaN, as `autodiff`, where the
        Jacobian does not have the rank that the model states.
    """

    quantity: str
    closed: float
    autodiff: float
    difference: float

    @property
    def errors(self) -> tuple[float, float]:
        """Differences of `autodiff` and `difference` from `closed`, relative to at least 1."""
        scale = max(1.0, abs(self.closed))
        return abs(self.autodiff - self.closed) / scale, abs(self.difference - self.closed) / scale

    @property
    def holds(self) -> bool:
        """Whether they are below 1e-9 and 1e-6."""
        by_autodiff, by_difference = self.errors
        return by_autodiff <= AUTODIFF and by_difference <= DIFFERENCE


def agreement(model: AbstractModel, params: PyTree) -> tuple[Agreement, ...]:
    """Three ways to `log det S`, `log det K` and `log V` at the representative of a predictor.

    Neither of the two Jacobians uses the generators or the closed forms: `S` comes from the group's
    **flow** at the identity, `K` from the predictor, both at `lift(invariants(params))`, and the
    log (pseudo-)determinants from their singular values.

    **Arguments:** `model`, and `params`, one parameter point (only its predictor matters).

    **Returns:** three [`Agreement`][]s.

    **Raises:** `ValueError` unless float64 is enabled.

    !!! example

        ```python
        import jax
        from gaugebias.catalogue import Radial, agreement

        jax.config.update("jax_enable_x64", True)
        model = Radial(3)
        all(line.holds for line in agreement(model, model.init(jax.random.key(0))))   # True
        ```
    """
    if not jax.config.read("jax_enable_x64"):
        raise ValueError(
            "`agreement` needs float64: call `jax.config.update('jax_enable_x64', True)` first."
        )
    w = model.invariants(params)
    point = model.lift(w)
    flat, unravel = ravel_pytree(point)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), model.action.algebra(point))
    zero, coefficients = ravel_pytree(zeros)

    def flow(c: Array) -> Array:
        return ravel_pytree(model.action.flow(point, coefficients(c)))[0]

    def predict(x: Array) -> Array:
        return jnp.ravel(model.invariants(unravel(x)))

    d = model.dimensions
    orbit = _both(flow, zero, d.orbit)
    gram = _both(predict, flat, d.quotient)
    volume = tuple(0.5 * each for each in orbit)
    return (
        Agreement("log det S", float(model.log_det_orbit_gram(w)), *orbit),
        Agreement("log det K", float(model.log_det_gram(w)), *gram),
        Agreement("log V", float(model.log_orbit_volume(w)), *volume),
    )


def _both(fn: Callable, at: Array, rank: int) -> tuple[float, float]:
    """`log pdet` of the Jacobian of `fn` at `at`, by autodiff and by central differences."""
    exact = np.asarray(jax.jacfwd(fn)(at)).T
    step = 1e-3 * max(float(jnp.sqrt(jnp.mean(jnp.square(at)))), 1e-3 if jnp.any(at != 0) else 1.0)
    shifts = step * np.array([1.0, 2.0, 3.0, -1.0, -2.0, -3.0])
    moved = np.asarray(at) + shifts[:, None, None] * np.eye(at.size)
    values = np.asarray(jax.vmap(fn)(jnp.asarray(moved.reshape(-1, at.size))))
    values = values.reshape(2, 3, at.size, -1)
    approximate = np.einsum("k,kax->ax", _WEIGHTS / step, values[0] - values[1])
    return _log_pdet(exact, rank), _log_pdet(approximate, rank)


def _log_pdet(frame: np.ndarray, rank: int) -> float:
    """Twice the sum of the logs of the `rank` largest singular values; NaN at another rank."""
    if not np.all(np.isfinite(frame)):
        return float("nan")
    s = np.linalg.svd(frame, compute_uv=False)
    if rank > s.size or np.any(s[rank:] > 1e-8 * s[0]) or np.any(s[:rank] <= 1e-8 * s[0]):
        return float("nan")
    return float(2.0 * np.sum(np.log(s[:rank])))
