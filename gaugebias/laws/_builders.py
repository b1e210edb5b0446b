"""The four laws: conditions checked, then one density with exponents s = 1, b^2/a^2, 0 and -1."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from .._compile import evaluated_now
from ..quotient import Domain, MomentMapGauge, Quotient, predictor_jacobian
from ..symmetry import orbit_jacobian
from ._build import Context, build, prepare
from ._checks import as_nonnegative, as_scalar, as_temperature
from ._conditions import (
    isometric_condition,
    moment_map_condition,
    ridge_condition,
    slice_condition,
    volume_condition,
)
from ._errors import Condition, LawRefused, require
from ._quotient_law import QuotientLaw
from ._representatives import lift_condition, representative_condition
from ._split import split_algebra
from ._volumes import FibreVolume, GaugeVolume, OrbitVolume

_VIRIAL = (
    "for Ito noise the virial identity E[theta . grad L] = T (alpha^2 E rank P + beta^2 E rank Q) "
    "holds with no slice at all, once |theta|^2 is stationary."
)
_IMBALANCE = (
    "the moment map drifts at d chi_a = T tr(P A_a) dt, without martingale part: "
    "`gaugebias.dynamics.imbalance_rate`."
)
_STRATONOVICH = (
    "with Stratonovich noise P o dW every chi is conserved and the law holds on the slice: "
    '`calculus="stratonovich"`.'
)
_DECAY = (
    "with weight decay lam the imbalance has a fixed point, where T tr(P A_a) = 2 lam chi_a on "
    "average."
)
_NO_RIDGE = "without weight decay (`ridge=0`) the law holds."
_HORIZONTAL = "noise across orbits only (`horizontal`, s = 0) needs no isometry, but a moment map."
_QUOTIENT_SDE = (
    "`gaugebias.dynamics.QuotientSDE(q, potential, temperature, exponent)` has the law of this "
    "exponent for every group."
)


def horizontal(
    q: Quotient,
    potential: Callable,
    temperature: ArrayLike,
    *,
    calculus: str = "ito",
    ridge: ArrayLike = 0.0,
    domain: Domain | None = None,
    reference: str = "lebesgue",
    key: Array | None = None,
) -> QuotientLaw | Any:
    """Noise across orbits only: `p(w) ~ exp(-l(w)/T) det K(w)^(-1/2) dw` (s = 0).

    The stationary law of `dtheta = -grad L dt + sqrt(2T) P dW` seen through `phi`: quotient volume
    times `exp(-l/T)`, whatever the volume of the orbits. In parameter space its density is
    `exp(-L/T)/V`: another measure, not another law.

    **Arguments:**

    - `q`: the [`gaugebias.quotient.Quotient`][], with `at` (or `lift` and `domain`).
    - `potential`: `l(w)`, a scalar function of one predictor.
    - `temperature`: `T > 0`, a scalar; may be traced.
    - `calculus`: `"ito"` or `"stratonovich"` (`P o dW`).
    - `ridge`: weight decay `ridge/2 |theta|^2`, at the representative on the slice.
    - `domain`: default that of `q`, else the whole space.
    - `reference`: `"lebesgue"` for a law of `w` (needs `phi` of full rank); `"slice"` or
        `"quotient"` for a law of parameters.
    - `key`: for the sample of parameters on which conditions are checked.

    **Returns:** a [`gaugebias.laws.QuotientLaw`][]; for the references `"slice"` and `"quotient"` a
    [`gaugebias.laws.ParameterLaw`][].

    **Conditions:** Ito: an isometric action, or `tr(P A_a) = 0` over the whole slice for every
    symmetric generator. Stratonovich: any traces, on the moment map's slice. Exactly balanced
    starts of an even number of factors keep the sign of `w`: the law then holds per sign
    (restrict `domain`), weighted by the start; generic starts and odd depth cross `w = 0`, and
    the whole line applies.

    **Raises:** [`gaugebias.laws.LawRefused`][] naming the generator and its drift, with what still
    holds; [`gaugebias.laws.NotNormalisable`][]; `ValueError` for bad arguments.

    !!! example

        ```python
        import jax.numpy as jnp
        import gaugebias as gb
        act = gb.symmetry.Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
        q = gb.Quotient(lambda p: p[0] * p[1], act, at=(jnp.array(1.0), jnp.array(0.5)),
                        lift=lambda w: (jnp.sqrt(jnp.abs(w)), jnp.sign(w) * jnp.sqrt(jnp.abs(w))))
        law = gb.laws.horizontal(q, lambda w: 0.5 * (w - 1) ** 2, 0.1)
        law.log_density(0.5)        # exp(-l/T) |w|^-1/2, normalised
        ```
    """
    if calculus not in ("ito", "stratonovich"):
        raise ValueError(f'`calculus` must be "ito" or "stratonovich", not {calculus!r}.')
    context = prepare("horizontal", q, potential, temperature, ridge, domain, reference, key)
    with evaluated_now():
        isometric = isometric_condition(context.sample)
        if isometric.holds:
            context = context.adding(isometric, *_lift(context), *_ridge(context))
            require("horizontal", context.conditions, (_NO_RIDGE, _VIRIAL))
        else:
            moment = moment_map_condition(q, context.sample)
            context = context.adding(moment)
            require("horizontal", context.conditions, (_VIRIAL, _QUOTIENT_SDE))
            context = context.adding(representative_condition(q, context.params, context.key))
            require("horizontal", context.conditions, (_VIRIAL,))
            if calculus == "ito":
                context = context.adding(slice_condition(q, context.params, context.key))
    require(
        "horizontal",
        context.conditions,
        (_STRATONOVICH, _IMBALANCE, _DECAY, _VIRIAL, _QUOTIENT_SDE),
    )
    return build(context, OrbitVolume(q), jnp.zeros(()), neutral=True)


def pushforward(
    q: Quotient,
    potential: Callable,
    temperature: ArrayLike,
    ridge: ArrayLike = 0.0,
    *,
    domain: Domain | None = None,
    reference: str = "lebesgue",
    key: Array | None = None,
) -> QuotientLaw | Any:
    """Isotropic noise: `p(w) ~ exp(-l(w)/T) det K(w)^(-1/2) V(w) dw` (s = +1).

    The push-forward of `exp(-L/T) dtheta` through `phi`: large orbits are favoured. For an
    isometric action `V` is the orbit's volume (2602.12257). Orbits of a non-compact group have
    infinite volume, and `exp(-L/T)` is not normalisable in `theta` unless weight decay
    `ridge/2 |theta|^2` cuts them off: then `V` is the fibre integral
    `V_loc int exp(-ridge |g theta|^2 / 2T) |det g| dg` of [`gaugebias.laws.fibre_integral`][].
    For `w = uv`: `exp(-l/T) K_0(ridge |w|/T)`.

    **Arguments:** as [`gaugebias.laws.horizontal`][].

    **Conditions:** an isometric action; or `ridge > 0` and a group whose generators are symmetric
    and annihilate one another (one-dimensional groups and products of them).

    **Raises:** as [`gaugebias.laws.horizontal`][].
    """
    context = prepare("pushforward", q, potential, temperature, ridge, domain, reference, key)
    with evaluated_now():
        isometric = isometric_condition(context.sample)
        if isometric.holds:
            context = context.adding(isometric, *_orbits(context), *_ridge(context))
            require("pushforward", context.conditions, (_HORIZONTAL, _VIRIAL))
            return build(context, OrbitVolume(q), jnp.ones(()))
        if context.ridge is None:
            reason = (
                f"{isometric.detail[:-1]}; orbits that are not compact (of rescalings, of GL(r)) "
                "have infinite volume, and exp(-L/T) is not normalisable in the parameters "
                "without weight decay."
            )
            raise LawRefused(
                "pushforward",
                reason,
                (*context.conditions, isometric),
                ("give weight decay, `ridge` > 0 (the fibre integral).", _HORIZONTAL, _VIRIAL),
            )
        volume, condition = fibre_volume(context)
        context = context.adding(condition, *_lift(context))
    require("pushforward", context.conditions, (_HORIZONTAL, _VIRIAL))
    return build(context._replace(ridge=None), volume, jnp.ones(()))


def fibre_integral(
    q: Quotient,
    potential: Callable,
    temperature: ArrayLike,
    ridge: ArrayLike,
    *,
    domain: Domain | None = None,
    key: Array | None = None,
) -> QuotientLaw | Any:
    """Isotropic noise with weight decay, for a non-compact one-dimensional group or a product.

    `p(w) ~ exp(-l/T) det K^(-1/2) V_loc int exp(-ridge |exp(cA) theta|^2 / 2T) e^(c tr A) dc`, by
    quadrature along the group; the product does not depend on the point of the orbit. Closed forms
    that it reproduces: `w = uv`, `exp(-l/T) K_0(ridge |w|/T)`; a ReLU neuron `z = |v| w` in `R^d`,
    `exp(-l/T) |z|^(-(d-1)/2) K_((d-1)/2)(ridge |z|/T)`.

    What [`gaugebias.laws.pushforward`][] uses where the action is not isometric; arguments and
    errors as there, with `ridge > 0`.
    """
    context = prepare("pushforward", q, potential, temperature, ridge, domain, "lebesgue", key)
    if context.ridge is None:
        raise ValueError("`ridge` must be positive: without it the integral diverges.")
    with evaluated_now():
        volume, condition = fibre_volume(context)
        context = context.adding(condition, *_lift(context))
    require("pushforward", context.conditions, (_HORIZONTAL, _VIRIAL))
    return build(context._replace(ridge=None), volume, jnp.ones(()))


def projected(
    q: Quotient,
    potential: Callable,
    temperature: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike,
    *,
    ridge: ArrayLike = 0.0,
    domain: Domain | None = None,
    reference: str = "lebesgue",
    key: Array | None = None,
) -> QuotientLaw | Any:
    """Noise `alpha P + beta Q`: `p(w) ~ exp(-l/T') det K^(-1/2) V^s dw`, `s = beta^2/alpha^2`.

    For Ito noise; under Stratonovich noise the exponent is `beta/alpha` (the correction adds
    `T beta (alpha - beta) grad log V`), so that the two agree at `beta = 0` and `beta = alpha`.
    `T' = alpha^2 T` replaces the temperature everywhere (2602.12257, Thm 3). `alpha = beta` is
    isotropic noise, `beta = 0` horizontal noise. The law of `w` needs no invariant start (the
    ambient law does); constant `alpha != beta` is formal at singular orbits (Cor. 4 there assumes
    `alpha = beta` near them).

    **Arguments:** as [`gaugebias.laws.horizontal`][], and

    - `alpha`, `beta`: amplitudes across and along orbits, `alpha > 0`, `beta >= 0`; may be traced.

    **Conditions:** an isometric action.

    **Raises:** as [`gaugebias.laws.horizontal`][].
    """
    alpha, beta = as_scalar(alpha, "alpha"), as_nonnegative(beta, "beta")
    if not isinstance(alpha, Tracer) and float(alpha) <= 0.0:
        raise ValueError(
            "`alpha` must be positive: without noise across orbits the predictor follows gradient "
            "flow and has no density."
        )
    across = alpha**2 * as_temperature(temperature)
    context = prepare("projected", q, potential, across, ridge, domain, reference, key)
    with evaluated_now():
        context = context.adding(isometric_condition(context.sample))
        require("projected", context.conditions, (_HORIZONTAL, _QUOTIENT_SDE, _VIRIAL))
        context = context.adding(*_orbits(context), *_ridge(context))
    require("projected", context.conditions, (_HORIZONTAL, _QUOTIENT_SDE, _VIRIAL))
    return build(context, OrbitVolume(q), (beta / alpha) ** 2)


def conditioned(
    q: Quotient,
    potential: Callable,
    temperature: ArrayLike,
    *,
    ridge: ArrayLike = 0.0,
    domain: Domain | None = None,
    reference: str = "lebesgue",
    log_volume: Callable | None = None,
    key: Array | None = None,
) -> QuotientLaw | Any:
    """The isotropic Gibbs measure given `chi = 0`: `p(w) ~ exp(-l/T) det K^(-1/2) V^-1 dw`.

    `V` counts the symmetric generators only: `V^-1` stands for `vol(H-orbit)/sqrt(det S_sym)`, `H`
    the residual compact group (s = -1; the gauge correction of 2601.06597, which states it on the
    slice: `reference="slice"`). Small orbits are favoured.

    The result depends on the function `chi` and not only on its zero set (Borel-Kolmogorov): for
    `w = uv` on `u = v` the moment map gives `|w|^-1`, `FunctionGauge(u - v)` gives `|w|^-1/2` and
    `log(u/v)` gives `|w|^0`. No process is conditioned by itself: isotropic noise with a penalty
    `kappa/2 |chi|^2`, `kappa -> infinity`, has this law.

    **Arguments:** as [`gaugebias.laws.horizontal`][], and

    - `log_volume`: `w -> log V`, that is `log[sqrt(det S_sym)/vol(H-orbit)]`, in closed form.

    **Conditions:** the moment map of a linear action with symmetric generators, or a gauge
    function of your own; integrability, which fails at `w = 0` for Hadamard products and square
    factorisations. Up to three dimensions it is tested at every stratum of the domain, above along
    the coordinate axes, at the origin and, for matrices, where the least singular value vanishes.

    **Raises:** as [`gaugebias.laws.horizontal`][].
    """
    context = prepare("conditioned", q, potential, temperature, ridge, domain, reference, key)
    moment_map = isinstance(q.gauge, MomentMapGauge)
    with evaluated_now():
        if moment_map:
            context = context.adding(moment_map_condition(q, context.sample))
            require("conditioned", context.conditions, (_HORIZONTAL,))
        context = context.adding(representative_condition(q, context.params, context.key))
        require("conditioned", context.conditions, ())
        split = split_algebra(context.sample.jacobians[0])
    count = split.symmetric.shape[1]
    if moment_map:
        context = context.adding(
            Condition(
                "symmetric generators",
                count > 0,
                float(count),
                f"{count} symmetric generators."
                if count
                else "no generator is symmetric: the moment map vanishes identically, and there is "
                "nothing to condition on.",
            )
        )
        require(
            "conditioned",
            context.conditions,
            ("isotropic noise has the law `pushforward` (s = 1) here.",),
        )
    else:
        context = context.adding(gauge_condition(context))
        require("conditioned", context.conditions, ())
    volume = GaugeVolume(q, split, moment_map, log_volume)
    return build(context._replace(split=split), volume, -jnp.ones(()))


def gauge_condition(context: Context) -> Condition:
    """Whether a gauge function fixes every direction of the orbits, at the context's point."""
    q, params = context.quotient, context.params
    gauge = np.asarray(predictor_jacobian(lambda p: q.gauge.chi(q.action, p), params))
    frame = np.asarray(orbit_jacobian(q.action, params))
    fixed, free = np.linalg.matrix_rank(gauge @ frame), np.linalg.matrix_rank(frame)
    detail = f"the gauge function fixes {fixed} of the {free} directions of the orbits"
    if fixed < free:
        detail += (
            ": the slice holds whole orbits of a residual group, whose volume is not known. Add "
            "components to `chi` until it has one zero an orbit"
        )
    detail += "."
    return Condition("gauge fixes the orbits", bool(fixed == free), float(fixed), detail)


def _lift(context: Context) -> tuple[Condition, ...]:
    if context.quotient.lift is None:
        return ()
    return (lift_condition(context.quotient, context.domain, context.params, context.key),)


def _orbits(context: Context) -> tuple[Condition, ...]:
    return (*_lift(context), volume_condition(context.sample))


def _ridge(context: Context) -> tuple[Condition, ...]:
    if context.ridge is None:
        return ()
    return (ridge_condition(context.sample),)


def fibre_volume(context: Context) -> tuple[FibreVolume, Condition]:
    """The fibre integral of a context's action, and whether it is one that can be done."""
    q, matrices = context.quotient, context.sample.jacobians[0]
    moment = moment_map_condition(q, context.sample)
    size = np.sqrt(np.maximum(np.einsum("aij,aij->a", matrices, matrices), 1e-300))
    skew = np.max(np.abs(matrices - np.swapaxes(matrices, 1, 2)) / size[:, None, None])
    overlap = 0.0
    for a in range(len(matrices)):
        for b in range(a):
            product = np.linalg.norm(matrices[a] @ matrices[b]) / (size[a] * size[b])
            overlap = max(overlap, float(product))
    rates, vectors = np.linalg.eigh(0.5 * (matrices + np.swapaxes(matrices, 1, 2)))
    rates = np.where(np.abs(rates) < 1e-9 * size[:, None], 0.0, rates)
    confined = bool(np.all((rates.max(axis=1) > 0) & (rates.min(axis=1) < 0)))
    holds = moment.holds and skew < 1e-6 and overlap < 1e-6 and confined
    detail = (
        f"{len(rates)} symmetric generators that annihilate one another."
        if holds
        else "the fibre integral is done for groups whose generators are symmetric, grow some "
        "parameters and shrink others, and annihilate one another (one-dimensional groups and "
        f"products of them); this action has relative overlap {max(overlap, float(skew)):.2e}."
    )
    condition = Condition("fibre integral", holds, max(overlap, float(skew)), detail)
    assert context.ridge is not None
    return FibreVolume(q, context.ridge, rates, vectors), condition
