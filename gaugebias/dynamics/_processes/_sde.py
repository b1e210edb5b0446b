"""What a stochastic differential equation on parameters is, and one of your own."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

CALCULI = ("ito", "stratonovich")


def check_calculus(calculus: str) -> None:
    """`ValueError` unless `calculus` is a known tag."""
    if calculus not in CALCULI:
        raise ValueError(
            f"`calculus` must be 'ito' or 'stratonovich', but is {calculus!r}: the two differ by a "
            "drift wherever the noise depends on the state."
        )


class AbstractSDE(eqx.Module):
    """`d theta = drift(theta) dt + diffusion(theta) dW`, in the calculus it names.

    All methods are per chain: the engine batches them. Tangents have the structure of the moving
    (floating) leaves of the parameters, `None` elsewhere.
    """

    calculus: eqx.AbstractVar[str]

    @abc.abstractmethod
    def drift(self, params: PyTree) -> PyTree:
        """The drift, per unit time: a tangent."""

    @abc.abstractmethod
    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        """The diffusion applied to a noise vector, linear in `noise`: a tangent.

        Of size `length / sqrt(time)`: with standard normal `noise` the step is
        `sqrt(dt) * diffusion(params, noise)`.
        """

    @abc.abstractmethod
    def noise_like(self, params: PyTree) -> PyTree:
        """A pytree of `jax.ShapeDtypeStruct`: the noise vector's structure."""


class AbstractSampledSDE(AbstractSDE):
    """An Ito equation whose noise is made by a data set.

    Drift and noise share their pass over the samples, and there are as many noise numbers as
    samples: sums over them are taken in bounded memory.
    """

    @abc.abstractmethod
    def increment(self, params: PyTree, noise: PyTree, dt: Array) -> PyTree:
        """`dt * drift(params) + sqrt(dt) * diffusion(params, noise)`, computed together."""

    @abc.abstractmethod
    def sum_over_noise(self, params: PyTree, fn: Callable) -> PyTree:
        """`sum_j fn(diffusion(params, e_j))` over an orthonormal basis of the noise."""

    @abc.abstractmethod
    def check_start(self, params: PyTree) -> None:
        """`ValueError` where the equation cannot start at `params` (one concrete point)."""


def moving(params: PyTree) -> PyTree:
    """The leaves that move: floating arrays; `None` in place of the rest."""
    return eqx.filter(params, eqx.is_inexact_array)


def like(tree: PyTree) -> PyTree:
    """Shapes and dtypes of a pytree of arrays."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


class SDE(AbstractSDE):
    """A stochastic differential equation of your own.

    **Arguments:**

    - `drift_fn`: `params -> tangent`.
    - `diffusion_fn`: `(params, noise) -> tangent`, linear in `noise`.
    - `calculus`: `"ito"` or `"stratonovich"`. There is no default that is right: say which one
        your equation is written in.
    - `noise`: a pytree of arrays or `jax.ShapeDtypeStruct` for the noise vector; as the moving
        leaves of the parameters if `None`.

    !!! example

        ```python
        import gaugebias as gb
        geometric = gb.dynamics.SDE(lambda y: 0.0 * y, lambda y, z: y * z, calculus="ito")
        ```
    """

    drift_fn: Callable
    diffusion_fn: Callable
    calculus: str = eqx.field(static=True)
    noise: PyTree = eqx.field(static=True)

    def __init__(
        self, drift_fn: Callable, diffusion_fn: Callable, calculus: str, noise: PyTree = None
    ):
        self.drift_fn = drift_fn
        self.diffusion_fn = diffusion_fn
        self.calculus = calculus
        leaves, treedef = jax.tree.flatten(noise)
        structs = [jax.ShapeDtypeStruct(jnp.shape(x), x.dtype) for x in leaves]
        self.noise = None if noise is None else _Frozen(treedef, tuple(structs))

    def __check_init__(self):
        check_calculus(self.calculus)

    def drift(self, params: PyTree) -> PyTree:
        return self.drift_fn(params)

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        return self.diffusion_fn(params, noise)

    def noise_like(self, params: PyTree) -> PyTree:
        return like(moving(params)) if self.noise is None else self.noise.thaw()


class _Frozen(eqx.Module):
    """A hashable pytree of shapes, to be a static field."""

    treedef: Any = eqx.field(static=True)
    structs: tuple[jax.ShapeDtypeStruct, ...] = eqx.field(static=True)

    def thaw(self) -> PyTree:
        return jax.tree.unflatten(self.treedef, self.structs)
