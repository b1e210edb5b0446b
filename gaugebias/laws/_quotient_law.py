"""The law `exp(-l/T) det K^(-1/2) V^s dw` of a quotient."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, PyTree

from ..quotient import Domain, MomentMapGauge, Quotient
from ._cache import TableCache
from ._errors import Condition, LawRefused
from ._law import AbstractLaw
from ._split import Split
from ._volumes import AbstractVolume, GaugeVolume


class QuotientLaw(AbstractLaw):
    """`p(w) ~ exp(-l(w)/T) det K(w)^(-1/2) V(w)^s` with respect to Lebesgue measure `dw`.

    Made by [`gaugebias.laws.horizontal`][], [`gaugebias.laws.pushforward`][],
    [`gaugebias.laws.projected`][] and [`gaugebias.laws.conditioned`][], which check its
    conditions, and by [`gaugebias.laws.minibatch`][], for which `potential` is
    `int l'/(sigma^2 K)`, `V = sigma^2 K` and `s = -1`. `K` and `V`
    are those of the representative on the slice.

    - `potential`: `l(w)`.
    - `ridge`: weight decay, which adds `ridge/2 |theta|^2` at the representative.
    - `quotient`, `volume`, `split`: where `K`, `V` and the residual group come from.
    """

    name: str = eqx.field(static=True)
    quotient: Quotient
    potential: Callable
    temperature: Array
    exponent: Array
    ridge: Array | None
    volume: AbstractVolume
    split: Split | None
    domain: Domain
    conditions: tuple[Condition, ...]
    shape: tuple[int, ...] = eqx.field(static=True)
    resolution: float = eqx.field(static=True)
    # The exponent is 0 whatever the dynamics' constants: the volume need not be finite.
    neutral: bool = eqx.field(static=True)
    # Whether `phi` has full rank: else only measures on parameters make sense.
    full_rank: bool = eqx.field(static=True, default=True)
    reference: str = eqx.field(static=True, default="lebesgue")
    cache: TableCache = eqx.field(static=True, repr=False, default_factory=TableCache)

    def energy_of(self, w: Array, params: PyTree) -> Array:
        """`l(w)` plus the weight decay at `params`."""
        value = jnp.asarray(self.potential(w))
        if value.shape != ():
            raise ValueError(f"`potential` must give a scalar, but gives shape {value.shape}.")
        if self.ridge is None:
            return value
        theta, _ = ravel_pytree(eqx.filter(params, eqx.is_inexact_array))
        return value + 0.5 * self.ridge * jnp.sum(theta**2)

    def energy(self, w: Array) -> Array:
        """`l(w)` plus the weight decay at the representative of `w`."""
        return self.energy_of(w, None if self.ridge is None else self.quotient.representative(w))

    def log_weight_at(self, x: Array, temperature: ArrayLike, exponent: ArrayLike) -> Array:
        weight = -self.energy(x) / temperature - 0.5 * self.quotient.predictor_log_det(x)
        if self.neutral:
            return weight
        return weight + exponent * self.volume.at_predictor(x, temperature)

    def log_volume(self, x: Array) -> Array:
        return self.volume.at_predictor(x, self.temperature)

    def to(self, reference: str) -> "QuotientLaw | Any":
        """The same law with respect to another measure.

        - `"lebesgue"`: `dw`; this law.
        - `"quotient"`: the quotient's volume `det(K)^(-1/2) dw`; a law of parameters, constant on
            orbits of the residual group.
        - `"slice"`: the slice's surface measure, which for the moment map is the quotient's volume
            times the volume of the orbits of the residual compact group; a law of parameters on
            the slice.

        **Raises:** `ValueError` for another name; [`gaugebias.laws.LawRefused`][] for `"slice"`
        where the action is not linear with an algebra closed under transpose, and for a gauge
        function of one's own but in the law conditioned on it.
        """
        from ._parameter_law import ParameterLaw

        if reference == "lebesgue":
            return self
        if reference not in ("quotient", "slice"):
            raise ValueError(
                f'`reference` must be "lebesgue", "slice" or "quotient", not {reference!r}.'
            )
        own = not isinstance(self.quotient.gauge, MomentMapGauge)
        if reference == "slice" and own and not isinstance(self.volume, GaugeVolume):
            raise LawRefused(
                self.name,
                "the slice of a gauge function of one's own need not be orthogonal to the orbits, "
                "and may hold whole orbits of a residual group: its surface measure is known for "
                "the law conditioned on it only.",
                self.conditions,
                ('ask for `reference="quotient"` or `"lebesgue"`.',),
            )
        if reference == "slice" and self.split is None:
            raise LawRefused(
                self.name,
                "the slice's surface measure needs a linear action whose algebra is closed under "
                "transpose, so that the residual compact group is known.",
                self.conditions,
                ('ask for `reference="quotient"` or `"lebesgue"`.',),
            )
        return ParameterLaw(self, reference)
