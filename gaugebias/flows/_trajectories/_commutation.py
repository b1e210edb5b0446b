"""Whether gradient flow of `L(G(w))` is a mirror flow: brackets of the gradients of `G`."""

from collections.abc import Callable
from typing import final

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..._arguments import as_key


@final
class Commutation(eqx.Module):
    r"""What [`gaugebias.flows.commutation`][] measured.

    - `bracket`: the largest bracket \([\nabla G_a, \nabla G_b]\) of random combinations, over the
        sum of its two terms: 0 where they commute, at most 1.
    - `seen`: the largest \(J [\nabla G_a, \nabla G_b]\), what the predictor sees of the bracket,
        likewise over its two terms.
    - `rank`: the least rank of `J` at the points, and `outputs`, the number of predictors.
    - `commutes`: `bracket` is rounding: gradient flow is a mirror flow, with
        \(\nabla^2 R = (J J^T)^{-1}\), where `J` has full rank.
    - `excluded`: `seen` is not: two losses applied one after the other lead elsewhere in the
        other order, so that no potential describes the flow.

    Neither holds where fields do not commute but the predictor does not see it at second order:
    higher brackets decide, which are not computed.
    """

    bracket: Array
    seen: Array
    rank: Array
    outputs: int = eqx.field(static=True)
    commutes: bool = eqx.field(static=True)
    excluded: bool = eqx.field(static=True)

    @property
    def mirror(self) -> bool | None:
        """True: a mirror flow. False: none. None: not decided."""
        if self.commutes and int(self.rank) == self.outputs:
            return True
        return False if self.excluded else None


def flattened(fn: Callable, params: PyTree):
    """`fn` as a map of flat vectors, at the flat floating leaves of `params`."""
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    w, unravel = ravel_pytree(moving)

    def flat(vector):
        return ravel_pytree(fn(eqx.combine(unravel(vector), still)))[0]

    return flat, w, unravel


def commutation(
    fn: Callable,
    params: PyTree,
    *,
    key=None,
    probes: int = 8,
    spread: float = 0.3,
    tolerance: float | None = None,
) -> Commutation:
    r"""Whether the gradients of the outputs of `fn` commute around `params`.

    \([\nabla G_a, \nabla G_b] = \nabla^2 G_b \nabla G_a - \nabla^2 G_a \nabla G_b\) by forward over
    reverse differentiation, for pairs of random combinations `a . G`, `b . G` at random points
    near `params`. A bracket that vanishes for them vanishes for all pairs, almost surely, where
    `G` is analytic. If it does, gradient flow of *every* loss `L(G(w))` is a mirror flow of one
    potential (Li, Wang, Lee and Arora, 2207.04036).

    **Arguments:**

    - `fn`: `G`, from a pytree of parameters to predictors, twice differentiable.
    - `params`: a point; its floating leaves are moved.
    - `key`: of the points and pairs; a fixed one by default.
    - `probes`: their number.
    - `spread`: standard deviation of the points around `params`, over its root mean square (over
        1 where `params` is 0).
    - `tolerance`: what counts as rounding; by default `1e4 eps` of the dtype.

    **Returns:** a [`gaugebias.flows.Commutation`][].

    **Raises:** `ValueError` where `params` has no floating leaves or `fn` is not finite there.

    !!! example

        ```python
        w = jnp.ones((2, 3))
        gb.flows.commutation(lambda w: w[0] * w[1], w).mirror                        # True
        gb.flows.commutation(lambda w: jnp.outer(w[0], w[1]), w).mirror              # False
        ```
    """
    flat, w, _ = flattened(fn, params)
    if w.size == 0:
        raise ValueError("`params` has no floating leaves: there is nothing to differentiate.")
    if probes < 1:
        raise ValueError(f"`probes` must be at least 1, but is {probes}.")
    outputs = int(jax.eval_shape(flat, w).size)
    key = jr.key(0) if key is None else as_key(key)
    size = jnp.sqrt(jnp.mean(w**2))
    size = jnp.where(size > 0, size, 1.0)

    def field(weights):
        return jax.grad(lambda x: jnp.sum(weights * flat(x)))

    @jax.jit
    def measure(key):
        k1, k2, k3 = jr.split(key, 3)
        x = w + spread * size * jr.normal(k1, w.shape, w.dtype)
        a = jr.normal(k2, (outputs,), w.dtype)
        b = jr.normal(k3, (outputs,), w.dtype)
        at_a, at_b = field(a)(x), field(b)(x)
        first = jax.jvp(field(b), (x,), (at_a,))[1]
        second = jax.jvp(field(a), (x,), (at_b,))[1]
        norm = jnp.linalg.norm
        bracket = first - second
        terms = norm(first) + norm(second)
        _, through = jax.linearize(flat, x)
        jacobian = jax.vmap(through)(jnp.eye(w.size, dtype=w.dtype)).T
        seen = norm(jacobian @ bracket)
        gauge = norm(jacobian @ first) + norm(jacobian @ second)
        terms, gauge = (jnp.where(t > 0, t, 1.0) for t in (terms, gauge))
        return norm(bracket) / terms, seen / gauge, jnp.linalg.matrix_rank(jacobian)

    bracket, seen, rank = jax.lax.map(measure, jr.split(key, probes))
    bracket, seen, rank = jnp.max(bracket), jnp.max(seen), jnp.min(rank)
    if not bool(jnp.isfinite(bracket) & jnp.isfinite(seen)):
        raise ValueError(
            "`fn` or its second derivatives are not finite around `params`: give a point inside of "
            "its domain, or a smaller `spread`."
        )
    limit = 1e4 * float(jnp.finfo(w.dtype).eps) if tolerance is None else tolerance
    return Commutation(bracket, seen, rank, outputs, bool(bracket <= limit), bool(seen > limit))


def mirror_hessian(fn: Callable, params: PyTree) -> Array:
    r"""\((J J^T)^{-1}\) at `params`, shape `(m, m)`: the Hessian of the potential at `fn(params)`.

    That of [`gaugebias.flows.commutation`][]'s mirror flow where there is one; otherwise only the
    metric in which the predictor descends. Infinite where `J` does not have full row rank.
    """
    flat, w, _ = flattened(fn, params)
    jacobian = jax.jacrev(flat)(w)
    return jnp.linalg.inv(jacobian @ jacobian.T)


def dual_flow(
    fn: Callable, params: PyTree, dual, *, tolerance: float = 1e-10, max_steps: int = 4096
) -> PyTree:
    r"""The parameters after `fn`'s gradients have acted for the dual time `dual`.

    \(w = \exp(\sum_i \mu_i \nabla G_i)\,w_0\), by integration along the straight path to
    \(\mu = -\int \nabla L\,dt\). Where [`gaugebias.flows.commutation`][] holds this is what
    gradient flow of any loss reaches, by whatever path `mu` was gathered; where it does not, it is
    this one path only.

    **Arguments:** `fn`, `params` as there; `dual`, `mu`, of as many entries as `fn` has outputs;
    `tolerance`, relative, of the integration.
    """
    flat, w, unravel = flattened(fn, params)
    mu = jnp.ravel(jnp.asarray(dual, w.dtype))
    if mu.shape != jax.eval_shape(flat, w).shape:
        raise ValueError(
            f"`dual` must have one entry for each of the {jax.eval_shape(flat, w).size} outputs "
            f"of `fn`, but has {mu.size}."
        )
    still = eqx.partition(params, eqx.is_inexact_array)[1]
    end, arrived = _act(fn, params, mu, jnp.asarray(tolerance, w.dtype), max_steps)
    if not isinstance(arrived, Tracer) and not bool(arrived):
        raise ValueError(
            f"`dual` is not reached within {max_steps} steps: its entries must be finite and in "
            "the range that the weights can take (powers above 2 blow up at finite dual time); or "
            "raise `max_steps`, or `tolerance` in float32."
        )
    return eqx.combine(unravel(end), still)


@eqx.filter_jit
def _act(fn: Callable, params: PyTree, mu: Array, tolerance: Array, max_steps: int):
    flat, w, _ = flattened(fn, params)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, mu: jax.vjp(flat, x)[1](mu)[0]),
        diffrax.Dopri8(),
        t0=0.0,
        t1=1.0,
        dt0=None,
        y0=w,
        args=mu,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        max_steps=max_steps,
        throw=False,
    )
    assert solution.ys is not None
    end = solution.ys[-1]
    good = (solution.result == diffrax.RESULTS.successful) & jnp.all(jnp.isfinite(end))
    return end, good
