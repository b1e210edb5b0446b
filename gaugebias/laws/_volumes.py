"""What the exponent of a law multiplies: orbit, gauge and fibre volumes."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, PyTree

from ..quotient import Quotient, log_orbit_volume, predictor_jacobian
from ..quotient._grams._linalg import log_pseudo_det_gram
from ._bessel import log_orbit_integral
from ._split import Split, log_frame_volume


class AbstractVolume(eqx.Module):
    """`log V` as a function of the predictor, or of parameters on the slice."""

    @abc.abstractmethod
    def at_params(self, params: PyTree, temperature: ArrayLike) -> Array:
        """`log V` of the orbit of `params`."""

    @abc.abstractmethod
    def at_predictor(self, w: Array, temperature: ArrayLike) -> Array:
        """`log V` over the predictor `w`."""


class OrbitVolume(AbstractVolume):
    """`log V_loc`, all generators: closed form of the quotient where it has one."""

    quotient: Quotient

    def at_params(self, params: PyTree, temperature: ArrayLike) -> Array:
        return log_orbit_volume(self.quotient.action, params)

    def at_predictor(self, w: Array, temperature: ArrayLike) -> Array:
        return self.quotient.orbit_log_volume(w)


class GaugeVolume(AbstractVolume):
    """What conditioning on `chi = 0` divides by: `sqrt(det S_sym) / vol(H-orbit)`.

    For the moment map `grad chi_a = X_a`. A gauge function of one's own must fix every direction
    of the orbits (checked where the law is made); the co-area formula then gives
    `sqrt(det D(phi, chi) D(phi, chi)^T / det K)`, with no residual group to divide by.

    - `moment_map`: which of the two.
    - `closed`: `w -> log V` in closed form, optional.
    """

    quotient: Quotient
    split: Split
    moment_map: bool = eqx.field(static=True)
    closed: Callable | None = None

    def at_params(self, params: PyTree, temperature: ArrayLike) -> Array:
        q = self.quotient
        if self.moment_map:
            residual = log_frame_volume(q.action, params, self.split.antisymmetric)
            return log_frame_volume(q.action, params, self.split.symmetric) - residual
        below = predictor_jacobian(q.phi, params)
        gauge = predictor_jacobian(lambda p: q.gauge.chi(q.action, p), params)
        joint = jnp.concatenate([below, gauge])
        return 0.5 * (log_pseudo_det_gram(joint.T) - log_pseudo_det_gram(below.T))

    def at_predictor(self, w: Array, temperature: ArrayLike) -> Array:
        if self.closed is not None:
            return self.closed(w)
        return self.at_params(self.quotient.representative(w), temperature)


class FibreVolume(AbstractVolume):
    """The orbit's volume under weight decay: `V_loc(theta) int e^(-gamma |g theta|^2/2T) |det g|`.

    For groups whose generators are symmetric and annihilate one another (one-dimensional groups
    and products of them, such as the rescalings of Hadamard products and of ReLU neurons), for
    which the integral is a product over generators. The whole weight decay is in it; the product
    with `det K^(-1/2)` does not depend on which point of the orbit is taken.

    - `rates`: eigenvalues of each generator, shape `(k, D)`.
    - `vectors`: their eigenvectors as columns, shape `(k, D, D)`.
    """

    quotient: Quotient
    ridge: Array
    rates: Array | np.ndarray
    vectors: Array | np.ndarray

    def at_params(self, params: PyTree, temperature: ArrayLike) -> Array:
        moving = eqx.filter(params, eqx.is_inexact_array)
        theta, _ = ravel_pytree(moving)
        return self._log_integral(theta, temperature) + log_orbit_volume(
            self.quotient.action, params
        )

    def at_predictor(self, w: Array, temperature: ArrayLike) -> Array:
        params = self.quotient.representative(w)
        theta, _ = ravel_pytree(eqx.filter(params, eqx.is_inexact_array))
        return self._log_integral(theta, temperature) + self.quotient.orbit_log_volume(w)

    def _log_integral(self, theta: Array, temperature: ArrayLike) -> Array:
        rates = jnp.asarray(self.rates, theta.dtype)
        vectors = jnp.asarray(self.vectors, theta.dtype)
        scale = (self.ridge / (2.0 * temperature)).astype(theta.dtype)
        parts = scale * jnp.einsum("aij,i->aj", vectors, theta) ** 2
        moving = jnp.where(rates != 0.0, parts, 0.0)
        drifts = jnp.sum(rates, axis=1)
        integrals = jax.vmap(log_orbit_integral)(moving, rates, drifts)
        still = scale * jnp.sum(theta**2) - jnp.sum(moving)
        return jnp.sum(integrals) - still


class NoiseVolume(AbstractVolume):
    """`log(sigma^2 K)`: what the laws of minibatch noise divide by.

    - `log_noise`: `w -> log(sigma^2 K)`.
    """

    quotient: Quotient
    log_noise: Callable

    def at_params(self, params: PyTree, temperature: ArrayLike) -> Array:
        return self.log_noise(self.quotient.phi(params))

    def at_predictor(self, w: Array, temperature: ArrayLike) -> Array:
        return self.log_noise(w)
