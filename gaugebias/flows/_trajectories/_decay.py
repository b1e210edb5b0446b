"""Weight decay that commutes with a parametrisation: the start that it shifts to."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from .._parametrisations._parametrisation import AbstractParametrisation, check_entries
from .._potentials._potential import AbstractSeparablePotential, as_float
from ._commutation import commutation, dual_flow, flattened

_PROBES = 8


def decay_bracket(fn: Callable, penalty: Callable, params: PyTree, *, spread: float = 0.1) -> Array:
    r"""The largest bracket of `grad h` with gradients of outputs of `fn` around `params`.

    \([\nabla h, \nabla G_b] = \nabla^2 G_b \nabla h - \nabla^2 h \nabla G_b\) for random
    combinations `b . G` at random points, over the sum of its two terms: 0 to rounding where the
    penalty `h` commutes with every output, at most 1.

    **Arguments:** `fn`, `G`; `penalty`, `h`, a scalar function of the parameters; `params`, a
    pytree; `spread` of the points, over the root mean square of `params`.
    """
    flat, w, _ = flattened(fn, params)
    decay, _, _ = flattened(penalty, params)
    if w.size == 0:
        raise ValueError("`params` has no floating leaves: there is nothing to differentiate.")
    if jax.eval_shape(decay, w).size != 1:
        raise ValueError("`penalty` must be a scalar function of the parameters, h(params).")
    outputs = jax.eval_shape(flat, w).size
    size = jnp.sqrt(jnp.mean(w**2))
    pull = jax.grad(lambda x: jnp.sum(decay(x)))

    @jax.jit
    def measure(key):
        where, which = jr.split(key)
        x = w + spread * jnp.where(size > 0, size, 1.0) * jr.normal(where, w.shape, w.dtype)
        b = jr.normal(which, (outputs,), w.dtype)
        push = jax.grad(lambda x: jnp.sum(b * flat(x)))
        first = jax.jvp(push, (x,), (pull(x),))[1]
        second = jax.jvp(pull, (x,), (push(x),))[1]
        terms = jnp.linalg.norm(first) + jnp.linalg.norm(second)
        return jnp.linalg.norm(first - second) / jnp.where(terms > 0, terms, 1.0)

    found = jnp.max(jax.lax.map(measure, jr.split(jr.key(0), _PROBES)))
    if not isinstance(found, Tracer) and not bool(jnp.isfinite(found)):
        raise ValueError(
            "`fn` or `penalty` is not finite, with second derivatives, around `params`: give a "
            "point inside of their domain, or a smaller `spread`."
        )
    return found


def decayed_start(
    fn: Callable, penalty: Callable, start: PyTree, decay: ArrayLike, *, spread: float = 0.1
) -> PyTree:
    r"""The start from which gradient flow without decay ends where it ends with it.

    Under gradient flow of \(L(G(w)) + \alpha_t h(w)\), with commuting \(\nabla G_i\) and `h`
    commuting with all of them,

    \[ w_t = \exp(\textstyle\sum_i \mu_i \nabla G_i)\, \exp(-A_t \nabla h)\, w_0, \qquad
       \mu = -\int\nabla L\,dt, \quad A_t = \int\alpha\,dt: \]

    at every time `G(w_t)` is on the mirror flow of the potential of the shifted start
    \(\exp(-A_t\nabla h) w_0\), which this function returns. With \(G = u^D - v^D\) commute the
    combinations of the \(u_i^D\) and \(v_i^D\), as \(h = \sum u^D + v^D\): the sum of squares
    does at `D = 2` only.

    **Arguments:**

    - `fn`, `penalty`: `G` and `h`, functions of a pytree of parameters, twice differentiable.
    - `start`: `w_0`. `decay`: `A >= 0`, a scalar.
    - `spread`: of the points at which commutation is tested, over the root mean square of `start`.

    **Returns:** parameters like `start`.

    **Raises:** `ValueError` where the outputs of `fn` do not commute, or `penalty` does not with
    them, naming the bracket and what would work.

    Source: stated for time-dependent mirror flows in the line of Mask in the Mirror; derived here.

    !!! example

        ```python
        depth = gb.flows.PowerDifference(4)
        w0 = depth.lift(jnp.zeros(5), 0.8)
        h = lambda w: jnp.sum(w[0] ** 4 + w[1] ** 4)
        depth.potential(gb.flows.decayed_start(depth, h, w0, 0.1))
        ```
    """
    amount = as_float(decay)
    if amount.ndim:
        raise ValueError(f"`decay` must be a scalar, but has shape {amount.shape}.")
    check_entries(amount >= 0, "decay", "is an integral of a non-negative rate and is negative")
    inner = commutation(fn, start, spread=spread)
    if not inner.commutes:
        raise ValueError(
            f"the gradients of `fn` do not commute (bracket {float(inner.bracket):.2g} of 1): its "
            "gradient flow is no mirror flow, with or without decay; integrate it by "
            "`gradient_flow`."
        )
    bracket = decay_bracket(fn, penalty, start, spread=spread)
    limit = 1e4 * float(jnp.finfo(bracket.dtype).eps)
    if not float(bracket) <= limit:
        raise ValueError(
            f"`penalty` does not commute with `fn` (bracket {float(bracket):.2g} of 1): its decay "
            "shifts no start. Of u^D - v^D it must be a combination of the u_i^D and v_i^D, of u v "
            "one of the u_i^2 + v_i^2 and u_i v_i; otherwise integrate by `gradient_flow`."
        )
    tolerance = 1e-13 if bracket.dtype == jnp.float64 else 1e-6
    shrink = lambda w: jnp.reshape(penalty(w), (1,))  # noqa: E731
    try:
        return dual_flow(shrink, start, -amount[None], tolerance=tolerance)
    except ValueError as error:
        raise ValueError(
            f"`decay` {float(amount):g} leads out of the range of numbers or takes too many steps: "
            "give a smaller integral, or a `penalty` that is convex."
        ) from error


def decayed_potential(
    fn: Any, penalty: Callable, start: PyTree, decay: ArrayLike
) -> AbstractSeparablePotential:
    r"""The potential \(R_A\) of a parametrisation under commuting weight decay.

    That of [`gaugebias.flows.decayed_start`][]: \(\nabla R_{A_t}(x_t) = -\int\nabla L\,dt\), so
    that on `A x = b` with decay switched off in time, the limit minimises `R_A`. For products
    [`gaugebias.flows.decayed_entropy`][] has it in closed form.

    **Arguments:** `fn`, a parametrisation of the package; the others as in `decayed_start`.
    """
    if not isinstance(fn, AbstractParametrisation):
        raise ValueError(
            "`fn` must be a parametrisation of `gaugebias.flows`, whose potential is known; for "
            "others take `decayed_start`, and `mirror_hessian` there."
        )
    return fn.potential(decayed_start(fn, penalty, start, decay))
