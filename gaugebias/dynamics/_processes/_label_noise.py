"""Gradient descent on squared loss with labels that are perturbed afresh at every step."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from .._checks import evaluated, flag, function, scalar, strong
from .._runs._mixing import check_samples_apart
from ._minibatch import RATE, centred, noise_dtype, sampling_factor
from ._samples import PerSample, as_data, block_gradient
from ._sde import AbstractSampledSDE


class LabelNoiseSDE(AbstractSampledSDE):
    r"""Minibatch gradient descent on `|f(x) - y - xi|^2 / 2` with fresh label noise `xi`, Ito:

        d theta = -grad L dt + sqrt(eta) C(theta)^(1/2) dW,
        C = Cov(grad l) c_B + (1/B) E[Df^T S^2 Df],

    with `S` the standard deviations of the labels' noise and `c_B` the factor of sampling, as in
    `MinibatchSDE` (`1/B` with replacement, `(n - B) / (B (n - 1))` without: the full batch has
    label noise only). Where the data are fitted exactly only the second term is left: it does not
    vanish there, and drives the parameters along the set of minimisers (1904.09080, 2106.09524).
    It is horizontal, as minibatch noise is.

    One step of gradient descent is `learning_rate` units of time. Both noises and the drift share
    one backward pass.

    **Arguments:**

    - `predict`: `(params, x) -> f(x)`, for one input; a scalar or an array.
    - `data`: the pair `(x, y)`: pytrees of arrays with a leading sample axis, `y` one array that
        is shaped as the predictions.
    - `learning_rate`: `eta > 0`. `batch_size`: `B`, from 1 to the number of samples.
    - `label_std`: standard deviation of the labels' noise, a number or an array shaped as one
        prediction (anisotropic noise).
    - `replacement`, `chunk`: as in `MinibatchSDE`.

    **Raises:** `ValueError` as `MinibatchSDE` does, and for a negative `label_std`.
    """

    predict: Callable
    samples: PerSample
    learning_rate: Array
    variance: Array
    label_std: Array
    label_size: Array
    calculus: str = eqx.field(static=True)

    def __init__(
        self,
        predict: Callable,
        data: PyTree,
        learning_rate: ArrayLike,
        batch_size: int,
        label_std: ArrayLike,
        *,
        replacement: bool = True,
        chunk: int | None = None,
    ):
        if not (isinstance(data, tuple | list) and len(data) == 2):
            raise ValueError("`data` must be a pair (inputs, targets).")
        data, n = as_data(tuple(data), batch_size)
        if not eqx.is_array(data[1]):
            raise ValueError("`data` must be a pair (inputs, targets) with one array of targets.")
        try:
            std = strong(label_std)
        except (TypeError, ValueError):
            raise ValueError(f"`label_std` must be numbers, but is {label_std!r}.") from None
        if eqx.is_array(std) and not isinstance(std, Tracer):
            if not bool(jnp.all(jnp.isfinite(std) & (std >= 0))):
                raise ValueError("`label_std` must be finite and non-negative.")
        if std.shape not in ((), data[1].shape[1:]):
            raise ValueError(
                f"`label_std` must be a number or shaped as one target, {data[1].shape[1:]}, but "
                f"has shape {std.shape}."
            )
        replacement = flag(replacement, "replacement")
        self.predict = function(predict, "predict", "(params, x) -> prediction")
        self.samples = PerSample(_SquaredLoss(predict), data, chunk)
        self.learning_rate = scalar(learning_rate, "learning_rate", positive=True, fix=RATE)
        self.variance = self.learning_rate * sampling_factor(n, batch_size, replacement)
        self.label_std = jnp.broadcast_to(std, data[1].shape[1:])
        self.label_size = jnp.sqrt(self.learning_rate / (batch_size * n))
        self.calculus = "ito"

    def _combination(self, params: PyTree, weights: Array, labels: Array) -> PyTree:
        """`sum_i weights_i grad l_i + Df_i^T (S labels_i)`."""

        def total(p, part):
            (x, y), w, z = part
            f = jax.vmap(lambda one: self.predict(p, one))(x)
            losses = jax.vmap(_half_square)(f, y)
            std = self.label_std.astype(f.dtype)[None]
            return jnp.sum(w.astype(f.dtype) * losses) + jnp.sum(std * z.astype(f.dtype) * f)

        args = (self.samples.data, weights, labels)
        return block_gradient(total, params, args, self.samples.chunk)

    def drift(self, params: PyTree) -> PyTree:
        return jax.tree.map(jnp.negative, self.samples.gradient(params))

    def diffusion(self, params: PyTree, noise: PyTree) -> PyTree:
        sampling, labels = noise
        size = jnp.sqrt(self.variance).astype(sampling.dtype)
        return self._combination(
            params, size * centred(sampling), self.label_size.astype(labels.dtype) * labels
        )

    def noise_like(self, params: PyTree) -> PyTree:
        dtype = noise_dtype(params)
        return (
            jax.ShapeDtypeStruct((self.samples.size,), dtype),
            jax.ShapeDtypeStruct(self.samples.data[1].shape, dtype),
        )

    def increment(self, params: PyTree, noise: PyTree, dt: Array) -> PyTree:
        sampling, labels = noise
        size = jnp.sqrt(dt * self.variance).astype(sampling.dtype)
        weights = size * centred(sampling) - (dt / self.samples.size).astype(sampling.dtype)
        return self._combination(
            params, weights, (jnp.sqrt(dt) * self.label_size).astype(labels.dtype) * labels
        )

    def sum_over_noise(self, params: PyTree, fn: Callable) -> PyTree:
        point, still = eqx.partition(params, eqx.is_inexact_array)
        n = self.samples.size
        out = self.label_std.size
        size = jnp.sqrt(self.variance / n)
        mean = self.samples.gradient(params)

        def sampled(g):
            return fn(jax.tree.map(lambda x: size.astype(x.dtype) * x, g))

        def one(index):
            i, k = index // out, index % out
            x = jax.tree.map(lambda a: a[i], self.samples.data[0])

            def entry(p):
                return jnp.ravel(self.predict(eqx.combine(p, still), x))[k]

            g = jax.grad(entry)(point)
            scale = self.label_size * jnp.ravel(self.label_std)[k]
            return fn(jax.tree.map(lambda a: scale.astype(a.dtype) * a, g))

        labels = jax.lax.map(one, jnp.arange(n * out), batch_size=min(n * out, 64))
        return jax.tree.map(
            lambda a, b: a + jnp.sum(b, axis=0),
            self.samples.sum_over_gradients(params, sampled, mean),
            labels,
        )

    def check_start(self, params: PyTree) -> None:
        x = jax.tree.map(lambda a: a[0], self.samples.data[0])
        evaluated(self.predict, "predict", "predict(params, x)", params, x)
        check_samples_apart(self.samples, params)


class _SquaredLoss(eqx.Module):
    """Half the squared error of a prediction, as a loss of one sample."""

    predict: Callable

    def __call__(self, params: PyTree, sample: PyTree) -> Array:
        x, y = sample
        return _half_square(self.predict(params, x), y)


def _half_square(f: Array, y: Array) -> Array:
    if jnp.shape(f) != jnp.shape(y):
        raise ValueError(
            f"`predict` must return the shape of one target, {jnp.shape(y)}, but returns "
            f"{jnp.shape(f)}."
        )
    return 0.5 * jnp.sum((f - y) ** 2)
