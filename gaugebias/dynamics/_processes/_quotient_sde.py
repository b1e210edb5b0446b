"""The process on the quotient, in the predictor's coordinates."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, PyTree

from ...quotient import Quotient
from ...quotient._predictor import predictor_jacobian
from .._checks import scalar
from ._sde import AbstractSDE, like, moving


class QuotientSDE(AbstractSDE):
    """The quotient's stochastic differential equation, Ito, in the coordinates `w = phi(theta)`.

        dw = [-K grad l + T (div K - 1/2 K grad log det K + s K grad log V)] dt
             + sqrt(2T) K^(1/2) dB

    with `div K` of entries `d_j K_ij`, and `K`, `V` as functions of `w` through the representative
    on the slice. Its stationary density with respect to Lebesgue `dw` is
    `exp(-l/T) det K^(-1/2) V^s`. Metric, volume correction and drift come from autodiff Jacobians;
    the noise is `Dphi dW` at the representative, of covariance `K` exactly, so no root of `K` is
    taken.

    **Arguments:**

    - `q`: the quotient; `phi` must have full rank (`K` nonsingular).
    - `potential`: `l(w)`, a scalar.
    - `temperature`: `T >= 0`, in units of `l`.
    - `exponent`: `s`; 0 is the law of horizontal noise.

    The state is `w`, an array or pytree as `phi` returns. It agrees in law with `phi` of the
    process in parameter space wherever the law's conditions hold, up to the time at which a
    singular stratum is met: at `w = uv = 0` the equation's coefficients are not smooth, and Euler
    steps cross it where exactly balanced parameters cannot. `V` counts all generators, also at
    `exponent=-1`: for `GL(r)`, `r > 1`, that is not the slice-conditioned law.
    """

    q: Quotient
    potential: Callable
    temperature: Array
    exponent: Array
    calculus: str = eqx.field(static=True)

    def __init__(
        self,
        q: Quotient,
        potential: Callable,
        temperature: ArrayLike,
        exponent: ArrayLike = 0.0,
    ):
        self.q = q
        self.potential = potential
        self.temperature = scalar(
            temperature, "temperature", positive=False, fix="the noise has variance 2 T K."
        )
        self.exponent = jnp.asarray(exponent, jnp.asarray(self.temperature).dtype)
        self.calculus = "ito"

    def __check_init__(self):
        if not isinstance(self.q, Quotient):
            raise ValueError("`q` must be a `gaugebias.Quotient`.")

    def drift(self, params: PyTree) -> PyTree:
        flat, unravel = ravel_pytree(params)

        def gram(x):
            return self.q.predictor_gram(unravel(x))

        def correction(x):
            half_log_det = 0.5 * self.q.predictor_log_det(unravel(x))
            return self.exponent * self.q.orbit_log_volume(unravel(x)) - half_log_det

        k = gram(flat)
        divergence = jnp.einsum("ijj->i", jax.jacfwd(gram)(flat))
        down = jax.grad(lambda x: self.potential(unravel(x)))(flat)
        up = jax.grad(correction)(flat)
        return unravel(-k @ down + self.temperature * (divergence + k @ up))

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        _, unravel = ravel_pytree(params)
        jacobian = predictor_jacobian(self.q.phi, self.q.representative(params))
        return unravel(jnp.sqrt(2.0 * self.temperature) * (jacobian @ ravel_pytree(noise)[0]))

    def noise_like(self, params: PyTree) -> PyTree:
        structs = jax.eval_shape(lambda w: moving(self.q.representative(w)), params)
        return like(structs)
