"""Does the gradient of one sample depend on other samples?"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._processes._samples import PerSample

_BATCH = 8  # samples in the batches that are compared


def check_samples_apart(samples: PerSample, params: PyTree) -> None:
    """`ValueError` where the gradient of a sample is seen to depend on other samples.

    Also where the loss cannot be evaluated at `params` at all.
    A vectorised loss is compared on batches that share one sample. A loss of one sample cannot
    see the others through its arguments, but can through its closure: where it holds the data
    set, all other rows are replaced and the gradient must stay. Nothing is checked while tracing.
    """
    leaves = jax.tree.leaves((samples, eqx.filter(params, eqx.is_array)))
    if any(isinstance(x, Tracer) for x in leaves):
        return
    samples.check(params)
    if samples.size < 2:
        return
    for index in (0, samples.size // 2):
        pair = (_in_batches if samples.vectorised else _in_closure)(samples, params, index)
        if pair is None:
            return
        here, there = pair
        if not bool(jnp.all(jnp.isfinite(here))):
            continue
        size = float(jnp.max(jnp.abs(here), initial=0.0))
        change = float(jnp.max(jnp.abs(here - there), initial=0.0))
        tolerance = float(jnp.finfo(here.dtype).eps) ** 0.5
        if not change <= tolerance * size + float(jnp.finfo(here.dtype).tiny):
            raise ValueError(
                f"`per_sample_loss` mixes samples: the gradient of sample {index} changes by "
                f"{change / (size or 1.0):.1e} of its size when the other samples change. Every "
                "sample's loss must depend on that sample alone (batch normalisation, batch means "
                "and pairwise losses do not)."
            )


def _gradient(fn: Callable, params: PyTree) -> Array:
    point, still = eqx.partition(params, eqx.is_inexact_array)
    return ravel_pytree(jax.grad(lambda p: fn(eqx.combine(p, still)))(point))[0]


def _in_batches(samples: PerSample, params: PyTree, index: int) -> tuple[Array, Array]:
    """The gradient of sample `index` beside others, and beside copies of itself."""
    others = np.arange(index, index + min(_BATCH, samples.size)) % samples.size
    copies = np.full_like(others, index)

    def at(rows):
        batch = jax.tree.map(lambda x: x[rows], samples.data)
        return _gradient(lambda p: samples.values(p, batch)[0], params)

    return at(others), at(copies)


def _in_closure(samples: PerSample, params: PyTree, index: int) -> tuple[Array, Array] | None:
    """The gradient of sample `index`, as it is and with the other rows of captured data changed.

    `None` where no data are captured.
    """
    point, still = eqx.partition(params, eqx.is_inexact_array)
    sample = jax.tree.map(lambda x: x[index], samples.data)
    leaves = [np.asarray(x) for x in jax.tree.leaves(samples.data)]
    count = samples.size
    numbered = any(x.ndim == 1 and np.array_equal(x, np.arange(count)) for x in leaves)
    changed = []

    def swap(const: Any) -> Any:
        shape = np.shape(const)
        if len(shape) == 0 or shape[0] != count or isinstance(const, Tracer):
            return const
        value = np.asarray(const)
        if not numbered and not any(np.array_equal(value, x) for x in leaves):
            return const
        changed.append(shape)
        return jnp.broadcast_to(value[index], shape).astype(value.dtype)

    flat, treedef = jax.tree.flatten(point)

    def value(*xs):
        return samples.value(eqx.combine(jax.tree.unflatten(treedef, xs), still), sample)

    closed = jax.make_jaxpr(value)(*flat)
    other = _with_constants(closed, swap)
    if not changed:
        return None

    def gradient(jaxpr):
        run = jaxpr_as_fun(jaxpr)
        return ravel_pytree(jax.grad(lambda xs: run(*xs)[0])(flat))[0]

    return gradient(closed), gradient(other)


def _with_constants(closed: ClosedJaxpr, swap: Callable) -> ClosedJaxpr:
    """A program with its captured constants replaced, those of inner programs too."""

    def inner(value: Any) -> Any:
        return _with_constants(value, swap) if isinstance(value, ClosedJaxpr) else value

    eqns = [
        eqn.replace(params={name: inner(value) for name, value in eqn.params.items()})
        for eqn in closed.jaxpr.eqns
    ]
    return closed.replace(
        jaxpr=closed.jaxpr.replace(eqns=eqns), consts=[swap(c) for c in closed.consts]
    )
