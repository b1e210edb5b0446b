"""What every stationary law offers."""

import abc
import dataclasses
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._arguments import as_key
from ..quotient import Domain
from ._cache import TableCache
from ._errors import Condition
from ._keys import fingerprint
from ._quadrature._axis import Setting
from ._quadrature._coordinates import Coordinates, coordinates_of
from ._quadrature._evaluate import HostFunction
from ._quadrature._line import LineTable, line_table
from ._quadrature._marginal import Marginal, level_masses, probabilities, uniforms
from ._quadrature._moments import SEEN, moments_of, skewness_of
from ._quadrature._tensor import TensorTable, tensor_table


def is_traced(tree) -> bool:
    """Whether a pytree holds tracers."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def in_domain(domain: Domain, x: Array) -> Array:
    """Whether one flat point lies in a domain; traceable."""
    lower, upper = jnp.asarray(domain.lower, x.dtype), jnp.asarray(domain.upper, x.dtype)
    inside = jnp.all((x >= lower) & (x <= upper))
    if domain.ordered and domain.dimension > 1:
        inside = inside & jnp.all(x[:-1] >= x[1:])
    return inside


def anonymous(law):
    """A copy without name, domain and conditions: what its density is computed from.

    Laws that differ in these (and in numbers) then share one compilation.
    """
    copy = object.__new__(type(law))
    for field in dataclasses.fields(law):
        object.__setattr__(copy, field.name, getattr(law, field.name))
    for name, blank in (("name", ""), ("domain", None), ("conditions", ())):
        object.__setattr__(copy, name, blank)
    return copy


@eqx.filter_jit
def _vmapped(law: "AbstractLaw", method: Callable, x: Array) -> Array:
    return jax.vmap(lambda point: method(law, point))(x)


class Statistic(eqx.Module):
    """A sufficient statistic of a law: the derivative of its log density (up to its mean).

    - `name`: `"temperature"` (in `log T`: `l/T` for the four laws, `T` their noise temperature)
        or `"exponent"` (`log V`).

    Calling it takes `x` of shape `(..., *shape)` and gives `(...)`. Its exact mean and variance
    under the law are `law.expectation(statistic)`.
    """

    law: "AbstractLaw"
    name: str = eqx.field(static=True)

    def point(self, x: Array) -> Array:
        """The statistic of one point."""
        law, one = self.law, jnp.ones((), jnp.result_type(float))
        if self.name == "temperature":
            at = law.temperature.astype(one.dtype)
            fn = lambda t: law.log_weight_at(x, t * at, law.exponent)  # noqa: E731
            return jax.jvp(fn, (one,), (one,))[1]
        return law.log_volume(x)

    def kernel(self) -> Callable:
        """`point`, as a function shared by laws that differ in names and numbers only."""
        return Statistic(anonymous(self.law), self.name).point

    def __call__(self, x: ArrayLike) -> Array:
        if is_traced((self, x)):
            return self.law.map_points(_statistics[self.name], x)
        x = np.asarray(x)
        split = self.law.leading(x)
        values = HostFunction(self.kernel(), self.law.shape)(x.reshape(-1, self.law.dimension))
        return jnp.asarray(values.reshape(x.shape[:split]))


class AbstractLaw(eqx.Module):
    """A stationary law of the predictor `w`, with respect to Lebesgue measure in its entries.

    Points `x` have shape `(..., *shape)`, `shape` that of the predictor: `()` for one coordinate.

    - `name`: which of the laws, for tables.
    - `domain`: the [`gaugebias.quotient.Domain`][] of the (ravelled) predictor.
    - `reference`: `"lebesgue"`.
    - `conditions`: the [`gaugebias.laws.Condition`][]s checked when it was made.
    - `temperature`: `T'` of `exp(-l/T')`, a scalar array.
    - `exponent`: `s` of the orbit volume `V^s`, a scalar array.

    Densities are traceable. Up to three dimensions they are normalised by quadrature on the host,
    in float64, once and when first needed; a law whose temperature or other values are traced
    (and one of more dimensions) gives densities up to a constant factor: see `normalised`.
    """

    name: eqx.AbstractVar[str]
    domain: eqx.AbstractVar[Domain]
    reference: eqx.AbstractVar[str]
    conditions: eqx.AbstractVar[tuple[Condition, ...]]
    temperature: eqx.AbstractVar[Array]
    exponent: eqx.AbstractVar[Array]
    shape: eqx.AbstractVar[tuple[int, ...]]
    resolution: eqx.AbstractVar[float]
    cache: eqx.AbstractVar[TableCache]

    @abc.abstractmethod
    def log_weight_at(self, x: Array, temperature: ArrayLike, exponent: ArrayLike) -> Array:
        """Log density of one point up to a constant, at another temperature and exponent.

        The domain is not looked at.
        """

    @abc.abstractmethod
    def log_volume(self, x: Array) -> Array:
        """`log V` of one point: what the exponent multiplies."""

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return math.prod(self.shape)

    @property
    def normalised(self) -> bool:
        """Whether `log_density` is normalised: at most 3 dimensions, and no traced values."""
        return self.dimension <= 3 and not is_traced(self)

    def leading(self, x: Array | np.ndarray) -> int:
        """How many leading axes `x` has before those of a point; `ValueError` where none fit."""
        split = x.ndim - len(self.shape)
        if split < 0 or x.shape[split:] != self.shape:
            raise ValueError(
                f"`x` must have shape (..., *{self.shape}) for the {self.name} law, but has "
                f"{x.shape}."
            )
        return split

    def map_points(self, method: Callable, x: ArrayLike) -> Array:
        """Map `method(law, point)` over the leading axes of `x`, shape `(..., *shape)`.

        **Raises:** `ValueError` naming `x` where its trailing axes are not `shape`.
        """
        x = jnp.asarray(x)
        x = x.astype(jnp.result_type(x, float)) if not eqx.is_inexact_array(x) else x
        split = self.leading(x)
        out = _vmapped(self, method, x.reshape(-1, *self.shape))
        return jax.tree.map(lambda v: v.reshape(*x.shape[:split], *v.shape[1:]), out)

    def log_weight(self, x: ArrayLike) -> Array:
        """Log density of one point up to a constant, whether or not it lies in the domain."""
        return self.log_weight_at(jnp.asarray(x), self.temperature, self.exponent)

    def log_density(self, x: ArrayLike) -> Array:
        """Log density at `x`, shape `(...)`; `-inf` outside of the domain, NaN at NaN.

        Traceable and differentiable. See `normalised` for its constant.
        """
        values = self.map_points(_inside_log_weight, x)
        if not self.normalised:
            return values
        return values - jnp.asarray(self.log_normaliser(), values.dtype)

    def score(self, x: ArrayLike) -> Array:
        """Gradient of the log density in `x`, of the shape of `x`. Traceable."""
        return self.map_points(_score, x)

    def effective_loss(self, x: ArrayLike) -> Array:
        """`-T` times the log density, up to a constant: `l + (T/2) log det K - s T log V`.

        `T` is `temperature` (for projected noise `alpha^2 T`).
        """
        return self.map_points(_effective_loss, x)

    def statistic(self, name: str) -> Statistic:
        """The sufficient statistic of the score test for `"temperature"` or `"exponent"`.

        **Raises:** `ValueError` for another `name`.
        """
        if name not in ("temperature", "exponent"):
            raise ValueError(f'`name` must be "temperature" or "exponent", not {name!r}.')
        return Statistic(self, name)

    def log_normaliser(self) -> float:
        """Log of the integral of `exp(log_weight)` over the domain.

        **Raises:** `ValueError` in more than three dimensions or with traced values;
        [`gaugebias.laws.NotNormalisable`][] where it diverges.
        """
        return self.table().log_normaliser

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Distribution function of a law of one coordinate; float64 numpy of shape `(...)`.

        **Raises:** `ValueError` in more dimensions: use `marginal(fn).cdf`.
        """
        return self._line().cdf(self._scalars(x))

    def quantile(self, p: ArrayLike) -> np.ndarray:
        """Quantiles of a law of one coordinate, of the shape of `p`; float64 numpy.

        **Raises:** `ValueError` in more dimensions, or for `p` outside of [0, 1].
        """
        return self._line().quantile(probabilities(p))

    def expectation(self, fn: Callable) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of `fn(x)` (of one point, any output shape) by quadrature.

        The variance is `inf` where values of probability below 1e-15 decide over 1e-3 of it.

        **Raises:** `ValueError` in more than three dimensions, or where they decide the mean.
        """
        return moments_of(*self.distribution(fn), self.name)

    def skewness(self, fn: Callable) -> np.ndarray:
        """E[(fn - E fn)^3] / Var(fn)^(3/2) of `fn(x)` (of one point) by quadrature.

        **Raises:** as `expectation`.
        """
        return skewness_of(*self.distribution(fn))

    def distribution(self, fn: Callable) -> tuple[np.ndarray, np.ndarray]:
        """Values of the scalar `fn(x)` (of one point) at the quadrature nodes and their weights,
        shape `(nodes,)` each: what its cumulants are sums of.

        **Raises:** `ValueError` in more than three dimensions.
        """
        if not isinstance(fn, Statistic):
            return self._values(fn)
        return self._kept(("distribution", fn.name), lambda: self._values(fn.kernel()))

    def _values(self, fn: Callable) -> tuple[np.ndarray, np.ndarray]:
        x, weights = self._nodes()
        seen = weights > SEEN
        values, weights = HostFunction(fn, self.shape)(x[seen]), weights[seen]
        return values, weights / np.sum(weights)

    def _kept(self, what: tuple, make: Callable):
        """`make()`, kept for as long as the law has these values."""
        key = (*what, fingerprint(self))
        if key not in self.cache.tables:
            self.cache.tables[key] = make()
        return self.cache.tables[key]

    def coordinate(self, index: tuple[int, ...]) -> Marginal:
        """The law of the entry `x[index]`, computed once; at most three dimensions.

        **Raises:** as `marginal`; `ValueError` where there is no such entry.
        """
        if len(index) != len(self.shape) or any(
            not 0 <= i < n for i, n in zip(index, self.shape, strict=True)
        ):
            raise ValueError(f"`index` {index} is no entry of a point of shape {self.shape}.")
        return self._kept(("coordinate", index), lambda: self.marginal(_Entry(index)))

    def marginal(self, fn: Callable) -> Marginal:
        """The law of the scalar statistic `fn(x)` of one point, at most three dimensions.

        **Raises:** `ValueError` in more dimensions, or where `fn` is not a finite scalar.
        """
        host = HostFunction(fn, self.shape)

        def statistic(points):
            values = host(points)
            if values.ndim != 1:
                raise ValueError(f"`fn` must give a scalar, but gives shape {values.shape[1:]}.")
            return values

        levels, cumulative = level_masses(self.table(), statistic)
        return Marginal(levels, cumulative, f"marginal of {self.name}", self.conditions)

    def sample(self, key: Array, n: int) -> Array:
        """`n` draws, shape `(n, *shape)`.

        Independent in up to three dimensions (inverse distribution functions). Above, NUTS from
        `blackjax` in unconstrained coordinates, a few chains adapted by windows and thinned to one
        draw per two autocorrelation times (nearly independent): see
        [`gaugebias.laws.sample_nuts`][].
        """
        key = as_key(key)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"`n` must be a positive integer, but is {n!r}.")
        if self.dimension > 3:
            from ._nuts import sample_nuts

            return sample_nuts(self, key, n)
        table = self.table()
        if isinstance(table, LineTable):
            draws = table.quantile(uniforms(key, (n,)))
        else:
            draws = table.sample(uniforms(key, (n, self.dimension)))
        return jnp.asarray(draws.reshape(n, *self.shape))

    def table(self) -> LineTable | TensorTable:
        """The quadrature table (host side), made once for given values and kept.

        **Raises:** as `log_normaliser`.
        """
        if is_traced(self):
            raise ValueError(
                f"the {self.name} law holds traced values, and quadrature runs on the host: make "
                "the law outside of `jit` and close over it, or use `log_density` and `score`."
            )
        if self.dimension > 3:
            raise ValueError(
                f"the {self.name} law has {self.dimension} coordinates, and quadrature covers at "
                "most 3: draw samples, or take the law of fewer coordinates (`spectral`)."
            )
        return self._kept(("table",), self._tabulate)

    def _tabulate(self) -> LineTable | TensorTable:
        domain, reach = self.domain, 100.0 if self.resolution < 1e-20 else 14.0
        if self.dimension == 1:
            setting = Setting(self.name, self.resolution, reach, 16, self._tolerance(1e-13))
            fn = HostFunction(anonymous(self).log_weight, self.shape)
            return line_table(fn, domain.lower[0], domain.upper[0], domain.breaks[0], setting)
        coordinates = coordinates_of(domain)
        weight = InCoordinates(anonymous(self), coordinates)
        finest, order, depth, width = (
            (1e-8, 10, 36.0, 6.0) if self.dimension == 2 else (1e-4, 6, 18.0, 9.0)
        )
        near = max(self.resolution, 1e-12 if self.dimension == 2 else 1e-9)
        tolerance = self._tolerance(finest)
        setting = Setting(self.name, near, min(reach, 60.0), order, tolerance, depth, width)
        return tensor_table(HostFunction(weight, (self.dimension,)), coordinates, setting)

    def _tolerance(self, finest: float) -> float:
        return finest if self.resolution < 1e-7 else max(finest, 1e-8)

    def _line(self) -> LineTable:
        table = self.table() if self.dimension == 1 else None
        if not isinstance(table, LineTable):
            raise ValueError(
                f"the {self.name} law has {self.dimension} coordinates and no distribution "
                "function on the line: take `marginal(fn)` of a scalar statistic."
            )
        return table

    def _scalars(self, x: ArrayLike) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        return x.reshape(x.shape[: self.leading(x)])

    def _nodes(self) -> tuple[np.ndarray, np.ndarray]:
        x, weights = self.table().nodes()
        return x.reshape(len(weights), -1), weights


def _inside_log_weight(law: AbstractLaw, x: Array) -> Array:
    inside = in_domain(law.domain, x.reshape(-1))
    outside = jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, -jnp.inf)
    return jnp.where(inside, law.log_weight(x), outside)


class _Entry(eqx.Module):
    index: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        return x[self.index]


class InCoordinates(eqx.Module):
    """The log weight of a law as a density of the coordinates of its domain."""

    law: AbstractLaw
    coordinates: Coordinates = eqx.field(static=True)

    def __call__(self, y: Array) -> Array:
        x = self.coordinates.x(y).reshape(self.law.shape)
        return self.law.log_weight(x) + self.coordinates.log_jacobian(y)


def _score(law: AbstractLaw, x: Array) -> Array:
    return jax.grad(law.log_weight)(x)


def _effective_loss(law: AbstractLaw, x: Array) -> Array:
    return -law.temperature * law.log_weight(x)


_statistics = {
    "temperature": lambda law, x: Statistic(law, "temperature").point(x),
    "exponent": lambda law, x: Statistic(law, "exponent").point(x),
}
