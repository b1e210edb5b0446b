"""From Ito to Stratonovich and back."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from ._sde import AbstractSDE, check_calculus


class Converted(AbstractSDE):
    """The same process in the other calculus: the diffusion stays, the drift is corrected.

        a_ito = a_stratonovich + (1/2) sum_j (D sigma_j) sigma_j

    The correction is taken by forward-mode derivatives of the diffusion along its own columns, one
    for each noise number. See `to_ito` and `to_stratonovich`.
    """

    sde: AbstractSDE
    calculus: str = eqx.field(static=True)

    def __check_init__(self):
        check_calculus(self.calculus)
        if self.sde.calculus == self.calculus:
            raise ValueError(f"`sde` is written in the calculus {self.calculus!r} already.")

    def drift(self, params: PyTree) -> PyTree:
        sign = 1.0 if self.calculus == "ito" else -1.0
        shift = calculus_correction(self.sde, params)
        return jax.tree.map(lambda a, c: a + sign * c, self.sde.drift(params), shift)

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        return self.sde.diffusion(params, noise)

    def noise_like(self, params: PyTree) -> PyTree:
        return self.sde.noise_like(params)


def calculus_correction(sde: AbstractSDE, params: PyTree) -> PyTree:
    """The drift by which the two readings of an equation differ, `(1/2) sum_j (D sigma_j) sigma_j`.

    Ito's drift is Stratonovich's plus this. It vanishes for additive noise.

    **Returns:** a tangent.
    """
    point, still = eqx.partition(params, eqx.is_inexact_array)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sde.noise_like(params))
    flat, unravel = ravel_pytree(zeros)

    def bend(j):
        noise = unravel(jnp.zeros_like(flat).at[j].set(1.0))

        def sigma(p):
            return sde.diffusion(eqx.combine(p, still), noise)

        column = sigma(point)
        return jax.jvp(sigma, (point,), (column,))[1]

    bends = jax.lax.map(bend, jnp.arange(flat.size), batch_size=min(flat.size, 64))
    return jax.tree.map(lambda x: 0.5 * jnp.sum(x, axis=0), bends)


def _check_linear(sde: AbstractSDE, params: PyTree) -> None:
    shapes = sde.noise_like(params)
    zero, unravel = ravel_pytree(jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))
    one, two = jax.random.normal(jax.random.key(0), (2, zero.size), zero.dtype)

    def apply(z):
        return ravel_pytree(sde.diffusion(params, unravel(z)))[0]

    first, second, both = apply(one), apply(two), apply(0.7 * one - 1.9 * two)
    scale = float(jnp.max(jnp.abs(both)) + jnp.max(jnp.abs(first)) + jnp.max(jnp.abs(second)))
    off = float(jnp.max(jnp.abs(both - 0.7 * first + 1.9 * second)))
    if not off <= 10 * float(jnp.finfo(zero.dtype).eps) ** 0.5 * scale:
        raise ValueError(
            "`sde` has a diffusion that is not linear in the noise (it departs by "
            f"{off / (scale or 1.0):.1e} of its size at `at`), so it is no stochastic differential "
            "equation and has no conversion."
        )


def _convert(sde, calculus: str, at: PyTree) -> AbstractSDE:
    if not isinstance(sde, AbstractSDE):
        raise ValueError("`sde` must be a process of `gaugebias.dynamics`.")
    if at is not None:
        _check_linear(sde, at)
    if sde.calculus == calculus:
        return sde
    if isinstance(sde, Converted):
        return sde.sde
    return Converted(sde=sde, calculus=calculus)


def to_ito(sde, *, at: PyTree = None) -> AbstractSDE:
    """The same process, written in Ito's calculus.

    **Arguments:**

    - `sde`: a process; one in Ito's calculus returns as it is.
    - `at`: parameters at which the diffusion is checked to be linear in the noise, as a stochastic
        differential equation must be; `None` checks nothing.

    **Raises:** `ValueError` where it is not linear.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        sde = gb.dynamics.SDE(lambda y: 0.0 * y, lambda y, z: y * z, calculus="stratonovich")
        gb.dynamics.to_ito(sde).drift(jnp.array(2.0))  # 1.0: y o dW = y dW + y/2 dt
        ```
    """
    return _convert(sde, "ito", at)


def to_stratonovich(sde, *, at: PyTree = None) -> AbstractSDE:
    """The same process, written in Stratonovich's calculus; the mirror of `to_ito`."""
    return _convert(sde, "stratonovich", at)
