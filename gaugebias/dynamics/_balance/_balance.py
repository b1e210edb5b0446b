"""Where gradient noise drives conserved quantities: their rates."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction, algebra_dimension
from ...symmetry._action import unravel_coefficients
from .._processes._sde import AbstractSampledSDE, moving


@final
class BalanceRates(eqx.Module):
    r"""What moves `C_a = theta^T A_a theta`, per unit time; each a coefficient pytree.

    - `noise`: `tr(b b^T A_a)`, with `b` the diffusion: `(eta/B) tr(Sigma A_a)` for minibatches.
        It has no martingale part where the noise is horizontal.
    - `drift`: `2 <X_a, drift>`: 0 for invariant losses, `-2 lambda C_a` with weight decay.
    - `finite_step`: `eta a^T A_a a` with `a` the drift: what gradient descent of step `eta` adds
        with no noise at all. `E[Delta C_a] / eta` of the discrete process is the sum of the three.
        Zero for `second_order` equations, whose drift has it.
    """

    noise: PyTree
    drift: PyTree
    finite_step: PyTree


def balance_rates(sde, action, params: PyTree) -> BalanceRates:
    """The predicted rates of every `C_a = theta^T A_a theta`, noise and finite step apart.

    Noise equilibrium (2402.07193) and the law of balance (2308.06671, Theorem 3.1): `C_a` is
    conserved by gradient flow, and under horizontal noise moves at `tr(b b^T A_a)` without a
    martingale part. The finite-step term is of the same order, `eta`, and is no effect of noise:
    what noise does is shown against the full batch at the same learning rate.

    **Arguments:**

    - `sde`: a process whose noise is made by data, as [`gaugebias.dynamics.MinibatchSDE`][].
    - `action`: a linear action whose algebra is closed under transpose (checked where `params`
        are concrete).
    - `params`: one point.

    **Returns:** a [`gaugebias.dynamics.BalanceRates`][], in units of `theta^2 / time`. (The moment
    map is `C_a / 2`: [`gaugebias.dynamics.imbalance_rate`][] is half of `noise + drift`.)

    **Raises:** `ValueError` for an action without such quantities (translations, shears), and a
    process whose noise is not made by data.
    """
    require_charges(sde, action, params)
    return _rates(sde, action, params)


@eqx.filter_jit
def _rates(sde: AbstractSampledSDE, action: AbstractAction, params: PyTree) -> BalanceRates:
    down = sde.drift(params)
    rate = getattr(sde, "learning_rate", 0.0)
    if getattr(sde, "second_order", False):
        rate = 0.0 * rate
    return BalanceRates(
        noise=sde.sum_over_noise(params, lambda g: form(action, params, g)),
        drift=jax.tree.map(lambda c: 2.0 * c, action.cotangent(params, down)),
        finite_step=jax.tree.map(lambda c: rate * c, form(action, params, down)),
    )


def at_tangent(params: PyTree, tangent: PyTree) -> PyTree:
    """A tangent in the place of the parameters, for actions that are linear."""
    return eqx.combine(tangent, eqx.filter(params, eqx.is_inexact_array, inverse=True))


def form(action: AbstractAction, params: PyTree, v: PyTree) -> PyTree:
    """`v^T A_a v` for every generator."""
    return action.cotangent(at_tangent(params, v), v)


def basis_of(action: AbstractAction, params: PyTree) -> tuple[PyTree, Array]:
    """The shapes of the coefficients, and a basis of them as raveled rows."""
    dtype = jnp.result_type(*jax.tree.leaves(moving(params)))
    return action.algebra(params), jnp.eye(algebra_dimension(action, params), dtype=dtype)


def require_charges(sde: object, action: object, params: PyTree) -> None:
    """`ValueError` unless the noise is made by data and the action has quantities to drive."""
    if not isinstance(sde, AbstractSampledSDE):
        raise ValueError(
            "`sde` must be a process whose noise is made by data, as `MinibatchSDE` or "
            "`LabelNoiseSDE`; for others see `imbalance_rate`."
        )
    require_symmetric_algebra(action, params)


def require_symmetric_algebra(action: object, params: PyTree) -> None:
    """`ValueError` unless an action is linear and its algebra closed under transpose.

    Nothing is checked while tracing.
    """
    if not isinstance(action, AbstractAction):
        raise ValueError(f"`action` must be an action of `gaugebias.symmetry`, but is {action!r}.")
    leaves = jax.tree.leaves((eqx.filter(params, eqx.is_array), action))
    if any(isinstance(x, Tracer) for x in leaves):
        return
    if not all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(moving(params))):
        raise ValueError("`params` holds values that are not finite.")
    bent, turned = (float(x) for x in _departures(action, params))
    if bent > 1e-3:
        raise ValueError(
            "`action` is not linear in the parameters, so that there is no conserved "
            "theta^T A theta: take linear actions, as `Rescaling` or `GeneralLinear`."
        )
    if turned > 1e-3:
        raise ValueError(
            "`action` has an algebra that is not closed under transpose, so that gradient flow "
            "does not conserve theta^T A theta: take the part of it that is, or `expected_rate`."
        )


@eqx.filter_jit
def _departures(action: AbstractAction, params: PyTree) -> tuple[Array, Array]:
    """How far one random generator `A` is from linear, and `A^T theta` from the orbit's tangents.

    At a random point `theta`. The second is what conservation needs: gradients of an invariant
    loss are orthogonal to the tangents. Found by conjugate gradients; no matrix is formed.
    """
    algebra, basis = basis_of(action, params)
    flat, unravel = ravel_pytree(moving(params))
    keys = jax.random.split(jax.random.key(1), 3)
    one, two = (jax.random.normal(k, (flat.size,), flat.dtype) for k in keys[:2])
    row = jax.random.normal(keys[2], (basis.shape[0],), flat.dtype)

    def field(x, coefficients):
        at = at_tangent(params, unravel(x))
        return ravel_pytree(action.tangent(at, unravel_coefficients(algebra, coefficients)))[0]

    def size(x):
        return jnp.sqrt(jnp.sum(x**2))

    whole, parts = field(one + two, row), field(one, row) + field(two, row)
    scale = size(whole) + size(parts)
    bent = size(whole - parts) / jnp.where(scale > 0, scale, 1.0)

    goal = jax.vjp(lambda x: field(x, row), jnp.zeros_like(one))[1](one)[0]

    def along(v):
        return ravel_pytree(action.cotangent(at_tangent(params, unravel(one)), unravel(v)))[0]

    found, _ = jax.scipy.sparse.linalg.cg(
        lambda c: along(field(one, c)), along(goal), tol=1e-5, maxiter=200
    )
    rest = goal - field(one, found)
    return bent, size(rest) / jnp.where(size(goal) > 0, size(goal), 1.0)
