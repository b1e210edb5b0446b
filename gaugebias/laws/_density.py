"""A law given by its density in closed form."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from ..quotient import Domain
from ._cache import TableCache
from ._checks import as_scalar, as_temperature
from ._errors import Condition
from ._law import AbstractLaw


class DensityLaw(AbstractLaw):
    """A law given by a density of your own, with respect to Lebesgue measure.

    **Arguments:**

    - `weight`: `(x, temperature) -> log density` of one point, up to a constant, without the
        volume factor.
    - `domain`: where it lives.
    - `temperature`: passed to `weight`, and moved by the score test for temperature.
    - `volume`: optional `x -> log V`; the density is `exp(weight) V^exponent`.
    - `exponent`: the power of `V`.
    - `name`, `conditions`: for tables.
    - `shape`: of one point; default `()` for one coordinate and `(m,)` for more.
    - `resolution`: distance to a break below which the density is continued as a power law.

    **Raises:** `ValueError` for a temperature that is not positive and finite.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        law = gb.laws.DensityLaw(
            lambda w, T: -0.5 * (w - 1) ** 2 / T - 0.5 * jnp.log(jnp.abs(w)),
            gb.quotient.Domain.line(lower=0.0), 0.1,
        )
        law.cdf(1.0)
        ```
    """

    weight: Callable
    domain: Domain
    temperature: Array
    volume: Callable | None
    exponent: Array
    name: str = eqx.field(static=True)
    conditions: tuple[Condition, ...]
    shape: tuple[int, ...] = eqx.field(static=True)
    resolution: float = eqx.field(static=True)
    reference: str = eqx.field(static=True)
    cache: TableCache = eqx.field(static=True, repr=False)

    def __init__(
        self,
        weight: Callable,
        domain: Domain,
        temperature: ArrayLike = 1.0,
        *,
        volume: Callable | None = None,
        exponent: ArrayLike = 0.0,
        name: str = "density",
        conditions: tuple[Condition, ...] = (),
        shape: tuple[int, ...] | None = None,
        resolution: float = 1e-60,
    ):
        self.weight = weight
        self.domain = domain
        self.temperature = as_temperature(temperature)
        self.volume = volume
        self.exponent = as_scalar(exponent, "exponent")
        self.name = name
        self.conditions = tuple(conditions)
        default = () if domain.dimension == 1 else (domain.dimension,)
        self.shape = default if shape is None else tuple(shape)
        self.resolution = float(resolution)
        self.reference = "lebesgue"
        self.cache = TableCache()

    def log_weight_at(self, x: Array, temperature: ArrayLike, exponent: ArrayLike) -> Array:
        value = self.weight(x, temperature)
        if self.volume is None:
            return value
        return value + exponent * self.volume(x)

    def log_volume(self, x: Array) -> Array:
        return jnp.zeros(()) if self.volume is None else self.volume(x)
