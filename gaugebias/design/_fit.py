"""Design within a family of the user's: the member whose effective loss is nearest."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, PyTree

from ..quotient import predictor_log_det
from ._design import Design, temperature_of


class FamilyFit(eqx.Module):
    """The nearest member of a family: made by [`gaugebias.design.fit_family`][].

    - `member`: the family's parameters found.
    - `design`: the member as a [`gaugebias.design.Design`][] whose penalty is the one asked for;
        [`gaugebias.design.validate`][] says whether the misfit can be seen in the process.
    - `effective`: the member's own penalty `(T/2) log det K`, as a function of `w`.
    - `residuals`: `effective - R` at the points, minus its mean, in units of the loss, `(n,)`.
    - `rms`, `worst`: of the residuals over `T`: how far log densities are off.
    - `steps`, `converged`: of the optimiser.
    """

    member: PyTree
    design: Design
    effective: Callable
    residuals: Array
    rms: float = eqx.field(static=True)
    worst: float = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    converged: bool = eqx.field(static=True)


class Member(eqx.Module):
    """`params -> phi(member, params)` for fixed `member`."""

    fn: Callable
    member: PyTree

    def __call__(self, params: PyTree) -> Any:
        return self.fn(self.member, params)


class _Effective(eqx.Module):
    phi: Callable
    lift: Callable
    temperature: Array

    def __call__(self, w: Array) -> Array:
        return 0.5 * self.temperature * predictor_log_det(self.phi, self.lift(w))


def fit_family(
    phi: Callable,
    lift: Callable,
    start: PyTree,
    penalty: Callable,
    temperature: ArrayLike,
    points: ArrayLike,
    *,
    action: Any = None,
    weights: ArrayLike | None = None,
    max_steps: int = 256,
) -> FamilyFit:
    """The member of a family of parametrisations whose bias is nearest to a penalty.

    Minimises, over the family's parameters and over the constant that no law sees, the weighted
    sum over `points` of `[(T/2) log det K(w) - R(w) - constant]^2`: the effective loss of noise
    across the orbits against the one asked for. By Levenberg-Marquardt (optimistix).

    **Arguments:**

    - `phi`: `(member, params) -> w`; `lift`: `(member, w) -> params`, balanced where there is a
        symmetry. `member` is a pytree of arrays, `start` its first value.
    - `penalty`: `R(w)` of one predictor, in units of the loss; `temperature`: `T`.
    - `points`: predictors at which to match, shape `(n, *shape)`; `weights`: `(n,)`, default 1.
    - `action`: the symmetry of every member, for the design that is returned.

    **Returns:** a [`gaugebias.design.FamilyFit`][], whatever the residual: read it.

    **Raises:** `ValueError` where the effective loss of `start` is not finite at a point (`phi` not
    differentiable, or `lift` undefined there), or fewer points than parameters are given.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        phi = lambda m, u: jnp.sign(u) * jnp.abs(u) ** jnp.exp(m)
        lift = lambda m, w: jnp.sign(w) * jnp.abs(w) ** jnp.exp(-m)
        fit = gb.design.fit_family(phi, lift, jnp.asarray(0.1), gb.design.Log(0.05), 0.1,
                                   jnp.linspace(0.1, 2.0, 20))
        jnp.exp(fit.member)         # 2: the square
        ```
    """
    temperature = temperature_of(temperature)
    points = jnp.asarray(points, jnp.result_type(float))
    flat, _ = ravel_pytree(start)
    if points.ndim < 1 or len(points) <= flat.size:
        raise ValueError(
            f"`points` must hold more predictors than the family has parameters ({flat.size}), but "
            f"has shape {points.shape}."
        )
    share = jnp.ones(len(points)) if weights is None else jnp.asarray(weights, points.dtype)
    good = share.shape == (len(points),) and bool(jnp.all(share >= 0.0) & jnp.any(share > 0.0))
    if not good:
        raise ValueError(f"`weights` must be {len(points)} numbers, none negative and not all 0.")
    share = share / jnp.sum(share)
    wanted = jax.vmap(penalty)(points)
    if not bool(jnp.all(jnp.isfinite(wanted))):
        raise ValueError("`penalty` is not finite at all `points`: leave those out.")

    def misfit(member):
        own = _Effective(Member(phi, member), Member(lift, member), temperature)
        off = jax.vmap(own)(points) - wanted
        return off - jnp.sum(share * off)

    def residual(member, _):
        return jnp.sqrt(share) * misfit(member) / temperature

    first = np.asarray(misfit(start))
    if not np.all(np.isfinite(first)):
        at = np.asarray(points[int(np.argmin(np.isfinite(first)))])
        raise ValueError(
            f"`start` has no finite effective loss at w = {np.array2string(at)}: det K is 0, or "
            "`lift` is not defined there; leave the point out, or start elsewhere."
        )
    solver = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-12)
    solution = optx.least_squares(residual, solver, start, max_steps=max_steps, throw=False)
    left = misfit(solution.value)
    member = solution.value
    if not bool(jnp.all(jnp.isfinite(left))):
        member, left = start, jnp.asarray(first)
    scaled = np.asarray(left / temperature, np.float64)
    rms = float(np.sqrt(np.sum(np.asarray(share) * scaled**2)))
    map, back = Member(phi, member), Member(lift, member)
    return FamilyFit(
        member=member,
        design=Design(
            map,
            penalty,
            temperature,
            lift=back,
            shape=points.shape[1:],
            action=action,
            notes=(f"nearest member of a family: log density off by {rms:.2g} (rms)",),
        ),
        effective=_Effective(map, back, temperature),
        residuals=left,
        rms=rms,
        worst=float(np.max(np.abs(scaled))),
        steps=int(solution.stats["num_steps"]),
        converged=bool(solution.result == optx.RESULTS.successful),
    )
