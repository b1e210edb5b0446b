"""Drift and noise of minibatch gradient descent on a one-dimensional quotient."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from ...dynamics._processes._samples import PerSample, over_blocks
from ...quotient import Quotient

_BLOCK = 1024  # samples whose slopes are held at once


class AbstractGradientNoise(eqx.Module):
    """What a one-dimensional minibatch law is made of, as functions of `w`.

    On the slice the process is, in Ito's calculus and with `tau = eta/B`,

        dw = [-K slope + (tau/4) variance K K'] dt + sqrt(tau variance) K dB.
    """

    @abc.abstractmethod
    def log_gram(self, w: Array) -> Array:
        """`log K`, a scalar."""

    @abc.abstractmethod
    def moments(self, w: Array) -> tuple[Array, Array]:
        """`(slope, variance)`: derivative of the loss that drifts, variance of a sample's."""

    def force(self, w: Array) -> Array:
        """`slope / (variance K)`: the law is `K^(-3/2) variance^-1 exp(-(2/tau) int force)`."""
        slope, variance = self.moments(w)
        return slope / variance * jnp.exp(-self.log_gram(w))

    def log_noise(self, w: Array) -> Array:
        """`log(variance K)`."""
        return jnp.log(self.moments(w)[1]) + self.log_gram(w)


class SampledNoise(AbstractGradientNoise):
    """Gradient noise of per-sample losses `l(w; sample)` over a data set, on a quotient's slice.

    `second_order` is the learning rate where the drift is that of `L + (eta/4) |grad L|^2`, on the
    slice `l + (eta/4) l'^2 K`; `None` for first order.
    """

    quotient: Quotient
    samples: PerSample
    second_order: Array | None

    def log_gram(self, w: Array) -> Array:
        return jnp.reshape(self.quotient.predictor_log_det(w), ())

    def _slopes(self, w: Array, batch: PyTree) -> Array:
        def values(x):
            return self.samples.values(x, batch)

        return jax.jvp(values, (w,), (jnp.ones_like(w),))[1]

    def _mean(self, w: Array) -> Array:
        data, n = self.samples.data, self.samples.size
        return over_blocks(lambda part: jnp.sum(self._slopes(w, part)), data, _BLOCK) / n

    def moments(self, w: Array) -> tuple[Array, Array]:
        mean, n = self._mean(w), self.samples.size

        def squares(part):
            return jnp.sum((self._slopes(w, part) - mean) ** 2)

        variance = over_blocks(squares, self.samples.data, _BLOCK) / n
        # Far out the variance may be lost beside the mean: no number rather than a wrong one.
        lost = variance < (8.0 * jnp.finfo(mean.dtype).eps * mean) ** 2
        variance = jnp.where(lost, jnp.nan, variance)
        if self.second_order is None:
            return mean, variance

        def squared(x):
            return self._mean(x) ** 2 * jnp.exp(self.log_gram(x))

        bent = jax.jvp(squared, (w,), (jnp.ones_like(w),))[1]
        return mean + 0.25 * self.second_order.astype(mean.dtype) * bent, variance


class DiagonalNoise(AbstractGradientNoise):
    """Gradient noise of `scale (v x - y)^2` with `v` a sum of `width` equal products.

    `mean_square, cross = E x^2, E xy`; `spread, root, rest`: the variance of the slopes is
    `4 scale^2 (spread (v - root)^2 + rest)`; `K = exp(log_constant) |v|^power`. All are scalar
    arrays, so that networks of every depth share one compilation.
    """

    spread: Array
    root: Array
    rest: Array
    mean_square: Array
    cross: Array
    power: Array
    log_constant: Array
    scale: Array

    def log_gram(self, w: Array) -> Array:
        w = jnp.reshape(w, ())
        size = jnp.where(self.power > 0.0, jnp.abs(w), 1.0)
        return self.log_constant + self.power * jnp.log(size)

    def moments(self, w: Array) -> tuple[Array, Array]:
        w = jnp.reshape(w, ())
        variance = 4.0 * self.scale**2 * (self.spread * (w - self.root) ** 2 + self.rest)
        return 2.0 * self.scale * (self.mean_square * w - self.cross), variance


class Force(eqx.Module):
    """`noise.force` as a function that is compiled once for all laws of one structure."""

    noise: AbstractGradientNoise

    def __call__(self, w: Array) -> Array:
        return self.noise.force(w)


class Profile(eqx.Module):
    """`(log K, slope, variance)` at one point."""

    noise: AbstractGradientNoise

    def __call__(self, w: Array) -> Array:
        slope, variance = self.noise.moments(w)
        return jnp.stack([self.noise.log_gram(w), slope, variance])


class LogNoise(eqx.Module):
    """`w -> log(variance K)`."""

    noise: AbstractGradientNoise

    def __call__(self, w: Array) -> Array:
        return self.noise.log_noise(w)


class HalfLogGram(eqx.Module):
    """`(w, temperature) -> -energy / temperature - (1/2) log K`."""

    noise: AbstractGradientNoise
    energy: Callable

    def __call__(self, w: Array, temperature: ArrayLike) -> Array:
        return -self.energy(w) / temperature - 0.5 * self.noise.log_gram(w)
