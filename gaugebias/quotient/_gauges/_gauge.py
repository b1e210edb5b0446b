"""Gauges: functions whose zero set picks one point, or one compact orbit, from every orbit."""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jax.core import Tracer
from jaxtyping import Array, PyTree

from ...symmetry import AbstractAction
from ...symmetry._leaves import precision
from ._closed_gauge import balanced

if TYPE_CHECKING:
    from .._quotient import Quotient


class AbstractGauge(eqx.Module):
    """A gauge function `chi`; the slice is `{chi = 0}`."""

    @abc.abstractmethod
    def chi(self, action: AbstractAction, params: PyTree) -> PyTree:
        """The gauge function at `params`: a pytree of arrays, all zero on the slice."""


class MomentMapGauge(AbstractGauge):
    """`chi_a = 1/2 theta^T A_a theta` for the symmetric generators of a linear action.

    `grad chi_a = X_a` exactly, so the slice is orthogonal to the symmetric generators, contains
    the orbits of the compact ones (whose `chi` vanishes identically), and holds the points of
    least norm of the closed orbits (Kempf-Ness). For factorisations it is the balanced slice.
    The action must be linear with an algebra closed under transpose; a pure scaling has no zero.
    """

    def chi(self, action: AbstractAction, params: PyTree) -> PyTree:
        moving = eqx.filter(params, eqx.is_inexact_array)
        return jax.tree.map(lambda c: 0.5 * c, action.cotangent(params, moving))


class FunctionGauge(AbstractGauge):
    """A gauge function of your own.

    **Arguments:**

    - `function`: `params -> pytree of arrays`, zero on the slice. Conditioning on it depends on
        the function and not only on its zero set (Borel-Kolmogorov).
    """

    function: Callable

    def __check_init__(self):
        if not callable(self.function):
            raise ValueError("`function` must be callable: params -> pytree of arrays.")

    def chi(self, action: AbstractAction, params: PyTree) -> PyTree:
        return self.function(params)


def fix_gauge(q: "Quotient", params: PyTree, *, max_steps: int = 128) -> PyTree:
    """The point of the orbit of `params` on the slice `chi = 0`.

    Closed form for the moment map of rescalings, entrywise products of them and `GL(r)`, and for
    products of these that share no leaf; Newton's method on the convex squared norm for
    rescalings that share leaves, as the layers of a ReLU network do; for the rest
    Levenberg-Marquardt on `chi` along the orbit, through the action's own flow, so that the
    result is always a group element away from `params`. Where the slice holds a whole compact
    orbit, any of its points may return.

    **Arguments:**

    - `q`: the quotient (its action and gauge).
    - `params`: one point; `vmap` for batches.
    - `max_steps`: bound on the iteration where there is no closed form.

    **Returns:** parameters of the same structure. Where no zero is found (an orbit that never
    meets the slice, as `u != 0, v = 0`) the moving leaves are NaN inside `jit` and `vmap`.

    **Raises:** `ValueError` where no zero is found, or `params` is not finite, and the values are
    concrete.
    """
    if not isinstance(getattr(q, "gauge", None), AbstractGauge):
        raise ValueError("`q` must be a `gaugebias.Quotient`: `fix_gauge(q, params)`.")
    given = jax.tree.leaves(eqx.filter(params, eqx.is_inexact_array))
    concrete = not any(isinstance(x, Tracer) for x in given)
    if concrete and not all(bool(jnp.all(jnp.isfinite(x))) for x in given):
        raise ValueError("`params` holds values that are not finite: give valid parameters.")
    if isinstance(q.gauge, MomentMapGauge):
        fixed = balanced(q.action, params)
        if fixed is None:
            fixed = _along_orbit(q, params, max_steps)
        else:
            fixed = _or_stay(q, params, fixed)
    else:
        fixed = _along_orbit(q, params, max_steps)
    leaves = jax.tree.leaves(eqx.filter(fixed, eqx.is_inexact_array))
    if not any(isinstance(x, Tracer) for x in leaves):
        if not all(bool(jnp.all(jnp.isfinite(x))) for x in leaves):
            raise ValueError(
                "`params` has no point of its orbit on the slice, or it was not found: the orbit "
                "may not be closed (one factor zero, the other not), or the gauge has no zero. "
                "Start nearer to the slice, or raise `max_steps`."
            )
    return fixed


def _size(tree: PyTree) -> Array:
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0.0) for x in leaves]))


def _or_stay(q: "Quotient", params: PyTree, fixed: PyTree) -> PyTree:
    """`fixed`, or `params` where the closed form fails at a singular point of the slice itself."""
    chi = _size(q.gauge.chi(q.action, params))
    size = _size(params)
    on_slice = chi <= 64 * precision(params) * size**2
    stay = on_slice & ~jnp.isfinite(_size(fixed))
    moved, still = eqx.partition(fixed, eqx.is_inexact_array)
    kept = eqx.filter(params, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda a, b: jnp.where(stay, b, a), moved, kept), still)


def _along_orbit(q: "Quotient", params: PyTree, max_steps: int) -> PyTree:
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), q.action.algebra(params))
    eps = precision(params)
    tolerance = eps**0.75

    def residual(coeffs, _):
        return q.gauge.chi(q.action, q.action.flow(params, coeffs))

    solver = optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
    solution = optx.least_squares(residual, solver, zeros, max_steps=max_steps, throw=False)
    fixed = q.action.flow(params, solution.value)
    scale = sum(jnp.sum(x**2) for x in jax.tree.leaves(eqx.filter(fixed, eqx.is_inexact_array)))
    left = jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(residual(solution.value, None))))
    found = left <= eps**0.5 * jnp.maximum(scale, 1e-12)
    return jax.tree.map(
        lambda x: jnp.where(found, x, jnp.nan) if eqx.is_inexact_array(x) else x, fixed
    )
