"""What a generator's field does to lengths and to the slice: the conditions of the laws."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ..._compile import compiled_once
from ...symmetry import AbstractAction, generator_name
from ...symmetry._fields import (
    field_jacobians as field_jacobians,
    isometry_residual as isometry_residual,
    linearity_residual as linearity_residual,
    residuals,
    transpose_residual as transpose_residual,
)
from ...symmetry._leaves import precision
from .._quotient import Quotient
from ._gauge import MomentMapGauge, fix_gauge


def _horizontal_projector(action: AbstractAction, params: PyTree) -> Array:
    from .._grams._gram import horizontal

    moving = eqx.filter(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    rows = jax.vmap(lambda e: ravel_pytree(horizontal(action, params, unravel(e)))[0])(
        jnp.eye(flat.size, dtype=flat.dtype)
    )
    return rows.T


def trace_on_slice(action: AbstractAction, params: PyTree) -> PyTree:
    """`tr(P A_a)` for every generator, a coefficient pytree.

    Times the temperature it is the Ito drift of the moment map under horizontal noise,
    `d chi_a = T tr(P A_a) dt` (no martingale part). Antisymmetric generators give 0. The
    horizontal law needs it to vanish **all over the slice**; see
    [`gaugebias.quotient.check_slice_invariance`][].
    """
    jacobians = field_jacobians(action, params)
    traces = jnp.einsum("ij,aij->a", _horizontal_projector(action, params), jacobians)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), action.algebra(params))
    return ravel_pytree(zeros)[1](traces)


class SliceReport(eqx.Module):
    """What [`gaugebias.quotient.check_slice_invariance`][] measured.

    - `holds`: whether the slice is invariant under horizontal Ito noise, to rounding.
    - `drift`: the largest `|tr(P A)|` over the samples and all generators of unit Frobenius norm.
    - `generator`: the coefficient with the largest `|tr(P A_a)|`, by name.
    - `value`: `tr(P A_a)` of that generator at the worst sample.
    - `samples`: number of slice points.
    - `isometric`: whether every generator is antisymmetric (no moment map; nothing to drift).
    """

    holds: bool = eqx.field(static=True)
    drift: float = eqx.field(static=True)
    generator: str = eqx.field(static=True)
    value: float = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    isometric: bool = eqx.field(static=True)


def sample_slice(
    q: Quotient, params: PyTree, key, samples: int, spread: float, by_lift: bool = False
) -> PyTree:
    """Slice points around `params`: Gaussian perturbations, brought to the slice.

    By the group, or, with `by_lift`, by the quotient's lift of their predictors, which is far
    cheaper where the gauge has no closed form; whether that lift gives points of the slice is for
    the caller to check. A batch with leading axis `samples`. The perturbation of each leaf has
    `spread` times the root mean square of all parameters.
    """
    moving, still = eqx.partition(params, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(moving)
    scale = spread * jnp.sqrt(jnp.mean(flat**2)) + jnp.where(jnp.any(flat != 0), 0.0, spread)
    points = flat[None, :] + scale * jr.normal(key, (samples, flat.size), flat.dtype)

    def one(x):
        point = eqx.combine(unravel(x), still)
        if by_lift and q.lift is not None:
            fixed = q.lift(q.phi(point))
        else:
            fixed = fix_gauge(q, point)
        return eqx.filter(fixed, eqx.is_inexact_array)

    return jax.vmap(one)(points)


def off_slice(q: Quotient, params: PyTree) -> Array:
    """`max |chi_a| / |theta|^2`: how far a point is from the slice of a moment map."""
    chi = ravel_pytree(q.gauge.chi(q.action, params))[0]
    square = jnp.sum(ravel_pytree(eqx.filter(params, eqx.is_inexact_array))[0] ** 2)
    return jnp.max(jnp.abs(chi), initial=0.0) / jnp.maximum(square, 1e-30)


@compiled_once
def _measure(
    q: Quotient, params: PyTree, key, samples: int, spread: float, by_lift: bool
) -> tuple[Array, Array, Array]:
    """At slice points: `tr(P A_a)` of every generator, the largest over unit ones, `off_slice`."""
    still = eqx.filter(params, eqx.is_inexact_array, inverse=True)

    def one(point):
        here = eqx.combine(point, still)
        traces = ravel_pytree(trace_on_slice(q.action, here))[0]
        jac = field_jacobians(q.action, here)
        unit = jnp.linalg.pinv(jnp.einsum("aij,bij->ab", jac, jac), hermitian=True)
        size = jnp.sqrt(jnp.maximum(traces @ unit @ traces, 0.0))
        return traces, size, off_slice(q, here)

    return jax.vmap(one)(sample_slice(q, params, key, samples, spread, by_lift))


def check_slice_invariance(
    q: Quotient, params: PyTree, *, key, samples: int = 32, spread: float = 0.5
) -> SliceReport:
    """Is the gauge's slice invariant under horizontal Ito noise?

    Samples points of the slice around `params` (Gaussian perturbations of relative size `spread`,
    gauge-fixed) and measures `tr(P A_a)` of every generator there. It vanishes over the whole
    slice exactly where horizontal Ito noise has the law `exp(-l/T)` times quotient volume; at a
    single point it may vanish by accident, and the pointwise drift of the predictor matches even
    where the law fails.

    **Arguments:**

    - `q`: the quotient: its action and gauge, and its lift where that gives points of the slice.
    - `params`: one point.
    - `key`: a `jax.random` key.
    - `samples`, `spread`: how many points, and how far around `params`.

    **Returns:** a [`gaugebias.quotient.SliceReport`][].

    **Raises:** `ValueError` when the gauge is no moment map, or the action has none (its
    generators are not linear, or not closed under transpose).
    """
    if not isinstance(q.gauge, MomentMapGauge):
        raise ValueError(
            "`q` needs `gauge=MomentMapGauge()` for this check: tr(P A) is the drift of the moment "
            "map, not of another gauge function."
        )
    tolerance = precision(params) ** 0.5 * 1e-1
    isometric, linear, closed = (float(x) for x in residuals(q.action, params))
    if isometric < tolerance:
        return SliceReport(True, 0.0, "none is symmetric", 0.0, samples, True)
    _require_moment_map(linear, closed, precision(params))
    traces, sizes, off = _measure(q, params, key, samples, spread, q.lift is not None)
    if q.lift is not None and not bool(jnp.all(off <= tolerance)):
        traces, sizes, _ = _measure(q, params, key, samples, spread, False)
    if not bool(jnp.all(jnp.isfinite(sizes))):
        raise ValueError(
            "`params` led to slice points that are not finite: choose a point further from the "
            "singular orbits, or a smaller `spread`."
        )
    sample = int(jnp.argmax(sizes))
    worst = int(jnp.argmax(jnp.abs(traces[sample])))
    drift = float(sizes[sample])
    return SliceReport(
        holds=drift < tolerance,
        drift=drift,
        generator=generator_name(q.action, params, worst),
        value=float(traces[sample, worst]),
        samples=samples,
        isometric=False,
    )


def require_moment_map(action: AbstractAction, params: PyTree) -> None:
    """Raise `ValueError` unless the action is linear with an algebra closed under transpose."""
    _, linear, closed = (float(x) for x in residuals(action, params))
    _require_moment_map(linear, closed, precision(params))


def _require_moment_map(linear: float, closed: float, eps: float) -> None:
    tolerance = eps**0.5
    if linear > tolerance:
        raise ValueError(
            f"`action` has no moment map: its fields are not linear in the parameters (relative "
            f"remainder {linear:.2e}). Use `FunctionGauge(chi)` with a slice of your own."
        )
    if closed > tolerance:
        raise ValueError(
            f"`action` has no moment map: its algebra is not closed under transpose (relative "
            f"distance {closed:.2e}). Use `FunctionGauge(chi)` with a slice of your own."
        )
