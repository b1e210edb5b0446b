"""A law stated on parameters: with respect to the quotient's volume or the slice's surface."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PyTree

from ..quotient import Domain, predictor_jacobian
from ..quotient._grams._linalg import log_pseudo_det_gram
from ._errors import Condition, LawRefused
from ._quotient_law import QuotientLaw
from ._split import log_frame_volume
from ._volumes import GaugeVolume


class ParameterLaw(eqx.Module):
    """A law of parameters on the slice, with respect to `"quotient"` volume or `"slice"` surface.

    Made by `law.to(reference)` or by a builder's `reference=` (for predictors that are not of
    full rank, such as `U V^T` with `r < min(n, m)`). Its methods take one point `params` (`vmap`
    for batches): a point of the slice, where `K` and `V` are meant.

    With `p` the density in `dw`: on the quotient it is `p det(K)^(1/2)`. On the slice of the moment
    map it is this divided by the volume of the orbit of the residual compact group; conditioned on
    a gauge function of one's own, whose slice need not be orthogonal to the orbits,
    `exp(-L/T) det(Dchi Dchi^T)^(-1/2)` (the co-area formula).
    """

    law: QuotientLaw
    reference: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        """Which of the laws."""
        return self.law.name

    @property
    def domain(self) -> Domain:
        """Of the predictor."""
        return self.law.domain

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Those checked when the law was made."""
        return self.law.conditions

    @property
    def temperature(self) -> Array:
        """`T'` of `exp(-L/T')`."""
        return self.law.temperature

    @property
    def exponent(self) -> Array:
        """`s` of `V^s`."""
        return self.law.exponent

    @property
    def residual_dimension(self) -> int:
        """Dimension of the residual compact group of the slice."""
        if self.law.split is None or self._own_gauge:
            return 0
        return self.law.split.antisymmetric.shape[1]

    @property
    def _own_gauge(self) -> bool:
        """Whether the slice is that of a gauge function which fixes the orbits."""
        volume = self.law.volume
        return isinstance(volume, GaugeVolume) and not volume.moment_map

    @property
    def normalised(self) -> bool:
        """Whether `log_density` is normalised.

        As for the law in `dw`; on the slice only where the residual group is finite, and then on
        the sheet of the slice that the process started on.
        """
        finite = self.reference == "quotient" or self.residual_dimension == 0
        return self.law.full_rank and self.law.normalised and finite

    def _log_surface(self, params: PyTree) -> Array | float:
        """Log of the reference measure over the quotient's volume."""
        if self.reference == "quotient" or self.law.split is None:
            return 0.0
        volume = self.law.volume
        if isinstance(volume, GaugeVolume) and not volume.moment_map:
            q = self.law.quotient
            gauge = predictor_jacobian(lambda p: q.gauge.chi(q.action, p), params)
            normal = 0.5 * log_pseudo_det_gram(gauge.T)
            return normal - volume.at_params(params, self.law.temperature)
        basis = self.law.split.antisymmetric
        return log_frame_volume(self.law.quotient.action, params, basis)

    def log_weight(self, params: PyTree) -> Array:
        """Log density up to a constant: `-L/T + s log V`, on the slice minus `log vol(H-orbit)`
        (for a gauge function of one's own see the class)."""
        law = self.law
        weight = -law.energy_of(law.quotient.phi(params), params) / law.temperature
        if not law.neutral:
            weight = weight + law.exponent * law.volume.at_params(params, law.temperature)
        return weight - self._log_surface(params)

    def log_density(self, params: PyTree) -> Array:
        """Log density at `params`; see `normalised`. Traceable."""
        if not self.normalised:
            return self.log_weight(params)
        w = self.law.quotient.phi(params)
        density = self.law.log_density(w) + 0.5 * self.law.quotient.predictor_log_det(w)
        return density - self._log_surface(params)

    def score(self, params: PyTree) -> PyTree:
        """Gradient of the log density in the moving leaves: a tangent."""
        moving, still = eqx.partition(params, eqx.is_inexact_array)
        return jax.grad(lambda p: self.log_weight(eqx.combine(p, still)))(moving)

    def effective_loss(self, params: PyTree) -> Array:
        """`-T` times the log density, up to a constant.

        On the slice, for the conditioned law: `L + (T/2) log det S_sym`, the effective loss of
        2601.06597.
        """
        return -self.temperature * self.log_weight(params)

    def sample(self, key: Array, n: int) -> PyTree:
        """`n` draws, a batch of parameters: the slice's representatives of draws of `w`.

        **Raises:** [`gaugebias.laws.LawRefused`][] where `phi` has no full rank, or on a slice
        with a residual group of positive dimension (a representative is one point of its orbit).
        """
        if not self.law.full_rank:
            raise LawRefused(
                self.name,
                "draws are made in the coordinates w, which are redundant for this predictor.",
                self.conditions,
                ("simulate the process, or sample in closed form for the model at hand.",),
            )
        if self.reference == "slice" and self.residual_dimension > 0:
            raise LawRefused(
                self.name,
                "a draw of the slice needs a random element of the residual compact group.",
                self.conditions,
                ('sample `.to("quotient")` and act by a group element of your own.',),
            )
        return jax.vmap(self.law.quotient.representative)(self.law.sample(key, n))

    def expectation(self, fn: Callable) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of `fn(params)` at the slice's representatives, by quadrature."""
        return self.law.expectation(lambda w: fn(self.law.quotient.representative(w)))

    def cdf(self, x) -> np.ndarray:
        """Not defined on parameters.

        **Raises:** `ValueError`, naming the law that has one.
        """
        raise ValueError(
            "`cdf` needs a law of one coordinate, and this one is a law of parameters: use "
            '`law.to("lebesgue").cdf(w)`.'
        )

    def to(self, reference: str) -> "ParameterLaw | Any":
        """As [`gaugebias.laws.QuotientLaw.to`][]; `"lebesgue"` needs `phi` of full rank."""
        if reference == "lebesgue" and not self.law.full_rank:
            raise LawRefused(
                self.name,
                "`phi` does not have full rank, so that dw is no measure on its image.",
                self.conditions,
                ("state it in coordinates of the image, for example by its spectrum.",),
            )
        return self.law.to(reference)
