"""A law on a grid: the steady state of a Fokker-Planck equation."""

import math
from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ..._arguments import as_key
from ...quotient import Domain
from .._errors import Condition
from .._quadrature._evaluate import HostFunction
from .._quadrature._marginal import Marginal, probabilities, uniforms
from ._grading import Grading

_FINE = 16  # levels of a distribution function in every cell
_SUB = 4  # parts of a cell along each axis, for the law of a statistic


@final
class SteadyState(eqx.Module):
    """The steady state of a predictor's Fokker-Planck equation, in one or two coordinates.

    Made by [`gaugebias.laws.fokker_planck`][]. A law as the others, on a box; points have shape
    `(..., *shape)`, densities are with respect to Lebesgue measure (`reference`). Between the nodes
    `log p` is interpolated by cubics.

    - `masses`: probabilities of the cells, shape `(cells,)` or `(cells, cells)`; sum 1.
    - `flux`: the probability current at the nodes, shape `(*cells, m)`, in units of `w` per unit
        time times density: 0 in equilibrium.
    - `entropy_production`: `int J^T D^-1 J / p dw`, a rate (1 / time), with `D` half the covariance
        rate: 0 in equilibrium, positive in a steady state that is kept up by currents, infinite
        with absorbing walls, where the density vanishes and the current does not.
    - `boundary`: `"no-flux"` or `"absorbing"`; `decay_rate`: the rate at which mass is lost (0
        without absorption), the law then being the one given survival.
    - `error`: the largest difference of a marginal distribution function from that of the grid with
        half as many cells; the law's own error is about a third of it.
    - `temperature`: that of the process (`tau/2` for minibatch noise), where it has one.
    """

    name: str = eqx.field(static=True)
    domain: Domain
    conditions: tuple[Condition, ...]
    shape: tuple[int, ...] = eqx.field(static=True)
    gradings: tuple[Grading, ...] = eqx.field(static=True)
    log_values: np.ndarray
    masses: np.ndarray
    flux: np.ndarray
    entropy_production: float
    decay_rate: float
    boundary: str = eqx.field(static=True)
    error: float
    temperature: Array | None = None
    reference: str = eqx.field(static=True, default="lebesgue")

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return math.prod(self.shape)

    def nodes(self) -> np.ndarray:
        """Where `masses` and `flux` are: points of shape `(*cells, m)`."""
        from ._grading import midpoints

        sides = [
            g.x(midpoints(n))[0] for g, n in zip(self.gradings, self.masses.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1)

    def log_density(self, x: ArrayLike) -> Array:
        """Log density at `x`, shape `(...)`; `-inf` outside of the box. Traceable."""
        return self._map(self._log_density, x)

    def score(self, x: ArrayLike) -> Array:
        """Gradient of the log density in `x`, of the shape of `x`. Traceable."""
        return self._map(jax.grad(self._log_density), x)

    def effective_loss(self, x: ArrayLike) -> Array:
        """`-T` times the log density, `T` the temperature of the process.

        **Raises:** `ValueError` where the process has none.
        """
        if self.temperature is None:
            raise ValueError(
                "`effective_loss` needs a temperature, and this process has none: multiply "
                "`-law.log_density(x)` by one of your own."
            )
        return -self.temperature * self.log_density(x)

    def _map(self, fn: Callable, x: ArrayLike) -> Array:
        x = jnp.asarray(x)
        x = x.astype(jnp.result_type(x, float))
        split = self._check(x)
        out = jax.vmap(fn)(x.reshape(-1, *self.shape))
        return out.reshape(*x.shape[:split], *out.shape[1:])

    def _check(self, x: Array | np.ndarray) -> int:
        """Number of batch axes of `x`; `ValueError` where its points are not of the law's shape."""
        split = x.ndim - len(self.shape)
        if split < 0 or x.shape[split:] != self.shape:
            raise ValueError(
                f"`x` must have shape (..., *{self.shape}) for the {self.name} law, but has "
                f"{x.shape}."
            )
        return split

    def _log_density(self, x: Array) -> Array:
        x = x.reshape(-1)
        lower, upper = (jnp.asarray(v, x.dtype) for v in (self.domain.lower, self.domain.upper))
        inside = jnp.all((x >= lower) & (x <= upper))
        values, slope = jnp.asarray(self.log_values, x.dtype), jnp.zeros((), x.dtype)
        for a, grading in enumerate(self.gradings):
            s = grading.s(x[a])
            slope = slope + grading.log_slope(s)
            values = _interpolate(values, s)
        return jnp.where(inside, values - slope, -jnp.inf)

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Distribution function of a law of one coordinate; float64 numpy of shape `(...)`.

        **Raises:** `ValueError` in two dimensions: use `marginal(fn).cdf`.
        """
        line = self._line()
        x = np.asarray(x, np.float64)
        self._check(x)
        return line.cdf(x.reshape(x.shape[: x.ndim - len(self.shape)]))

    def quantile(self, p: ArrayLike) -> np.ndarray:
        """Quantiles of a law of one coordinate, of the shape of `p`; float64 numpy."""
        return self._line().quantile(probabilities(p))

    def _line(self) -> Marginal:
        if self.dimension != 1:
            raise ValueError(
                f"the {self.name} law has {self.dimension} coordinates and no distribution "
                "function on the line: take `marginal(fn)` of a scalar statistic."
            )
        return self._along(0)

    def _along(self, axis: int) -> Marginal:
        others = tuple(a for a in range(self.dimension) if a != axis)
        levels, cumulative = fine_levels(self.masses.sum(axis=others), self.gradings[axis])
        return Marginal(levels, cumulative, f"marginal of {self.name}", self.conditions)

    def coordinate(self, index: tuple[int, ...]) -> Marginal:
        """The law of the entry `x[index]`.

        **Raises:** `ValueError` where there is no such entry.
        """
        index = tuple(index)
        if len(index) != len(self.shape) or any(
            not 0 <= i < n for i, n in zip(index, self.shape, strict=True)
        ):
            raise ValueError(f"`index` {index} is no entry of a point of shape {self.shape}.")
        return self._along(int(np.ravel_multi_index(index, self.shape)) if index else 0)

    def marginal(self, fn: Callable) -> Marginal:
        """The law of the scalar statistic `fn(x)` of one point: errors are those of the cells.

        **Raises:** `ValueError` where `fn` does not give a scalar.
        """
        points, weights = self._parts()
        values = HostFunction(fn, self.shape)(points)
        if values.ndim != 1:
            raise ValueError(f"`fn` must give a scalar, but gives shape {values.shape[1:]}.")
        order = np.argsort(values, kind="stable")
        cumulative = np.cumsum(weights[order]) - 0.5 * weights[order]
        return Marginal(values[order], cumulative, f"marginal of {self.name}", self.conditions)

    def expectation(self, fn: Callable) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of `fn(x)` (of one point, any output shape)."""
        points, weights = self._parts()
        values = HostFunction(fn, self.shape)(points)
        mean = np.tensordot(weights, values, (0, 0))
        return mean, np.tensordot(weights, (values - mean[None]) ** 2, (0, 0))

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Points inside all cells, with probabilities that follow the interpolated density."""
        sides = [(np.arange(_SUB * n) + 0.5) / (_SUB * n) for n in self.masses.shape]
        s = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, self.dimension)
        x = np.stack([g.x(s[:, a])[0] for a, g in enumerate(self.gradings)], axis=-1)
        with jax.enable_x64(True):
            values = jnp.asarray(self.log_values)

            def at(point):
                out = values
                for a in range(self.dimension):
                    out = _interpolate(out, point[a])
                return out

            logs = np.asarray(jax.jit(jax.vmap(at))(jnp.asarray(s)))
        cut = tuple(k for n in self.masses.shape for k in (n, _SUB))
        weights = np.exp(logs - np.max(logs)).reshape(cut)
        inner = tuple(range(1, len(cut), 2))
        weights *= np.expand_dims(self.masses, inner) / weights.sum(axis=inner, keepdims=True)
        return x, weights.ravel()

    def sample(self, key: Array, n: int) -> Array:
        """`n` independent draws, shape `(n, *shape)`; uniform (in graded units) within a cell."""
        key = as_key(key)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"`n` must be a positive integer, but is {n!r}.")
        if self.dimension == 1:
            return jnp.asarray(self._along(0).quantile(uniforms(key, (n,)))).reshape(n, *self.shape)
        u = uniforms(key, (n, 1 + self.dimension))
        total = np.cumsum(self.masses.ravel())
        cell = np.searchsorted(total, u[:, 0] * total[-1], side="right")
        cell = np.unravel_index(np.minimum(cell, total.size - 1), self.masses.shape)
        columns = [
            g.x((cell[a] + u[:, 1 + a]) / self.masses.shape[a])[0]
            for a, g in enumerate(self.gradings)
        ]
        return jnp.asarray(np.stack(columns, axis=-1).reshape(n, *self.shape))

    def to(self, reference: str) -> "SteadyState":
        """The same law with respect to another measure; only `"lebesgue"` is offered here.

        **Raises:** `ValueError` otherwise, with the conversion.
        """
        if reference != "lebesgue":
            raise ValueError(
                f"`reference` must be 'lebesgue' for the {self.name} law, not {reference!r}: the "
                "density with respect to the quotient's volume is `law.log_density(w) + 0.5 * "
                "q.predictor_log_det(w)`."
            )
        return self


def fine_levels(masses: np.ndarray, grading: Grading) -> tuple[np.ndarray, np.ndarray]:
    """Levels `x` and a monotone distribution function at them, from the masses of cells."""
    from scipy.interpolate import PchipInterpolator

    count = len(masses)
    edges = np.arange(count + 1) / count
    s = np.arange(_FINE * count + 1) / (_FINE * count)
    upto = PchipInterpolator(edges, np.concatenate([[0.0], np.cumsum(masses)]))(s)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = grading.x(s)[0]
    x[0], x[-1] = grading.lower, grading.upper
    return x, np.clip(np.maximum.accumulate(upto) / upto[-1], 0.0, 1.0)


def _interpolate(values: Array, s: Array) -> Array:
    """Cubic (Catmull-Rom) along the first axis, nodes at midpoints of cells of (0, 1).

    Linear beyond the outermost nodes.
    """
    count = values.shape[0]
    place = s * count - 0.5
    cell = jnp.clip(jnp.floor(place).astype(int), 0, count - 2)
    u = place - cell
    first, last = 2 * values[0] - values[1], 2 * values[-1] - values[-2]
    padded = jnp.concatenate([first[None], values, last[None]])
    a, b, c, d = (padded[cell + k] for k in range(4))
    cubic = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    line = b + u * (c - b)
    return jnp.where((u >= 0.0) & (u <= 1.0), cubic, line)
