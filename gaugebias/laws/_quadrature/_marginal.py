"""The law of a scalar statistic, by integrating a tabulated law over its level sets."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ...quotient import Domain
from .._errors import Condition
from ._cells import Cells, gauss_legendre, integral_to
from ._line import LineTable
from ._tensor import TensorTable

# Fragments of a cell, by dimension: their width decides the accuracy of the levels.
_FRAGMENTS = {1: 96, 2: 24, 3: 8}
# Fragments of less probability than this are left out, by dimension: at most 1e-5 in all.
_LEAST = {2: 1e-13, 3: 1e-11}


class Marginal(eqx.Module):
    """The law of a scalar statistic of a law, on the line.

    Made by `law.marginal(fn)`. Its distribution function is piecewise linear between the levels
    of the quadrature; errors are of the order of 1e-5, in three dimensions 1e-4.

    - `name`, `reference` (`"lebesgue"`), `conditions`, `domain`: as for a law.
    """

    levels: np.ndarray
    cumulative: np.ndarray
    name: str = eqx.field(static=True)
    conditions: tuple[Condition, ...] = ()
    reference: str = eqx.field(static=True, default="lebesgue")

    @property
    def domain(self) -> Domain:
        """From the smallest to the largest level seen by the quadrature."""
        return Domain.line(float(self.levels[0]), float(self.levels[-1]))

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Distribution function at levels of any shape; float64 numpy."""
        return np.asarray(np.interp(np.asarray(x, float), self.levels, self.cumulative))

    def quantile(self, p: ArrayLike) -> np.ndarray:
        """Quantiles at probabilities of any shape; float64 numpy.

        **Raises:** `ValueError` where a probability lies outside of [0, 1].
        """
        return np.asarray(np.interp(probabilities(p), self.cumulative, self.levels))

    def sample(self, key: Array, n: int) -> Array:
        """`n` independent draws, shape `(n,)`."""
        return jnp.asarray(self.quantile(uniforms(key, (n,))))

    def moments(self) -> tuple[float, float]:
        """Mean and variance."""
        mass, mid = np.diff(self.cumulative), 0.5 * (self.levels[1:] + self.levels[:-1])
        mean = float(np.sum(mass * mid))
        within = np.diff(self.levels) ** 2 / 12.0
        return mean, float(np.sum(mass * ((mid - mean) ** 2 + within)))


def probabilities(p: ArrayLike) -> np.ndarray:
    """Check probabilities, as float64 numpy."""
    p = np.asarray(p, dtype=np.float64)
    if not np.all((p >= 0.0) & (p <= 1.0)):
        raise ValueError("`p` must hold probabilities between 0 and 1.")
    return p


def uniforms(key: Array, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform draws in (0, 1) with 53 bits, whatever the precision jax is set to."""
    with jax.enable_x64(True):
        u = np.asarray(jax.random.uniform(key, shape, dtype=jnp.float64))
    return np.clip(u, 2.0**-54, 1.0 - 2.0**-53)


def _fragments(cells: Cells, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the fragments of every cell in `u`, and node values to the fragments' masses."""
    edges = np.linspace(-1.0, 1.0, count + 1)
    _, _, to_legendre = gauss_legendre(cells.order)
    identity = np.eye(cells.order)
    upto = np.stack(
        [integral_to(np.tile(identity[k], (len(edges), 1)), edges) for k in range(cells.order)],
        axis=1,
    )
    return edges, np.diff(upto @ to_legendre, axis=0)


def level_masses(
    table: LineTable | TensorTable, statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Levels and distribution function of a statistic of points `(N, m)`."""
    if isinstance(table, LineTable):
        edges, _ = _fragments(table.cells, _FRAGMENTS[1])
        x = table.cells.x(table.cells.t(edges))
        values = statistic(x.reshape(-1, 1)).reshape(x.shape)
        count = len(table.masses)
        inner = np.stack(
            [integral_to(table.coefficients, np.full(count, e)) for e in edges], axis=1
        )
        return _accumulate(values[:, :-1], values[:, 1:], np.diff(inner, axis=1))
    along = _steepest(table, statistic)
    cells = table.axes[along]
    edges, to_mass = _fragments(cells, _FRAGMENTS[len(table.axes)])
    grids = [
        table.axis_points(a, edges if a == along else gauss_legendre(c.order)[0])
        for a, c in enumerate(table.axes)
    ]
    density = table.values
    for a, c in enumerate(table.axes):
        if a != along:
            w = np.tile(gauss_legendre(c.order)[1], len(c.begin))
            density = density * w.reshape([-1 if b == a else 1 for b in range(density.ndim)])
    density = np.moveaxis(density, along, -1)
    density = density.reshape(*density.shape[:-1], len(cells.begin), cells.order)
    masses = density @ to_mass.T
    least = _LEAST[len(table.axes)]
    needed = np.zeros((*masses.shape[:-1], len(edges)), bool)
    needed[..., :-1] |= masses > least
    needed[..., 1:] |= masses > least
    y = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1)
    y = np.moveaxis(y, along, -2).reshape(*needed.shape, len(grids))
    values = np.zeros(needed.shape)
    values[needed] = statistic(table.coordinates.x(y[needed]))
    masses = np.where(masses > least, masses, 0.0)
    return _accumulate(values[..., :-1], values[..., 1:], masses)


def _steepest(table: TensorTable, statistic: Callable) -> int:
    """The axis along which the statistic spreads most: its lines are cut into fragments."""
    x, weights = table.nodes()
    shape = table.values.shape
    values, weights = statistic(x).reshape(shape), weights.reshape(shape)
    spread = []
    for a in range(len(shape)):
        w = weights.sum(axis=a, keepdims=True)
        mean = (weights * values).sum(axis=a, keepdims=True) / np.where(w > 0, w, 1.0)
        spread.append(float(np.sum(weights * (values - mean) ** 2)))
    return int(np.argmax(spread))


def _accumulate(a: np.ndarray, b: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distribution function of masses spread evenly between the levels `a` and `b`."""
    low, high = np.minimum(a, b).ravel(), np.maximum(a, b).ravel()
    mass = np.maximum(mass.ravel(), 0.0)
    keep = mass > 1e-18
    low, high, mass = low[keep], high[keep], mass[keep] / np.sum(mass[keep])
    if not np.all(np.isfinite(low) & np.isfinite(high)):
        raise ValueError("`fn` is not finite on the support of the law.")
    # Fragments on one level would be atoms: they get a width far below what a test can see.
    mid = 0.5 * (low + high)
    order = np.argsort(mid)
    bulk = mid[order][np.searchsorted(np.cumsum(mass[order]), [1e-3, 0.999])]
    width = np.maximum(high - low, max(1e-9 * float(bulk[1] - bulk[0]), 1e-300))
    rate = mass / width
    levels = np.concatenate([low, low + width])
    changes = np.concatenate([rate, -rate])
    order = np.argsort(levels, kind="stable")
    levels, changes = levels[order], changes[order]
    # Distribution function at each level: slopes accumulate, then areas.
    slopes = np.maximum(np.cumsum(changes)[:-1], 0.0)
    cumulative = np.concatenate([[0.0], np.cumsum(slopes * np.diff(levels))])
    return levels, cumulative / cumulative[-1]
