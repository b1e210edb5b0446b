"""Models for which the horizontal law is refused under Ito noise, and what still holds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...catalogue import DeepLinear, ReLUNeuron
from ...dynamics import SDE, ProjectedLangevin, imbalance_rate
from ...laws import horizontal
from ...quotient import Domain, MomentMapGauge
from ...stats import mean_test
from .._case import Case, Context
from .._report import CaseResult, Row
from ._tools import Runs, curve, density, figure, judge_rows, refusal, virial_row

TEMPERATURE = 0.1


def _with_integral(sde: ProjectedLangevin, fn) -> SDE:
    """The process together with the running integral of `fn` along it."""

    def drift(state):
        params, _ = state
        return sde.drift(params), fn(params)

    def diffusion(state, noise):
        params, total = state
        return sde.diffusion(params, noise[0]), 0.0 * total

    return SDE(drift, diffusion, calculus=sde.calculus)


def run_relu(context: Context) -> CaseResult:
    """A ReLU neuron with three inputs: refused under Ito noise, right under Stratonovich noise."""
    name = "relu-neuron"
    runs = Runs(context, (2.0, 3.0))
    model = ReLUNeuron(3)
    at = model.lift(jnp.array([0.6, 0.0, 0.8]))
    q = model.quotient(at=at)

    def potential(z):
        return 0.5 * (jnp.sqrt(jnp.sum(z**2)) - 1.0) ** 2

    loss = model.loss(potential)
    ito = ProjectedLangevin(loss, model.action, TEMPERATURE)
    gauge = MomentMapGauge()

    def chi(params):
        return gauge.chi(model.action, params)

    def rate(params):
        return imbalance_rate(ito, model.action, params)

    dynamics = "horizontal, Ito"
    rows: tuple[Row, ...] = (
        refusal(
            lambda: horizontal(q, potential, TEMPERATURE),
            case=name,
            dynamics=dynamics,
            law="horizontal: |z|^-3/2",
        ),
    )
    ens = runs(
        "Ito noise and the imbalance",
        _with_integral(ito, rate),
        (at, jnp.zeros_like(chi(at))),
        time=2.0,
        dt=2e-3 if context.quick else 1e-3,
        observe=lambda s: (chi(s[0]), s[1]),
    )
    moved, predicted = ens.last()
    moved = moved - float(chi(at))
    found = mean_test(moved - predicted, 0.0)
    unmoved = mean_test(moved, 0.0)
    common: dict[str, Any] = dict(
        case=name, dynamics=dynamics, reference="none", draws=len(moved), kind="mean"
    )
    rows += (
        Row(
            test="imbalance rate",
            law="d chi = T tr(P A) dt, as predicted",
            role="expected",
            statistic=found.statistic,
            p_value=found.p_value,
            detail=f"moved {moved.mean():.4f}, predicted {predicted.mean():.4f}",
            **common,
        ),
        Row(
            test="imbalance conserved",
            law="chi conserved",
            role="rival",
            statistic=unmoved.statistic,
            p_value=unmoved.p_value,
            detail=f"moved {moved.mean():.4f}",
            **common,
        ),
    )
    stratonovich = ProjectedLangevin(loss, model.action, TEMPERATURE, calculus="stratonovich")
    horizontal(q, potential, TEMPERATURE, calculus="stratonovich")  # raises if a condition fails
    dynamics = "horizontal, Stratonovich"
    ens = runs(
        "Stratonovich noise",
        stratonovich,
        at,
        time=6.0,
        dt=8e-3 if context.quick else 5e-3,
        observe=lambda p: jnp.sqrt(jnp.sum(model.invariants(p) ** 2)),
        regauge=q,
    )
    half_line = Domain.line(lower=0.0)

    def weight(r, temperature):
        return -0.5 * (r - 1.0) ** 2 / temperature

    def power(exponent):
        return density(
            f"r^{exponent:g}", weight, half_line, TEMPERATURE, volume=jnp.log, exponent=exponent
        )

    laws = {
        "horizontal: r^1/2 (|z|^-3/2 dz)": density(
            "horizontal",
            lambda r, t: weight(r, t) + model.log_radial_density(r, 0.0),
            half_line,
            TEMPERATURE,
        ),
        "flat in r": power(0.0),
        "flat in z: r^2": power(2.0),
    }
    names = list(laws)
    rows += judge_rows(
        ens, list(laws.values()), names, case=name, dynamics=dynamics, expected=names[:1]
    )
    curves = {key: curve(law, 1e-3, 2.4) for key, law in laws.items()}
    picture = figure(dynamics, "$r = |v| |w|$", ens.last(), curves, names[:1], (0.0, 2.2))
    return CaseResult(rows, (picture,))


def run_deep_linear(context: Context) -> CaseResult:
    """Three 2 x 2 layers with a ridge and no data: the norm counts the quotient's dimension."""
    name = "deep-linear"
    runs = Runs(context, (1.0,))
    model = DeepLinear(2, 3)
    ridge = 0.25

    def potential(w):
        return 0.0 * jnp.sum(w)

    at = model.lift(jnp.array([[1.0, 0.2], [-0.1, 0.7]]))
    q = model.quotient(at=at)
    loss = model.loss(potential, ridge=ridge)
    sde = ProjectedLangevin(loss, model.action, TEMPERATURE)
    dynamics = "horizontal, Ito, ridge 0.25"
    rows: tuple[Row, ...] = (
        refusal(
            lambda: horizontal(q, potential, TEMPERATURE, ridge=ridge),
            case=name,
            dynamics=dynamics,
            law="horizontal (s = 0)",
        ),
    )

    def square(params):
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))

    ens = runs(
        "horizontal noise",
        sde,
        at,
        time=12.0 if context.quick else 16.0,
        dt=0.02,
    )
    dimension = model.dimensions.quotient
    norms = np.asarray(jax.vmap(square)(ens.final))
    target = TEMPERATURE * dimension / ridge
    law = f"E|theta|^2 = T dim(quotient)/lam = {target:g} (virial)"
    rows += (
        virial_row(ens, loss, model.action, TEMPERATURE, case=name, dynamics=dynamics, law=law),
    )
    other = mean_test(norms, TEMPERATURE * model.dimensions.parameters / ridge)
    rows += (
        Row(
            test="counts parameters",
            case=name,
            dynamics=dynamics,
            law=f"T dim(parameters)/lam = {TEMPERATURE * model.dimensions.parameters / ridge:g}",
            reference="none",
            role="rival",
            draws=len(norms),
            statistic=other.statistic,
            p_value=other.p_value,
            kind="mean",
            detail=f"mean {norms.mean():.4f}",
        ),
    )
    gamma = density(
        "gamma",
        lambda x, t: (0.5 * dimension - 1.0) * jnp.log(x) - 0.5 * ridge * x / t,
        Domain.line(lower=0.0),
        TEMPERATURE,
    )
    high = float(np.quantile(norms, 0.999))
    picture = figure(
        dynamics,
        r"$|\theta|^2$",
        norms,
        {f"gamma law of {dimension} quadratic degrees of freedom": curve(gamma, 1e-3, high)},
        (),
        (0.0, high),
    )
    note = f"E|theta|^2 = {norms.mean():.4f}; T dim(quotient)/lam = {target:g}."
    return CaseResult(rows, (picture,), (note,))


relu = Case("relu-neuron", "a ReLU neuron: Ito refused, Stratonovich right", run_relu, 4096, 2048)
deep_linear = Case(
    "deep-linear",
    "three 2 x 2 linear layers: refused, the virial identity",
    run_deep_linear,
    2048,
    2048,
    cost=2.4,
)
