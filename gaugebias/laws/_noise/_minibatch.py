"""The law of minibatch gradient descent on a one-dimensional quotient."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, PyTree

from ..._compile import evaluated_now
from ...dynamics._checks import scalar
from ...dynamics._processes._minibatch import RATE, sampling_factor
from ...dynamics._processes._samples import PerSample, as_data
from ...quotient import Domain, Quotient
from .._build import Context, build, prepare
from .._conditions import (
    isometric_condition,
    moment_map_condition,
    slice_condition,
)
from .._errors import Condition, require
from .._quadrature._evaluate import HostFunction
from .._quadrature._line_integral import line_integral
from .._quotient_law import QuotientLaw
from .._representatives import lift_condition, representative_condition
from .._volumes import NoiseVolume
from ._gradient_noise import Force, LogNoise, Profile, SampledNoise
from ._noise_conditions import noise_conditions, reach, require_no_collapse

_NAME = "minibatch"
_NUMERICAL = (
    "`gaugebias.laws.fokker_planck(MinibatchSDE(...), q, domain)` solves for the law of one or two "
    "coordinates."
)
_BALANCE = (
    "the moment map drifts at (eta/2B) tr(Sigma A), without martingale part: "
    "`gaugebias.dynamics.imbalance_rate`, `noise_equilibrium`."
)
_SIMULATE = "simulate `MinibatchSDE` (`gaugebias.simulate`) or train (`gaugebias.train`)."


def minibatch(
    q: Quotient,
    potential: Callable,
    data: PyTree,
    learning_rate: ArrayLike,
    batch_size: int,
    *,
    replacement: bool = True,
    second_order: bool = False,
    domain: Domain | None = None,
    reference: str = "lebesgue",
    key: Array | None = None,
) -> QuotientLaw | Any:
    r"""Minibatch noise, one predictor: `p ~ K^(-3/2) sigma^-2 exp(-(2/tau) int l'/(sigma^2 K))`.

    The stationary law of `MinibatchSDE` seen through `phi`, with `tau = eta/B` and `sigma^2(w)` the
    variance of `dl/dw` over the samples. Per-sample gradients are `l_i'(w) grad phi`, so noise has
    one direction, `grad phi`, and `grad phi . Hess phi grad phi = K K'/2` on the slice; in Ito's
    calculus (`MinibatchSDE` is Ito)

        dw = [-K l' + (tau/4) sigma^2 K K'] dt + sqrt(tau) sigma K dB,

    whose law without flux this is (re-derived; 2308.06671, Thm 4.2, is the case of
    [`gaugebias.laws.diagonal_linear`][]). Where samples are drawn without replacement `tau` has the
    factor `(n - B)/(n - 1)`. In the notation of the other laws `T = tau/2`, `U = int
    l'/(sigma^2 K)` stands for the potential, `V = sigma^2 K` for the volume, and `s = -1`:
    `exp(-U/T) K^(-1/2) V^-1`.

    **Arguments:**

    - `q`: the [`gaugebias.quotient.Quotient`][], `phi` a scalar (or of shape `(1,)`).
    - `potential`: `(w, sample) -> l(w; sample)`, a scalar: the loss of one sample.
    - `data`: pytree of arrays with a leading sample axis.
    - `learning_rate`, `batch_size`, `replacement`: as of [`gaugebias.dynamics.MinibatchSDE`][];
        the rate may be traced where `second_order` is false.
    - `second_order`: the law of the equation with the drift of `L + (eta/4)|grad L|^2`, on the
        slice `l + (eta/4) l'^2 K`. Descent follows it to second order over a finite time; its
        stationary law is not closer to that of descent for that (see below).
    - `domain`: default that of `q`, else the whole line. Where `K` vanishes (`w = 0` for products)
        no path crosses: give one side.
    - `reference`, `key`: as of [`gaugebias.laws.horizontal`][].

    **Returns:** a [`gaugebias.laws.QuotientLaw`][] (a [`gaugebias.laws.ParameterLaw`][] for the
    references `"slice"` and `"quotient"`).

    **Conditions:** one predictor; an isometric action, or a moment map with `tr(P A_a) = 0` over
    the slice, for which the slice is invariant (`grad phi` is parallel to `theta` on the slice of
    a linear action, so it holds for those); noise that vanishes nowhere inside the domain. Starts
    off the slice reach it where `(eta/2B) tr(Sigma A)` drives them there.

    **Continuous time.** The law of discrete descent differs by a relative `O(eta)`. In a basin of
    rate `r = K l''` its variance is `1 + eta r/2` times that of the first-order law and `1 + eta r`
    times that of `second_order` (exact for a constant `K` and a quadratic loss, up to `O(eta^2)`;
    re-derived): `second_order` corrects the drift only, and for a stationary law the covariance of
    the noise would need a correction of the same size.

    **Raises:** [`gaugebias.laws.LawRefused`][], [`gaugebias.laws.NotNormalisable`][] (collapse to
    a point, with the critical `eta/B` where there is one); `ValueError` for bad arguments.

    !!! example

        ```python
        import jax, jax.numpy as jnp
        import gaugebias as gb
        act = gb.symmetry.Rescaling(lambda p: p[0], lambda p: p[1], axes=(None, None))
        q = gb.Quotient(lambda p: p[0] * p[1], act, at=(jnp.array(1.0), jnp.array(0.5)),
                        lift=lambda w: (jnp.sqrt(w), jnp.sqrt(w)))
        x, noise = jax.random.normal(jax.random.key(0), (2, 256))
        law = gb.laws.minibatch(q, lambda w, s: 0.5 * (w * s[0] - s[1]) ** 2,
                                (x, x + 0.5 * noise), learning_rate=0.1, batch_size=4,
                                domain=gb.quotient.Domain.line(lower=0.0))
        law.cdf(1.0)
        ```
    """
    if not callable(potential):
        raise ValueError("`potential` must be callable: (w, sample) -> l(w; sample).")
    rate = scalar(learning_rate, "learning_rate", positive=True, fix=RATE)
    with evaluated_now():
        data, n = as_data(data, batch_size)
        samples = PerSample(potential, data)
    factor = sampling_factor(n, batch_size, replacement)
    if factor == 0.0:
        raise ValueError(
            f"`batch_size` is all of the data ({n} samples) without replacement: there is no "
            "noise, and the start decides. Lower it."
        )
    if second_order and isinstance(rate, Tracer):
        raise ValueError("`learning_rate` must not be traced with `second_order=True`.")
    tau = rate * factor
    context = prepare(_NAME, q, potential, 0.5 * tau, 0.0, domain, reference, key)
    context = _on_the_slice(context)
    noise = SampledNoise(q, samples, rate if second_order else None)
    resolution = 1e-60 if q.lift is not None else 1e-5
    line = context.domain
    profile = HostFunction(Profile(noise), context.shape)
    with evaluated_now():
        context = context.adding(*noise_conditions(profile, line, resolution))
    require(_NAME, context.conditions, (_SIMULATE,))
    if not isinstance(tau, Tracer):
        require_no_collapse(_NAME, profile, line, resolution, float(tau))
    with evaluated_now():
        energy = line_integral(
            HostFunction(Force(noise), context.shape),
            line.lower[0],
            line.upper[0],
            line.breaks[0],
            resolution=resolution,
            reach=reach(resolution),
        )
    volume = NoiseVolume(q, LogNoise(noise))
    return build(context._replace(potential=energy), volume, -jnp.ones(()))


def _on_the_slice(context: Context) -> Context:
    """With the conditions under which `w` is a process by itself."""
    q, size = context.quotient, context.domain.dimension
    one = Condition(
        "one predictor",
        size == 1,
        float(size),
        "the quotient has one coordinate."
        if size == 1
        else f"the quotient has {size} coordinates, and the closed form is for one: the noise of "
        "several makes steady states with a flux, which have no closed form.",
    )
    context = context.adding(one)
    require(_NAME, context.conditions, (_NUMERICAL if size == 2 else _SIMULATE, _BALANCE))
    with evaluated_now():
        isometric = isometric_condition(context.sample)
        if isometric.holds:
            context = context.adding(
                isometric, lift_condition(q, context.domain, context.params, context.key)
            )
            require(_NAME, context.conditions, (_SIMULATE,))
            return context
        context = context.adding(moment_map_condition(q, context.sample))
        require(_NAME, context.conditions, (_NUMERICAL, _BALANCE, _SIMULATE))
        context = context.adding(representative_condition(q, context.params, context.key))
        require(_NAME, context.conditions, (_SIMULATE,))
        context = context.adding(slice_condition(q, context.params, context.key))
    require(_NAME, context.conditions, (_NUMERICAL, _BALANCE, _SIMULATE))
    return context
