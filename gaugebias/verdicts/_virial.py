import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from .._compile import compiled_once
from ..stats._checks import Numbers, as_array, as_sample


class VirialResult(eqx.Module):
    """Outcome of `virial_test`: `statistic` (Student's t), two-sided `p_value`, `n` chains,
    `work` = mean of theta . grad L, `expected` = mean of T (alpha^2 rank P + beta^2 rank Q),
    their `ratio` and its standard error `ratio_error`."""

    statistic: float
    p_value: float
    n: int
    work: float
    expected: float
    ratio: float
    ratio_error: float


def _per_chain(x: Numbers, name: str) -> np.ndarray:
    array = as_array(x, name)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"`{name}` must have shape (chains,) or (chains, draws); it has shape {array.shape}."
        )
    return as_sample(array if array.ndim == 1 else array.mean(axis=1), name)


def virial_test(work: Numbers, expected: Numbers) -> VirialResult:
    """Test the virial identity E[theta . grad L] = T (alpha^2 E rank P + beta^2 E rank Q).

    It holds for every group and predictor under Ito noise sqrt(2T) (alpha P + beta Q) once
    |theta|^2 is stationary: P and Q project across and along the orbits (Ito's formula for
    |theta|^2; no slice, no law needed). So it is what is left to test where a law is refused.
    Derived for this package; the projected noise is that of arXiv 2602.12257.

    **Arguments:** `work`: theta . grad L, shape (chains,) or (chains, draws), draws averaged first
    (time averages of stationary chains are allowed). `expected`: T (alpha^2 rank P + beta^2 rank
    Q), a scalar where the ranks are constant, else of shape (chains,) or (chains, draws). Units of
    the loss. `virial_terms` computes both.

    **Returns:** a `VirialResult`: Student's t over the independent chains of work - expected, with
    the ratio of the two means and its delta-method error. Started from chains that are not
    stationary it reports d|theta|^2/dt, not a failure of the identity.

    **Few chains:** the work is skewed (chi-squared for a Gaussian), and Student's t then rejects
    too often. With the final draw of one dimension, the worst case, p < 1e-3 happens 1.5 times in
    1,000 with 1,000 chains, 7 times with 100, 40 times with 8; averages over long records are less
    skewed.

    **Raises:** `ValueError` for fewer than 8 chains, non-finite values, different numbers of
    chains, an `expected` of mean zero, or differences that do not vary.

    ```python
    import numpy as np
    from gaugebias.verdicts import virial_test
    # A Gaussian at temperature 0.1 in 5 dimensions, L = |theta|^2 / 2.
    theta = np.sqrt(0.1) * np.random.default_rng(0).normal(size=(4000, 5))
    found = virial_test(np.sum(theta**2, axis=1), 0.1 * 5)
    assert found.p_value > 1e-3 and abs(found.ratio - 1) < 0.1
    ```
    """
    from scipy.stats import t

    left = _per_chain(work, "work")
    right = (
        np.full(left.shape, float(as_array(expected, "expected")))
        if np.ndim(expected) == 0
        else _per_chain(expected, "expected")
    )
    if right.shape != left.shape:
        raise ValueError(
            f"`work` and `expected` must have the same chains: {left.size} and {right.size}."
        )
    n = left.size
    mean_left, mean_right = float(left.mean()), float(right.mean())
    if mean_right == 0.0:
        raise ValueError("`expected` has mean zero: the temperature or both ranks vanish.")
    ratio = mean_left / mean_right
    error = float(np.std(left - ratio * right, ddof=1)) / math.sqrt(n) / abs(mean_right)
    difference = left - right
    spread = float(np.std(difference, ddof=1))
    if spread == 0.0:
        raise ValueError("`work`: the chains do not differ; they must be independent.")
    z = float(difference.mean()) / (spread / math.sqrt(n))
    p_value = min(1.0, 2.0 * float(t.sf(abs(z), n - 1)))
    return VirialResult(z, p_value, n, mean_left, mean_right, ratio, error)


def virial_terms(
    loss: Callable[[Any], Any],
    action: Any,
    params: PyTree,
    temperature: ArrayLike,
    alpha: ArrayLike = 1.0,
    beta: ArrayLike = 0.0,
) -> tuple[Array, Array]:
    """Both sides of the virial identity, per chain, for `virial_test`.

    **Arguments:** `loss`: params -> scalar, the whole potential of the drift with any weight
    decay. `action`: the symmetry group of `loss`'s data term. `params`: final parameters of an
    ensemble, floating leaves (chains, ...); other leaves are shared. `temperature`, `alpha`,
    `beta`: of the process; horizontal noise is alpha = 1, beta = 0.

    **Returns:** `(work, expected)`, each of shape (chains,): theta . grad L and
    T (alpha^2 rank P + beta^2 rank Q), rank Q being the dimension of the orbit at each point.

    **Raises:** `ValueError` when `params` has no floating leaves.
    """
    moving, rest = eqx.partition(params, eqx.is_inexact_array)
    leaves = jax.tree.leaves(moving)
    if not leaves:
        raise ValueError("`params` has no floating leaves: nothing moves.")
    dimension = sum(math.prod(leaf.shape[1:]) for leaf in leaves)

    return _terms(
        loss, action, moving, rest, dimension, *map(jnp.asarray, (temperature, alpha, beta))
    )


@compiled_once
def _terms(loss, action, moving, rest, dimension, t, a, b) -> tuple[Array, Array]:
    from ..quotient import orbit_rank

    def at(point: PyTree) -> tuple[Array, Array]:
        full = eqx.combine(point, rest)
        slope = jax.grad(lambda p: loss(eqx.combine(p, rest)))(point)
        products = jax.tree.map(lambda x, y: jnp.sum(x * y), point, slope)
        work = jax.tree.reduce(jnp.add, products)
        orbit = orbit_rank(action, full)
        return work, t * (a**2 * (dimension - orbit) + b**2 * orbit)

    return jax.vmap(at)(moving)
