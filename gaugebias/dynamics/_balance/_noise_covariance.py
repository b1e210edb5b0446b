"""The covariance of per-sample gradients, applied to tangents and never formed."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, algebra_dimension, generator_name
from ...symmetry._action import unravel_coefficients
from .._processes._matched import squared_norm
from .._processes._samples import PerSample
from .._processes._sde import like, moving

_RANDOM = 8  # random directions that generators are compared with


def noise_covariance_product(
    per_sample_loss: Callable,
    params: PyTree,
    data: PyTree,
    tangent: PyTree,
    *,
    chunk: int | None = None,
    vectorised: bool = False,
) -> PyTree:
    r"""`Sigma v`, with `Sigma = (1/n) sum_i (g_i - mean g)(g_i - mean g)^T` over the data.

    One forward pass for the derivatives of all losses along `v`, one backward pass to combine
    the gradients.

    **Arguments:** as of [`gaugebias.dynamics.MinibatchSDE`][]; `tangent`, with the structure of
    the moving leaves of `params`.

    **Returns:** a tangent.
    """
    samples = PerSample(per_sample_loss, data, chunk, vectorised)
    samples.check(params)
    want, have = (like(moving(x)) for x in (params, tangent))
    if jax.tree.structure(want) != jax.tree.structure(have) or want != have:
        raise ValueError(
            "`tangent` must have the structure, shapes and dtypes of the moving leaves of "
            f"`params`, {want}, but has {have}."
        )
    return _product(samples, params, moving(tangent))


def _product(samples: PerSample, params: PyTree, tangent: PyTree) -> PyTree:
    slopes = samples.slopes(params, tangent)
    return samples.weighted_gradient(params, (slopes - jnp.mean(slopes)) / samples.size)


def noise_trace(
    per_sample_loss: Callable,
    params: PyTree,
    data: PyTree,
    *,
    chunk: int | None = None,
    vectorised: bool = False,
) -> Array:
    """`tr Sigma` of the per-sample gradients at `params`, in bounded memory."""
    return _trace(PerSample(per_sample_loss, data, chunk, vectorised), params)


def _trace(samples: PerSample, params: PyTree) -> Array:
    centre = samples.gradient(params)
    return samples.sum_over_gradients(params, squared_norm, centre) / samples.size


@final
class HorizontalityReport(eqx.Module):
    """What `horizontality` measured; all numbers lie in `[0, 1]`, 0 is horizontal.

    - `relative`: `|Sigma X_a| / (tr Sigma |X_a|)` for each generator, shape `(k,)`, in the order
        of the raveled coefficients (0 where the generator vanishes at the point).
    - `largest`, `generator`: the largest of them, and the generator's name.
    - `random`: the same for random directions, on average: what no symmetry gives.
    - `trace`: `tr Sigma`.
    """

    relative: np.ndarray
    largest: float
    generator: str
    random: float
    trace: float


@eqx.filter_jit
def _measure(samples: PerSample, action: AbstractAction, params: PyTree):
    trace = _trace(samples, params)
    algebra = action.algebra(params)
    k = algebra_dimension(action, params)
    still = moving(params)
    dtype = jnp.result_type(*jax.tree.leaves(still))

    def relative(v):
        size = jnp.sqrt(squared_norm(v))
        image = jnp.sqrt(squared_norm(_product(samples, params, v)))
        # tiny alone would underflow in the product
        return jnp.where(size * trace > 0, image / jnp.where(size * trace > 0, size * trace, 1), 0)

    def generator(a):
        basis = jnp.zeros((k,), dtype).at[a].set(1.0)
        return relative(action.tangent(params, unravel_coefficients(algebra, basis)))

    def random(key):
        leaves, treedef = jax.tree.flatten(still)
        keys = jax.random.split(key, len(leaves))
        draws = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
        return relative(jax.tree.unflatten(treedef, draws))

    along = jax.lax.map(generator, jnp.arange(k))
    across = jax.lax.map(random, jax.random.split(jax.random.key(0), _RANDOM))
    return along, jnp.mean(across), trace


def horizontality(
    per_sample_loss: Callable,
    action,
    params: PyTree,
    data: PyTree,
    *,
    chunk: int | None = None,
    vectorised: bool = False,
) -> HorizontalityReport:
    r"""Is gradient noise orthogonal to the orbits? `|Sigma X_a|` for every generator, measured.

    Where each sample's loss is invariant, each sample's gradient is orthogonal to the orbit and
    `Sigma X_a = 0` up to rounding; a loss that is invariant only on average is seen here.

    **Arguments:** `per_sample_loss`, `data`, `chunk` and `vectorised` as of
    [`gaugebias.dynamics.MinibatchSDE`][]; `action`, whose orbits; `params`, one point.

    **Returns:** a [`gaugebias.dynamics.HorizontalityReport`][].
    """
    samples = PerSample(per_sample_loss, data, chunk, vectorised)
    if not isinstance(action, AbstractAction):
        raise ValueError(f"`action` must be an action of `gaugebias.symmetry`, but is {action!r}.")
    samples.check(params)
    along, across, trace = _measure(samples, action, params)
    relative = np.asarray(along, np.float64)
    if relative.size == 0:
        return HorizontalityReport(relative, 0.0, "", float(across), float(trace))
    worst = int(np.argmax(relative))
    return HorizontalityReport(
        relative,
        float(relative[worst]),
        generator_name(action, params, worst),
        float(across),
        float(trace),
    )
