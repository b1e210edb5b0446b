"""Langevin dynamics on parameters, with isotropic noise or noise shaped by the orbits."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from ...quotient import vertical
from ...symmetry import AbstractAction
from .._checks import function, scalar
from ._sde import AbstractSDE, check_calculus, like, moving

_TEMPERATURE = "the noise has variance 2 T per unit time."


def _descent(loss: Callable, params: PyTree) -> PyTree:
    return jax.tree.map(jnp.negative, eqx.filter_grad(loss)(params))


class Langevin(AbstractSDE):
    """`d theta = -grad L dt + sqrt(2 T) dW`: isotropic noise on every moving leaf.

    **Arguments:**

    - `loss`: `params -> scalar`.
    - `temperature`: `T >= 0`, in units of the loss.

    Its stationary density is `exp(-L/T)` with respect to `d theta` where that is normalisable
    (non-compact orbits need weight decay). The noise is additive, so both calculi agree; it is
    tagged `"ito"`.
    """

    loss: Callable
    temperature: Array
    calculus: str = eqx.field(static=True)

    def __init__(self, loss: Callable, temperature: ArrayLike):
        self.loss = function(loss, "loss", "params -> scalar")
        self.temperature = scalar(temperature, "temperature", positive=False, fix=_TEMPERATURE)
        self.calculus = "ito"

    def drift(self, params: PyTree) -> PyTree:
        return _descent(self.loss, params)

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        size = jnp.sqrt(2.0 * self.temperature)
        return jax.tree.map(lambda z: size.astype(z.dtype) * z, noise)

    def noise_like(self, params: PyTree) -> PyTree:
        return like(moving(params))


class ProjectedLangevin(AbstractSDE):
    """`d theta = -grad L dt + sqrt(2 T) (alpha P + beta Q) dW`.

    `Q` projects onto the orbit's tangent, `P = I - Q` onto its orthogonal complement. The
    default, `alpha = 1` and `beta = 0`, is **horizontal noise**; `alpha = beta = 1` is isotropic.

    **Arguments:**

    - `loss`: `params -> scalar`, invariant under the action up to weight decay.
    - `action`: whose orbits shape the noise.
    - `temperature`: `T >= 0`, in units of the loss.
    - `alpha`, `beta`: size of the noise across and along orbits; arrays, so that a scan over them
        is one compilation.
    - `calculus`: `"ito"` (default) or `"stratonovich"`. They differ: under Ito noise the moment
        map drifts by `T alpha^2 tr(P A_a)` where that trace does not vanish, under Stratonovich
        noise it is conserved up to weight decay.

    For isometric actions the predictor follows the law with exponent `s = beta^2 / alpha^2` at
    temperature `alpha^2 T` under Ito noise (2602.12257 for `alpha = beta`; the general case is
    re-derived), and with `s = beta / alpha` under Stratonovich noise: the two differ by the drift
    `T beta (alpha - beta) grad log V`.
    """

    loss: Callable
    action: AbstractAction
    temperature: Array
    alpha: Array
    beta: Array
    calculus: str = eqx.field(static=True)

    def __init__(
        self,
        loss: Callable,
        action: AbstractAction,
        temperature: ArrayLike,
        alpha: ArrayLike = 1.0,
        beta: ArrayLike = 0.0,
        calculus: str = "ito",
    ):
        self.loss = function(loss, "loss", "params -> scalar")
        self.action = action
        self.temperature = scalar(temperature, "temperature", positive=False, fix=_TEMPERATURE)
        self.alpha = scalar(alpha, "alpha", positive=False, fix="it scales noise across orbits.")
        self.beta = scalar(beta, "beta", positive=False, fix="it scales noise along orbits.")
        self.calculus = calculus

    def __check_init__(self):
        check_calculus(self.calculus)
        if not isinstance(self.action, AbstractAction):
            raise ValueError("`action` must be an action of `gaugebias.symmetry`.")

    def drift(self, params: PyTree) -> PyTree:
        return _descent(self.loss, params)

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        size = jnp.sqrt(2.0 * self.temperature)
        along = vertical(self.action, params, noise)

        def combine(z, q):
            a, b = (size * self.alpha).astype(z.dtype), (size * self.beta).astype(z.dtype)
            return a * z + (b - a) * q

        return jax.tree.map(combine, noise, along)

    def noise_like(self, params: PyTree) -> PyTree:
        return like(moving(params))
