"""Controls: the same drift and the same amount of noise, without its shape."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ._sde import AbstractSampledSDE, like, moving


def squared_norm(tree: PyTree) -> Array:
    """Sum of squares of all leaves."""
    return sum((jnp.sum(x**2) for x in jax.tree.leaves(tree)), start=jnp.asarray(0.0))


class IsotropicMatched(AbstractSampledSDE):
    """A process with the drift of `sde` and isotropic noise of the same trace at every point.

        d theta = drift dt + sqrt(tr(b b^T) / D) dW

    with `b` the diffusion of `sde` and `D` the number of moving parameters: as much noise, in no
    particular direction, so along orbits too. The trace follows the state, and costs the
    gradients of all samples one by one, in bounded memory.

    **Arguments:** `sde`, a process whose noise is made by data: `MinibatchSDE`, `LabelNoiseSDE`.
    """

    sde: AbstractSampledSDE
    calculus: str = eqx.field(static=True)

    def __init__(self, sde: AbstractSampledSDE):
        self.sde = sde
        self.calculus = "ito"

    @property
    def learning_rate(self) -> Array:
        """Of the process that is matched: its finite step is there without its noise's shape."""
        return getattr(self.sde, "learning_rate", jnp.asarray(0.0))

    @property
    def second_order(self) -> bool:
        """Whether the drift has the finite step already."""
        return getattr(self.sde, "second_order", False)

    def _size(self, params: PyTree) -> Array:
        dimension = sum(x.size for x in jax.tree.leaves(moving(params)))
        return jnp.sqrt(self.sde.sum_over_noise(params, squared_norm) / dimension)

    def drift(self, params: PyTree) -> PyTree:
        return self.sde.drift(params)

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        size = self._size(params)
        return jax.tree.map(lambda z: size.astype(z.dtype) * z, noise)

    def noise_like(self, params: PyTree) -> PyTree:
        return like(moving(params))

    def increment(self, params: PyTree, noise: PyTree, dt: Array) -> PyTree:
        size = jnp.sqrt(dt) * self._size(params)
        down = self.sde.drift(params)
        return jax.tree.map(
            lambda a, z: dt.astype(a.dtype) * a + size.astype(z.dtype) * z, down, noise
        )

    def sum_over_noise(self, params: PyTree, fn: Callable) -> PyTree:
        size = self._size(params)
        zero, unravel = ravel_pytree(moving(params))

        def one(j):
            column = jnp.zeros_like(zero).at[j].set(size.astype(zero.dtype))
            return fn(unravel(column))

        columns = jax.lax.map(one, jnp.arange(zero.size), batch_size=min(zero.size, 64))
        return jax.tree.map(lambda x: jnp.sum(x, axis=0), columns)

    def check_start(self, params: PyTree) -> None:
        self.sde.check_start(params)


def isotropic_matched(sde) -> IsotropicMatched:
    """The control of a minibatch process: its drift, and isotropic noise of the same trace.

    The other control, Gaussian noise of the same covariance, is `MinibatchSDE` itself (with
    `dt=learning_rate` step for step), or `gaugebias.train` with `noise="gaussian"`.
    """
    if not isinstance(sde, AbstractSampledSDE):
        raise ValueError(
            "`sde` must be a process whose noise is made by data, as `MinibatchSDE` or "
            "`LabelNoiseSDE`."
        )
    return IsotropicMatched(sde)
