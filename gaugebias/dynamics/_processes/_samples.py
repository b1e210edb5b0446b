"""A data set with a loss for each sample: sums over samples in bounded memory."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PyTree

from .._checks import count, evaluated, flag

BLOCK = 64  # samples whose gradients are held at once where each of them is needed


def as_data(data: PyTree, batch_size=None) -> tuple[PyTree, int]:
    """`data` as arrays, and the number of samples; `ValueError` where it cannot be sampled."""
    try:
        data = jax.tree.map(jnp.asarray, data)
    except (TypeError, ValueError):
        raise ValueError(
            "`data` must hold numbers: a pytree of arrays with a leading sample axis (encode text "
            "and categories as integers)."
        ) from None
    leaves = jax.tree.leaves(data)
    if not leaves:
        raise ValueError("`data` has no array: give a pytree of arrays with a leading sample axis.")
    sizes = {int(x.shape[0]) if x.ndim else -1 for x in leaves}
    if len(sizes) != 1 or -1 in sizes:
        raise ValueError(
            "`data` needs a leading sample axis of one size on every leaf, but the sizes are "
            f"{sorted(sizes)} (-1: no axis)."
        )
    (n,) = sizes
    if n == 0:
        raise ValueError("`data` is empty: it needs at least one sample.")
    for leaf in leaves:
        if isinstance(leaf, Tracer) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        finite = np.isfinite(np.asarray(leaf)).reshape(n, -1).all(axis=1)
        if not finite.all():
            bad = int(np.argmin(finite))
            raise ValueError(
                f"`data` holds values that are not finite (first at sample {bad}): drop or fill "
                "them."
            )
    if batch_size is not None and count(batch_size, "batch_size", least=1) > n:
        raise ValueError(
            f"`batch_size` ({batch_size}) is larger than the data ({n} samples): lower it to at "
            f"most {n}."
        )
    return data, n


def over_blocks(fn: Callable, args: PyTree, block: int | None) -> PyTree:
    """The sum of `fn(part)` over consecutive parts of `block` samples (`None`: all at once)."""
    n = jax.tree.leaves(args)[0].shape[0]
    if block is None or n <= block:
        return fn(args)
    whole, rest = divmod(n, block)
    parts = jax.tree.map(lambda x: x[: whole * block].reshape(whole, block, *x.shape[1:]), args)

    def step(total, part):
        return jax.tree.map(jnp.add, total, fn(part)), None

    shapes = jax.eval_shape(fn, jax.tree.map(lambda x: x[0], parts))
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    total, _ = jax.lax.scan(step, zero, parts)
    if rest:
        last = fn(jax.tree.map(lambda x: x[whole * block :], args))
        total = jax.tree.map(jnp.add, total, last)
    return total


def block_gradient(total: Callable, params: PyTree, args: PyTree, block: int | None) -> PyTree:
    """Gradient of `total(params, args)`, a sum over samples, one part after the other."""
    point, still = eqx.partition(params, eqx.is_inexact_array)

    def part(some):
        return jax.grad(lambda p: total(eqx.combine(p, still), some))(point)

    return over_blocks(part, args, block)


class PerSample(eqx.Module):
    """A loss for each sample of a data set, and what follows from its gradients.

    - `loss`: `(params, sample) -> scalar`, or with `vectorised` `(params, batch) -> (b,)`.
    - `data`: pytree of arrays with a leading sample axis.
    - `chunk`: samples processed at once, `None` for all.
    """

    loss: Callable
    data: PyTree
    chunk: int | None = eqx.field(static=True)
    vectorised: bool = eqx.field(static=True)

    def __init__(
        self, loss: Callable, data: PyTree, chunk: int | None = None, vectorised: bool = False
    ):
        if not callable(loss):
            raise ValueError(
                f"`per_sample_loss` must be a function of parameters and one sample, not {loss!r}."
            )
        vectorised = flag(vectorised, "vectorised")
        self.loss = loss
        self.data, _ = as_data(data)
        self.chunk = None if chunk is None else count(chunk, "chunk", least=1)
        self.vectorised = vectorised

    @property
    def size(self) -> int:
        """Number of samples."""
        return jax.tree.leaves(self.data)[0].shape[0]

    def check(self, params: PyTree) -> None:
        """`ValueError` where the loss cannot be evaluated at `params`. Nothing is computed."""
        one = jax.tree.map(lambda x: x[:1] if self.vectorised else x[0], self.data)
        what = "batch" if self.vectorised else "sample"
        fn = self.values if self.vectorised else self.value
        evaluated(fn, "per_sample_loss", f"per_sample_loss(params, {what})", params, one)

    def values(self, params: PyTree, batch: PyTree) -> Array:
        """The losses of a batch, shape `(b,)`."""
        if not self.vectorised:
            return jax.vmap(lambda sample: self.value(params, sample))(batch)
        b = jax.tree.leaves(batch)[0].shape[0]
        out = _real(self.loss(params, batch))
        if jnp.shape(out) != (b,):
            raise ValueError(
                "`per_sample_loss` with `vectorised=True` must return one loss for each sample, "
                f"shape ({b},), but returns shape {jnp.shape(out)}: do not average over the batch."
            )
        return out

    def value(self, params: PyTree, sample: PyTree) -> Array:
        """The loss of one sample, a scalar."""
        if self.vectorised:
            return self.values(params, jax.tree.map(lambda x: x[None], sample))[0]
        try:
            out = _real(self.loss(params, sample))
        except NameError as error:
            if "axis name" not in str(error):
                raise
            raise ValueError(
                "`per_sample_loss` mixes samples: it asks for a collective over a batch "
                f"({error}). Gradients of a sample must depend on that sample alone."
            ) from None
        if jnp.shape(out) != ():
            raise ValueError(
                "`per_sample_loss` must return a scalar for one sample, but returns shape "
                f"{jnp.shape(out)}: it is called on one sample at a time, without the leading "
                "axis (or write it for batches and say `vectorised=True`)."
            )
        return out

    def weighted_gradient(self, params: PyTree, weights: Array) -> PyTree:
        """`sum_i weights_i grad l_i`, by one backward pass through the vector of losses."""

        def total(p, part):
            batch, w = part
            values = self.values(p, batch)
            return jnp.sum(w.astype(values.dtype) * values)

        return block_gradient(total, params, (self.data, weights), self.chunk)

    def gradient(self, params: PyTree) -> PyTree:
        """The gradient of the mean loss."""
        return self.weighted_gradient(params, jnp.full((self.size,), 1.0 / self.size))

    def slopes(self, params: PyTree, direction: PyTree) -> Array:
        """Derivatives of all losses along a tangent, shape `(n,)`, by one forward pass."""
        point, still = eqx.partition(params, eqx.is_inexact_array)

        def part(batch):
            def values(p):
                return self.values(eqx.combine(p, still), batch)

            return jax.jvp(values, (point,), (direction,))[1]

        n = self.size
        if self.chunk is None or n <= self.chunk:
            return part(self.data)
        whole = n // self.chunk * self.chunk
        blocks = jax.tree.map(lambda x: x[:whole].reshape(-1, self.chunk, *x.shape[1:]), self.data)
        out = jax.lax.map(part, blocks).reshape(-1)
        if whole < n:
            out = jnp.concatenate([out, part(jax.tree.map(lambda x: x[whole:], self.data))])
        return out

    def sum_over_gradients(self, params: PyTree, fn: Callable, centre: PyTree) -> PyTree:
        """`sum_i fn(grad l_i - centre)`, a block of samples at a time."""
        point, still = eqx.partition(params, eqx.is_inexact_array)

        def one(sample):
            g = jax.grad(lambda p: self.value(eqx.combine(p, still), sample))(point)
            return fn(jax.tree.map(jnp.subtract, g, centre))

        def part(batch):
            return jax.tree.map(lambda x: jnp.sum(x, axis=0), jax.vmap(one)(batch))

        return over_blocks(part, self.data, self.chunk or BLOCK)


def _real(out: Any) -> Array:
    """A loss, if it is a floating number or an array of them."""
    if not isinstance(out, jax.Array | np.ndarray | np.generic | float | int | complex):
        raise ValueError(
            "`per_sample_loss` must return a number and nothing beside it, but returns a "
            f"{type(out).__name__}."
        )
    if not jnp.issubdtype(jnp.result_type(out), jnp.floating):
        raise ValueError(
            "`per_sample_loss` must return a real floating number, but returns "
            f"{jnp.result_type(out)}."
        )
    return jnp.asarray(out)
