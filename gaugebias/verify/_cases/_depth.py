"""The product of three factors: a law on the whole line from a balanced start."""

import jax.numpy as jnp

from ...catalogue import HadamardProduct
from ...dynamics import ProjectedLangevin
from ...laws import horizontal
from ...quotient import Domain
from .._case import Case, Context
from .._report import CaseResult, Row
from ._tools import Runs, curve, density, figure, judge_rows, virial_row

NAME = "depth-three"
TEMPERATURE = 0.1


def potential(w):
    return 0.5 * (w - 1.0) ** 2


def run(context: Context) -> CaseResult:
    """Horizontal noise; the process crosses 0, so the law holds on the whole line."""
    runs = Runs(context, (1.0,))
    model = HadamardProduct((), 3)
    at = model.lift(jnp.array(0.7))
    q = model.quotient(at=at)
    loss = model.loss(potential)
    sde = ProjectedLangevin(loss, model.action, TEMPERATURE)
    ens = runs(
        "horizontal noise",
        sde,
        at,
        time=24.0 if context.quick else 30.0,
        dt=0.01 if context.quick else 7.5e-3,
        observe=model.invariants,
        regauge=q,
    )
    line = Domain.line(breaks=(0.0,))

    def weight(w, temperature):
        return -potential(w) / temperature

    def log_size(w):
        return jnp.log(jnp.abs(w))

    def power(exponent, name):
        return density(name, weight, line, TEMPERATURE, volume=log_size, exponent=exponent)

    laws = {
        "horizontal: |w|^-2/3": horizontal(q, potential, TEMPERATURE, domain=line),
        "|w|^-1/2": power(-0.5, "half"),
        "flat in w: |w|^0": power(0.0, "flat"),
    }
    names = list(laws)
    dynamics = "horizontal, balanced start"
    rows = judge_rows(
        ens, list(laws.values()), names, case=NAME, dynamics=dynamics, expected=names[:1]
    )
    w = ens.last()
    negative = float((w < 0).mean())
    rows += (
        virial_row(ens, loss, model.action, TEMPERATURE, case=NAME, dynamics=dynamics),
        Row(
            test="crossings",
            case=NAME,
            dynamics=dynamics,
            law="share of chains at w < 0",
            reference="none",
            role="report",
            draws=w.size,
            statistic=negative,
            kind="share",
            detail=f"the law has {float(laws[names[0]].cdf(0.0)):.4f}",
        ),
    )
    curves = {name: curve(law, -0.6, 2.4, 601) for name, law in laws.items()}
    picture = figure(
        "three factors, horizontal noise", "$w = u_1 u_2 u_3$", w, curves, names[:1], (-0.4, 2.2)
    )
    return CaseResult(rows, (picture,))


case = Case(NAME, "w = u1 u2 u3: horizontal noise", run, 6144, 4096)
