"""Stochastic gradient descent as a stochastic differential equation."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from .._checks import flag, scalar
from .._runs._mixing import check_samples_apart
from ._samples import PerSample, as_data
from ._sde import AbstractSampledSDE, moving

RATE = "one step of gradient descent is `learning_rate` units of time."


def noise_dtype(params: PyTree):
    """The dtype of the moving leaves together."""
    return jnp.result_type(*jax.tree.leaves(moving(params)))


def sampling_factor(n: int, batch_size: int, replacement: bool) -> float:
    """Covariance of a batch mean over that of a sample: `1/B`, times `(n-B)/(n-1)` without."""
    if replacement or n == 1:
        return 1.0 / batch_size
    return (n - batch_size) / (n - 1) / batch_size


def centred(noise: Array) -> Array:
    """`(z - mean z) / sqrt(n)`: weights of per-sample gradients, of covariance `Sigma`."""
    return (noise - jnp.mean(noise)) / jnp.sqrt(jnp.asarray(noise.shape[0], noise.dtype))


class MinibatchSDE(AbstractSampledSDE):
    r"""Minibatch gradient descent in continuous time, Ito:

        d theta = -grad L dt + sqrt(eta / B) Sigma(theta)^(1/2) dW

    with `Sigma` the covariance of per-sample gradients over the data (Li, Tai and E, 1511.06251).
    `Sigma^(1/2) z` is a centred combination of per-sample gradients,
    `(1/sqrt n) sum_i (z_i - mean z) grad l_i` with one normal number for each sample: one backward
    pass through the vector of losses, no `D x D` and no `n x D` matrix. Drift and noise of a step
    share that pass.

    **Time.** One step of gradient descent is `learning_rate` units of time. `simulate` with
    `dt=learning_rate` is gradient descent with Gaussian noise of the minibatches' covariance;
    a smaller `dt` approaches the equation itself.

    **Arguments:**

    - `per_sample_loss`: `(params, sample) -> scalar`. It is called on one sample at a time. Where
        every per-sample loss is invariant under a group, the noise is horizontal.
    - `data`: pytree of arrays with a leading sample axis of size `n`; a sample is the pytree
        without that axis. `L` is the mean of the losses over it.
    - `learning_rate`: `eta > 0`.
    - `batch_size`: `B`, from 1 to `n`.
    - `replacement`: draw the batch with replacement; without, the covariance has the factor
        `(n - B) / (n - 1)`, and the full batch has no noise.
    - `second_order`: drift of `L + (eta/4) |grad L|^2`, with which the equation matches gradient
        descent to second order over a finite time (1511.06251); costs a Hessian-vector product.
    - `chunk`: samples processed at once. Memory is that of `chunk` samples, time about the same.
    - `vectorised`: `per_sample_loss` is `(params, batch) -> (b,)` instead.

    **Raises:** `ValueError` where the batch is larger than the data, the data are empty, not
    finite or of mixed lengths, the learning rate is not positive, or the loss is no scalar. A
    loss that mixes samples (a sample's gradient depends on other samples) is found by
    `check_start`, which `simulate` and `train` call: in a vectorised loss by comparing batches,
    in a loss of one sample by its closure, where that holds the data set. A dependence hidden
    anywhere else, as on statistics of the data computed beforehand, cannot be seen.

    !!! example

        ```python
        import jax, jax.numpy as jnp
        import gaugebias as gb

        x = jax.random.normal(jax.random.key(0), (64,))
        data = (x, 2.0 * x)

        def loss(p, sample):
            x, y = sample
            return 0.5 * (p["u"] * p["v"] * x - y) ** 2

        sde = gb.dynamics.MinibatchSDE(loss, data, learning_rate=0.05, batch_size=4)
        start = {"u": jnp.array(1.5), "v": jnp.array(0.5)}
        ens = gb.simulate(sde, start, key=jax.random.key(1), chains=16, steps=200, dt=0.05)
        ```
    """

    samples: PerSample
    learning_rate: Array
    variance: Array
    second_order: bool = eqx.field(static=True)
    calculus: str = eqx.field(static=True)

    def __init__(
        self,
        per_sample_loss: Callable,
        data: PyTree,
        learning_rate: ArrayLike,
        batch_size: int,
        *,
        replacement: bool = True,
        second_order: bool = False,
        chunk: int | None = None,
        vectorised: bool = False,
    ):
        data, n = as_data(data, batch_size)
        replacement = flag(replacement, "replacement")
        self.samples = PerSample(per_sample_loss, data, chunk, vectorised)
        self.learning_rate = scalar(learning_rate, "learning_rate", positive=True, fix=RATE)
        self.variance = self.learning_rate * sampling_factor(n, batch_size, replacement)
        self.second_order = flag(second_order, "second_order")
        self.calculus = "ito"

    def drift(self, params: PyTree) -> PyTree:
        g = self.samples.gradient(params)
        if self.second_order:
            g = self._corrected(params, g)
        return jax.tree.map(jnp.negative, g)

    def _corrected(self, params: PyTree, g: PyTree) -> PyTree:
        """`grad L + (eta/2) Hess L grad L`."""
        point, still = eqx.partition(params, eqx.is_inexact_array)

        def gradient(p):
            return self.samples.gradient(eqx.combine(p, still))

        turned = jax.jvp(gradient, (point,), (g,))[1]
        half = 0.5 * self.learning_rate
        return jax.tree.map(lambda a, b: a + half.astype(a.dtype) * b, g, turned)

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        size = jnp.sqrt(self.variance).astype(noise.dtype)
        return self.samples.weighted_gradient(params, size * centred(noise))

    def noise_like(self, params: PyTree) -> PyTree:
        return jax.ShapeDtypeStruct((self.samples.size,), noise_dtype(params))

    def increment(self, params: PyTree, noise: PyTree, dt: Array) -> PyTree:
        size = jnp.sqrt(dt * self.variance).astype(noise.dtype)
        if self.second_order:
            down = self.drift(params)
            moved = self.samples.weighted_gradient(params, size * centred(noise))
            return jax.tree.map(lambda a, b: dt.astype(a.dtype) * a + b, down, moved)
        mean = (dt / self.samples.size).astype(noise.dtype)
        return self.samples.weighted_gradient(params, size * centred(noise) - mean)

    def sum_over_noise(self, params: PyTree, fn: Callable) -> PyTree:
        size = jnp.sqrt(self.variance / self.samples.size)

        def column(g):
            return fn(jax.tree.map(lambda x: size.astype(x.dtype) * x, g))

        return self.samples.sum_over_gradients(params, column, self.samples.gradient(params))

    def check_start(self, params: PyTree) -> None:
        check_samples_apart(self.samples, params)
