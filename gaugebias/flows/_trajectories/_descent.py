"""Gradient descent in discrete steps, with the initialisation that it effectively had."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from ..._arguments import as_key
from .._parametrisations._parametrisation import check_entries, pair
from .._parametrisations._redundant import PowerDifference, Product
from .._potentials._certificate import check_matrix
from .._potentials._entropy import HyperbolicEntropy
from .._potentials._potential import as_float
from ._losses import LinearModel


def _log_factor(z: Array) -> Array:
    """`ln|1 - z| + z`, the part of a step's factor that is not its exponential."""
    small = jnp.abs(z) < 0.5
    inner = jnp.log1p(-jnp.where(small, z, 0.0))
    outer = jnp.log(jnp.abs(jnp.where(small, 0.5, 1.0 - z)))
    return jnp.where(small, inner, outer) + z


@final
class EffectiveInitialisation(eqx.Module):
    r"""The start from which a flow would have ended where the discrete process did: exact.

    A step of any batch multiplies `u` by `1 - gamma g` and `v` by `1 + gamma g`, `g` in the range
    of `A^T`. The part of the logarithms that is linear in `g` is what a flow does; the rest moves
    the start,

    \[ \alpha_\pm = \alpha_{\pm,0} \prod_k |1 \mp \gamma g_k| e^{\pm\gamma g_k}, \qquad
       |u v| = \alpha_+ \alpha_- \;\text{at every step.} \]

    A limit that fits the data is the minimiser of `potential` on it. Valid while no
    `|gamma g|` was 1 (a weight of 0 never moves again): `clearance` is the least distance from it.

    Source: 2106.09524 and 2302.08982; re-derived, for unequal starts and varying rates.
    """

    log_plus: Array
    log_minus: Array
    clearance: Array
    product: bool = eqx.field(static=True)

    @staticmethod
    def begin(fn: PowerDifference | Product, start: PyTree) -> "EffectiveInitialisation":
        """That of the start itself, for `u^2 - v^2` or `u v`."""
        u, v = _modes(fn, pair(start, "start"))
        check_entries(
            (u != 0) & (v != 0), "start", "has a weight (or a balanced pair) that never moves"
        )
        product = isinstance(fn, Product)
        clear = jnp.full(u.shape, jnp.inf, u.dtype)
        return EffectiveInitialisation(jnp.log(jnp.abs(u)), jnp.log(jnp.abs(v)), clear, product)

    def step(self, learning_rate: ArrayLike, gradient: Array) -> "EffectiveInitialisation":
        """After a step with `dL/dx = gradient`, of the loss of that step's batch."""
        z = as_float(learning_rate) * gradient * (1.0 if self.product else 2.0)
        return EffectiveInitialisation(
            self.log_plus + _log_factor(z),
            self.log_minus + _log_factor(-z),
            jnp.minimum(self.clearance, jnp.abs(jnp.abs(z) - 1.0)),
            self.product,
        )

    @property
    def valid(self) -> Array:
        """Whether every step kept clear of `|gamma g| = 1`."""
        return jnp.all(self.clearance > 0)

    @property
    def scale(self) -> Array:
        r"""\(\alpha_+\alpha_-\), the product `|u v|` of the modes: \(\alpha_\infty^2\)."""
        return jnp.exp(self.log_plus + self.log_minus)

    @property
    def start(self) -> Array:
        """The predictor of the effective start, shape `(d,)`."""
        gap = jnp.exp(2.0 * self.log_plus) - jnp.exp(2.0 * self.log_minus)
        return 0.5 * gap if self.product else gap

    @property
    def potential(self) -> HyperbolicEntropy:
        """The potential whose minimiser on the solutions is the limit."""
        factor, rate = (1.0, 2.0) if self.product else (2.0, 4.0)
        shift = self.log_plus - self.log_minus
        return HyperbolicEntropy(factor * self.scale, shift, jnp.asarray(rate, shift.dtype))


def _modes(fn, weights: tuple[Array, Array]) -> tuple[Array, Array]:
    """The two weights that a step multiplies by `1 -+ gamma g`."""
    u, v = weights
    if isinstance(fn, Product):
        return (u + v) / jnp.sqrt(2.0), (u - v) / jnp.sqrt(2.0)
    if isinstance(fn, PowerDifference) and fn.depth == 2:
        return u, v
    raise ValueError(
        "the effective initialisation is an exact product for `PowerDifference(2)` and `Product()` "
        f"only, not for {fn!r}: deeper steps are not multiplicative."
    )


@final
class DescentPath(eqx.Module):
    """What [`gaugebias.flows.gradient_descent`][] did.

    - `steps`: shape `(T,)`, the numbers of the steps saved, from 0.
    - `params`, `x`: with a leading axis `T`; `loss`: the full loss, shape `(T,)`.
    - `initialisation`: after the last step; None for parametrisations without one.
    """

    steps: Array
    params: PyTree
    x: PyTree
    loss: Array
    initialisation: EffectiveInitialisation | None

    @property
    def end(self) -> PyTree:
        """The last predictor."""
        return jax.tree.map(lambda v: v[-1], self.x)


@eqx.filter_jit
def _descend(fn, loss, start, rates, key, batch, tracker, saves):
    def one(carry, k):
        params, track = carry
        if batch is None:
            batch_loss = loss
        else:
            chosen = jr.randint(jr.fold_in(key, k), (batch,), 0, loss.y.shape[0])
            batch_loss = loss.rows(chosen)
        x, pull = jax.vjp(fn, params)
        gradient = jax.grad(batch_loss)(x)
        moves = pull(gradient)[0]
        params = jax.tree.map(lambda p, m: p - rates[k] * m, params, moves)
        if track is not None:
            track = track.step(rates[k], gradient)
        return (params, track), None

    def stretch(carry, first):
        length = rates.shape[0] // saves
        carry, _ = jax.lax.scan(one, carry, first + jnp.arange(length))
        return carry, carry[0]

    firsts = jnp.arange(saves) * (rates.shape[0] // saves)
    (_, track), path = jax.lax.scan(stretch, (start, tracker), firsts)
    path = jax.tree.map(lambda s, p: jnp.concatenate([s[None], p]), start, path)
    x = jax.vmap(fn)(path)
    numbers = jnp.arange(saves + 1) * (rates.shape[0] // saves)
    return DescentPath(numbers, path, x, jax.vmap(loss)(x), track)


def gradient_descent(
    fn: Callable,
    loss: Callable,
    start: PyTree,
    learning_rate: ArrayLike,
    *,
    steps: int,
    saves: int = 1,
    key=None,
    batch_size: int | None = None,
) -> DescentPath:
    """Gradient descent on `L(g(w))`, full or with random batches.

    **Arguments:**

    - `fn`, `loss`, `start`: as in [`gaugebias.flows.gradient_flow`][].
    - `learning_rate`: a scalar, or one for each step, shape `(steps,)`.
    - `steps`: their number; `saves`: how many times the state is kept, which must divide it.
    - `key`, `batch_size`: rows drawn with replacement for each step; `loss` must then be a
        [`gaugebias.flows.LinearModel`][]. None of them is the full gradient.

    **Returns:** a [`gaugebias.flows.DescentPath`][], with the effective initialisation for
    `PowerDifference(2)` and `Product()`.

    **Raises:** `ValueError` for numbers out of range, and where the run has diverged.
    """
    if steps < 1 or saves < 1 or steps % saves:
        raise ValueError(f"`saves` must divide `steps`, both at least 1, not {saves} and {steps}.")
    if (key is None) != (batch_size is None):
        raise ValueError("`key` and `batch_size` belong together: give both or none.")
    if batch_size is not None:
        if not isinstance(loss, LinearModel):
            raise ValueError("`loss` must be a `LinearModel` to be sampled by `batch_size`.")
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, but is {batch_size}.")
        key = as_key(key)
    start = jax.tree.map(as_float, start)
    rates = as_float(learning_rate)
    if rates.shape not in ((), (steps,)):
        raise ValueError(f"`learning_rate` must be a scalar or of shape ({steps},).")
    check_entries(rates > 0, "learning_rate", "must be positive")
    rates = jnp.broadcast_to(rates, (steps,)).astype(jnp.result_type(*jax.tree.leaves(start)))
    tracked = isinstance(fn, Product) or (isinstance(fn, PowerDifference) and fn.depth == 2)
    tracker = EffectiveInitialisation.begin(fn, start) if tracked else None  # pyright: ignore
    path = _descend(fn, loss, start, rates, key, batch_size, tracker, saves)
    last = path.loss[-1]
    if not isinstance(last, Tracer) and not bool(jnp.isfinite(last)):
        raise ValueError(
            "`learning_rate` is too large: the loss is no longer finite after "
            f"{steps} steps. Halve it until the loss falls."
        )
    return path


def sde_initialisation(
    alpha: ArrayLike,
    learning_rate: ArrayLike,
    A: ArrayLike,
    loss_integral: ArrayLike,
    *,
    batch_size: int = 1,
) -> Array:
    r"""**Approximate** effective initialisation of SGD on `u^2 - v^2`, by an average over noise.

    \(\alpha_\infty = \alpha \exp(-(4\gamma/b)\,\mathrm{diag}(A^T A/n) \int L\,dt)\) for the loss
    of [`gaugebias.flows.LinearModel`][], \(L = \sum r^2/(2n)\) (for \(\sum r^2/(4n)\), as
    published, the factor is 2): the exact product with its squares replaced by a mean over samples,
    residuals taken as independent of inputs, and the full gradient's own square left out. With few
    samples the logarithm is off by a factor; use [`gaugebias.flows.EffectiveInitialisation`][]
    where the process itself was run.

    **Arguments:** `alpha`, the start, shape () or `(d,)`; `learning_rate`, `gamma`; `A`, shape
    `(n, d)`; `loss_integral`, over time `gamma k`; `batch_size`, `b`.

    **Returns:** \(\alpha_\infty\), shape `(d,)`.

    Source: 2106.09524; re-derived by averaging the identity.
    """
    matrix = check_matrix(A)
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, but is {batch_size}.")
    check_entries(as_float(alpha) > 0, "alpha", "must be positive")
    check_entries(as_float(learning_rate) > 0, "learning_rate", "must be positive")
    check_entries(as_float(loss_integral) >= 0, "loss_integral", "must not be negative")
    power = jnp.mean(matrix**2, axis=0)
    rate = 4.0 * as_float(learning_rate) / batch_size
    return as_float(alpha) * jnp.exp(-rate * as_float(loss_integral) * power)
