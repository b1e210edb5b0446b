"""Closed forms against automatic differentiation and against finite differences."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..quotient import log_orbit_volume, predictor_jacobian
from ..symmetry import orbit_jacobian
from ._base import AbstractModel

AUTODIFF, DIFFERENCE = 1e-9, 1e-6
"""Largest relative differences of the two from a closed form that they agree with."""

_STEPS = np.array([1.0, -1.0, 2.0, -2.0, 3.0, -3.0])
_WEIGHTS = np.array([45.0, -45.0, -9.0, 9.0, 1.0, -1.0]) / 60.0
"""The sixth-order central difference."""


class Agreement(NamedTuple):
    """One closed form and what it should be, at one point of the slice.

    - `quantity`: `"log det S"`, `"log det K"` or `"log V"`.
    - `closed`: the model's closed form.
    - `autodiff`: from the generators, from the predictor's derivative, and, for `log V`, by
        [`gaugebias.quotient.log_orbit_volume`][].
    - `difference`: from sixth-order central differences of the group's flow and of the predictor.
        NaN, as `autodiff`, where a Jacobian does not have the rank that the model states.
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

    At `lift(invariants(params))`, by the model's closed forms and from the singular values of two
    pairs of Jacobians: those of autodiff, and central differences of the **flow** and of the
    predictor, which use neither generators nor derivatives.

    **Arguments:** `model`, and `params`, one parameter point (only its predictor matters).

    **Returns:** three `Agreement`s.

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
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    # The program runs once: optimising it would take longer than it saves.
    evaluate = jax.jit(lambda p: _evaluate(model, p), compiler_options=options)
    values = jax.tree.map(np.asarray, evaluate(jax.tree.map(jnp.asarray, params)))
    closed, volume, frames, predictors = values
    ranks = model.dimensions.orbit, model.dimensions.quotient
    orbit = [_log_pdet(frame, ranks[0]) for frame in frames]
    gram = [_log_pdet(frame, ranks[1]) for frame in predictors]
    return (
        Agreement("log det S", float(closed[0]), *orbit),
        Agreement("log det K", float(closed[1]), *gram),
        Agreement("log V", float(closed[2]), float(volume), 0.5 * orbit[1]),
    )


def _evaluate(model: AbstractModel, params: PyTree):
    """Closed forms, the package's volume, and both Jacobians of the flow and the predictor."""
    w = model.invariants(params)
    point = model.lift(w)
    flat, unravel = ravel_pytree(point)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), model.action.algebra(point))
    zero, coefficients = ravel_pytree(zeros)

    def flow(c: Array) -> Array:
        return ravel_pytree(model.action.flow(point, coefficients(c)))[0]

    def predict(x: Array) -> Array:
        return jnp.ravel(model.invariants(unravel(x)))

    closed = model.log_det_orbit_gram(w), model.log_det_gram(w), model.log_orbit_volume(w)
    size = jnp.sqrt(jnp.mean(jnp.square(flat)))
    return (
        closed,
        log_orbit_volume(model.action, point),
        (orbit_jacobian(model.action, point), _differences(flow, zero, jnp.ones(())).T),
        (predictor_jacobian(model.invariants, point), _differences(predict, flat, size)),
    )


def _differences(fn: Callable, at: Array, scale: Array) -> Array:
    """The transposed Jacobian of `fn` at `at` by central differences of step `scale/1000`."""
    step = 1e-3 * scale

    def column(direction: Array) -> Array:
        sides = jax.vmap(lambda k: fn(at + k * step * direction))(jnp.asarray(_STEPS))
        return jnp.sum(jnp.asarray(_WEIGHTS)[:, None] * sides, axis=0) / step

    return jax.vmap(column)(jnp.eye(at.size, dtype=at.dtype))


def _log_pdet(frame: np.ndarray, rank: int) -> float:
    """Twice the sum of the logs of the `rank` largest singular values; NaN at another rank."""
    if not np.all(np.isfinite(frame)):
        return float("nan")
    s = np.linalg.svd(frame, compute_uv=False)
    floor = 1e-8 * s.max(initial=0.0)
    if rank > s.size or np.any(s[rank:] > floor) or np.any(s[:rank] <= floor):
        return float("nan")
    return float(2.0 * np.sum(np.log(s[:rank])))
