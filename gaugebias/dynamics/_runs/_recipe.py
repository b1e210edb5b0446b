"""One update of minibatch training: the batch, its gradient, and the optimiser."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PyTree

from .._processes._matched import squared_norm
from .._processes._minibatch import centred, noise_dtype, sampling_factor
from .._processes._samples import PerSample
from ._normal import standard_normal
from ._products import written_out

if TYPE_CHECKING:
    import optax

NARROW = 8  # numbers of the last axis of what is drawn; from here on it fills vectors
NOISES = ("minibatch", "gaussian", "isotropic", "full")


class Recipe(eqx.Module):
    """The gradient of a step, and what the optimiser makes of it. All per chain."""

    samples: PerSample
    draw: Callable | None
    optimiser: Any
    batch_size: int = eqx.field(static=True)
    replacement: bool = eqx.field(static=True)
    noise: str = eqx.field(static=True)
    scanned: bool = eqx.field(static=True)

    def transformation(self, rate: Array) -> "optax.GradientTransformation":
        return self.optimiser(rate) if self.scanned else self.optimiser

    def chosen(self, key: Array) -> PyTree:
        """What a step's key says of its batch: rows of the data, keys of fresh samples; or itself.

        `gradient(params, batch(chosen(key)))` is the gradient of a step. The three are apart so
        that a loop can make each in another turn, where they do not wait for one another.
        """
        if self.noise != "minibatch":
            return key
        if self.draw is not None:
            return jr.split(key, self.batch_size)
        if self.replacement:
            return jr.randint(key, (self.batch_size,), 0, self.samples.size)
        return jr.choice(key, self.samples.size, (self.batch_size,), replace=False)

    def batch(self, chosen: PyTree) -> PyTree:
        """Fresh samples are drawn here; rows of a data set are looked up where they are used."""
        if self.noise != "minibatch" or self.draw is None:
            return chosen
        return jax.vmap(written_out(self.draw))(chosen)

    def gradient(self, params: PyTree, batch: PyTree) -> PyTree:
        """The gradient of a step from what `batch` gave: samples, rows, or the step's key."""
        return written_out(self._gradient)(params, batch)

    def _gradient(self, params: PyTree, batch: Any) -> PyTree:
        samples, n, b = self.samples, self.samples.size, self.batch_size
        if self.noise == "full":
            return samples.gradient(params)
        if self.noise == "minibatch":
            if self.draw is None:
                batch = jax.tree.map(lambda x: jnp.take(x, batch, axis=0), samples.data)
            return self._batch_gradient(params, batch)
        key = batch
        factor = sampling_factor(n, b, self.replacement) ** 0.5
        dtype = noise_dtype(params)
        if self.noise == "gaussian":
            weights = factor * centred(standard_normal(key, (n,), dtype)) + 1.0 / n
            return samples.weighted_gradient(params, weights)
        g = samples.gradient(params)
        leaves, treedef = jax.tree.flatten(g)
        dimension = sum(x.size for x in leaves)
        trace = samples.sum_over_gradients(params, squared_norm, g) / n
        size = factor * jnp.sqrt(trace / dimension)
        flat = standard_normal(key, (dimension,), dtype)
        cuts = np.cumsum([x.size for x in leaves])[:-1].tolist()
        noise = [
            size.astype(x.dtype) * z.reshape(x.shape).astype(x.dtype)
            for x, z in zip(leaves, jnp.split(flat, cuts), strict=True)
        ]
        return jax.tree.map(jnp.add, g, jax.tree.unflatten(treedef, noise))

    def _batch_gradient(self, params: PyTree, batch: PyTree) -> PyTree:
        point, still = eqx.partition(params, eqx.is_inexact_array)

        def mean_loss(p):
            return jnp.mean(self.samples.values(eqx.combine(p, still), batch))

        return jax.grad(mean_loss)(point)


def packed(batch: PyTree) -> PyTree:
    """A batch whose arrays of a short last axis are vectors.

    A loop along three numbers falls into no hardware vectors: with samples of three inputs, drawing
    them took half of a step.
    """
    return jax.tree.map(lambda x: x.ravel() if _is_narrow(x) else x, batch)


def unpacked(batch: PyTree, shapes: PyTree) -> PyTree:
    """The batch that was packed."""
    return jax.tree.map(lambda x, s: x.reshape(s.shape) if _is_narrow(s) else x, batch, shapes)


def _is_narrow(x: Any) -> bool:
    return x.ndim > 1 and x.shape[-1] < NARROW and jnp.issubdtype(x.dtype, jnp.number)


def carried(
    carry: PyTree,
    recipe: Recipe,
    moving: PyTree,
    rate: Array,
    chains: int,
    rows: np.ndarray,
    axis: int,
) -> PyTree:
    """The optimisers' states of an earlier run of `chains` chains: those of `rows`, on `axis`."""
    fresh = recipe.transformation(rate).init(moving)
    fits = jax.tree.structure(carry) == jax.tree.structure(fresh) and all(
        jnp.shape(x) == (chains, *jnp.shape(y))
        for x, y in zip(jax.tree.leaves(carry), jax.tree.leaves(fresh), strict=True)
    )
    if not fits:
        raise ValueError(
            f"`carry` does not hold the states of this optimiser for {chains} chains: give it the "
            "`carry` of an earlier result with the same `optimiser`, with its `final` as `init`."
        )
    return jax.tree.map(lambda x: jnp.asarray(np.moveaxis(np.asarray(x)[rows], 0, axis)), carry)


def check_moves(recipe: Recipe, moving: PyTree, rate: Array, steps: int) -> None:
    """`ValueError` where `steps` updates with a gradient of ones change nothing at all."""
    transformation = recipe.transformation(rate)
    ones = jax.tree.map(jnp.ones_like, moving)

    def update(state):
        changes, state = transformation.update(ones, state, moving)
        return state, jnp.any(jnp.stack([jnp.any(x != 0) for x in jax.tree.leaves(changes)]))

    state, moved = update(transformation.init(moving))
    if bool(moved):
        return
    # a schedule may begin at zero, for long
    _, _, moved = jax.lax.while_loop(
        lambda carry: (carry[0] < steps) & ~carry[2],
        lambda carry: (carry[0] + 1, *update(carry[1])),
        (1, state, moved),
    )
    if not bool(moved):
        raise ValueError(
            f"`optimiser` moves nothing in {steps} steps: its learning rate is zero. Give it a "
            "positive one."
        )
