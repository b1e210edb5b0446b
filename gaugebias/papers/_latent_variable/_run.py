"""The experiments."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ... import flows
from ..._types import Key
from ._digits import Digits, run_digits
from ._settings import Settings


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a scaling predicts at a width, `exponent` that of `gamma h S`."""

    exponent: float
    regime: str
    kernel_change: float
    alignment: float


def _phase(name: str, width: int) -> Phase:
    scaling = flows.LATENT_SCALINGS[name]
    wide = scaling.at(width)
    return Phase(scaling.kernel_exponent, scaling.regime, wide.kernel_change, wide.alignment)


@dataclasses.dataclass(frozen=True)
class Scaled:
    """One scaling at `width`: weights integrated against the closed form, at the same times.

    - `times`; `kernel`, `alignment`: of the weights integrated; `exact_*`: of the formula.
    - `imbalance_error`: the largest change of a conserved quantity, relative to the largest of it.
    - `ignoring_rates`: the largest relative error of the kernel where the formula is used with
      layer rates of 1, or NaN where both are 1.
    - `phase`: what the exponents predict.
    """

    name: str
    phase: Phase
    times: np.ndarray
    kernel: np.ndarray
    alignment: np.ndarray
    exact_kernel: np.ndarray
    exact_alignment: np.ndarray
    imbalance_error: float
    ignoring_rates: float


@dataclasses.dataclass(frozen=True)
class Growth:
    """The relative change of the kernel, and the final alignment, by width and seed.

    Both of shape `(widths, seeds)`.
    """

    name: str
    phases: tuple[Phase, ...]
    changes: np.ndarray
    alignments: np.ndarray


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """One mechanism: the alignment along the way, and the names given to its ends."""

    name: str
    times: np.ndarray
    alignment: np.ndarray
    kernel: np.ndarray
    found: str


@dataclasses.dataclass(frozen=True)
class Result:
    """Everything that was measured."""

    settings: Settings
    scaled: tuple[Scaled, ...]
    growth: tuple[Growth, ...]
    demonstrations: tuple[Demonstration, ...]
    digits: tuple[Digits, ...]


def _silent(text: str, fraction: float) -> None:
    pass


def run(settings: Settings, key: Key, progress: Callable[[str, float], None] = _silent) -> Result:
    """All experiments of the publication. Needs float64 for the numbers given in the claims."""
    for_scaled, for_growth, for_demonstrations, for_digits = jr.split(key, 4)
    scaled, growth = [], []
    count = len(settings.scalings)
    for i, name in enumerate(settings.scalings):
        progress(f"{name} scaling", 0.5 * i / count)
        scaled.append(_scaled(settings, name, for_scaled))
        growth.append(_growth(settings, name, for_growth))
    progress("three mechanisms", 0.5)
    demonstrations = _demonstrations(settings, for_demonstrations)
    progress("ReLU network on digits", 0.55)
    digits = run_digits(settings, for_digits)
    return Result(settings, tuple(scaled), tuple(growth), demonstrations, digits)


def _flow(name: str, width: int, key: Key) -> flows.LatentVariableFlow:
    """From a start with `f = 0`."""
    given: Any = flows.LATENT_SCALINGS[name].settings(width)
    sigmas = {each: given[each] for each in ("sigma_u", "sigma_w")}
    u, w = flows.latent_start(key, width, paired=True, **sigmas)
    rates = {each: given[each] for each in ("scale", "rate_u", "rate_w")}
    return flows.LatentVariableFlow(u, w, **rates)


def _observe(flow: flows.LatentVariableFlow, u: jax.Array, w: jax.Array):
    """Kernel and alignment of weights, from their definition."""
    uu, ww, uw = (jnp.sum(each, axis=-1) for each in (u * u, w * w, u * w))
    kernel = flow.scale**2 * (flow.rate_u * ww + flow.rate_w * uu)
    return np.asarray(kernel), np.asarray(uw / jnp.sqrt(uu * ww))


class _Output(eqx.Module):
    """`f / a` of the weights over the roots of their rates."""

    scale: jax.Array

    def __call__(self, params):
        return self.scale * jnp.sum(params[0] * params[1])


def _loss(f):
    """E (f - y)^2 with A = B = 1, less a constant."""
    return f**2 - 2.0 * f


def _scaled(settings: Settings, name: str, key: Key) -> Scaled:
    width = settings.width
    flow = _flow(name, width, key)
    # In u/sqrt(rate_u), w/sqrt(rate_w) the layer rates are those of a plain gradient flow.
    root_u, root_w = jnp.sqrt(flow.rate_u), jnp.sqrt(flow.rate_w)
    scale = flow.scale * root_u * root_w
    # A small start waits; its time constant does not say how long.
    wait = jnp.log(flow.kernel(jnp.inf) / flow.kernel(0.0)).clip(0.0) + 1.0
    times = jnp.linspace(0.0, 1.0, 41) * settings.times * flow.learning_time * wait
    path = flows.gradient_flow(
        _Output(scale),
        _loss,
        (flow.u / root_u, flow.w / root_w),
        times,
    )
    u, w = path.params[0] * root_u, path.params[1] * root_w
    kernel, alignment = _observe(flow, u, w)
    imbalance = u**2 / flow.rate_u - w**2 / flow.rate_w
    drift = jnp.max(jnp.abs(imbalance - imbalance[:1])) / jnp.max(jnp.abs(imbalance[0]))
    exact = np.asarray(jax.vmap(flow.kernel)(times))
    ignored = float("nan")
    if float(flow.rate_u) != 1.0 or float(flow.rate_w) != 1.0:
        wrong = flows.LatentVariableFlow(flow.u, flow.w, scale=flow.scale)
        ratio = np.asarray(jax.vmap(wrong.kernel)(times)) / float(wrong.kernel(0.0))
        ignored = float(np.max(np.abs(ratio / (exact / exact[0]) - 1.0)))
    return Scaled(
        name,
        _phase(name, width),
        np.asarray(times),
        kernel,
        alignment,
        exact,
        np.asarray(jax.vmap(flow.alignment)(times)),
        float(drift),
        ignored,
    )


def _growth(settings: Settings, name: str, key: Key) -> Growth:

    def one(width):
        def ends(key):
            flow = _flow(name, width, key)
            return flow.kernel_change(jnp.inf), flow.alignment(jnp.inf)

        return jax.jit(jax.vmap(ends))(jr.split(key, settings.seeds))

    found = [one(width) for width in settings.widths]
    return Growth(
        name,
        tuple(_phase(name, width) for width in settings.widths),
        np.stack([np.asarray(each[0]) for each in found]),
        np.stack([np.asarray(each[1]) for each in found]),
    )


def _demonstrations(settings: Settings, key: Key) -> tuple[Demonstration, ...]:
    d = settings.demonstration_width
    z = jr.normal(key, (4, d))
    same = jnp.full(d, 0.1)
    starts = (
        ("alignment", 0.05 * z[0], 0.05 * z[1], 1.0),
        ("disalignment", 0.5 * z[2] + 0.25 * z[3], 0.5 * z[2] - 0.25 * z[3], 0.5),
        ("rescaling", same, same, 4.0),
    )
    out = []
    for name, u, w, target in starts:
        flow = flows.LatentVariableFlow(u, w, cross_moment=target)
        times = jnp.linspace(0.0, 20.0, 81) * flow.learning_time
        zeta = np.asarray(jax.vmap(flow.alignment)(times))
        kernel = np.asarray(jax.vmap(flow.kernel)(times))
        found = flows.latent_mechanism(flow, tolerance=0.05).net
        out.append(Demonstration(name, np.asarray(times), zeta, kernel, found))
    return tuple(out)
