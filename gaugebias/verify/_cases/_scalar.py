"""The scalar product `w = uv`: three dynamics, five laws and a refusal."""

import jax.numpy as jnp
import numpy as np

from ...catalogue import HadamardProduct
from ...dynamics import Langevin, ProjectedLangevin
from ...laws import NotNormalisable, conditioned, horizontal, pushforward, shell
from ...quotient import Domain, Quotient
from .._case import Case, Context
from .._report import CaseResult, Row
from ._tools import Runs, curve, density, figure, judge_rows, refusal, virial_row

NAME = "scalar-product"
TEMPERATURE, RIDGE = 0.1, 0.2
HALF_WIDTH, CUT = 0.02, 0.1
GAP = 5.0  # time between draws of the ridge run: several relaxation times of w, two of chi


def potential(w):
    return 0.5 * (w - 1.0) ** 2


def _log_size(w):
    return jnp.log(jnp.abs(w))


def _plain(w, temperature):
    return -potential(w) / temperature


def _decayed(w, temperature):
    return -(potential(w) + RIDGE * jnp.abs(w)) / temperature


def _power(exponent: float, weight, domain: Domain, name: str):
    """`|w|^exponent exp(weight)` on a domain."""
    return density(name, weight, domain, TEMPERATURE, volume=_log_size, exponent=exponent)


def _balanced(runs: Runs, model: HadamardProduct, q: Quotient, quick: bool):
    """Horizontal noise from an exactly balanced start."""
    positive, line = Domain.line(lower=0.0), Domain.line(breaks=(0.0,))
    law = horizontal(q, potential, TEMPERATURE, domain=positive)
    loss = model.loss(potential)
    sde = ProjectedLangevin(loss, model.action, TEMPERATURE)
    ens = runs(
        "horizontal noise",
        sde,
        q.at,
        time=6.0 if quick else 8.0,
        dt=6e-3 if quick else 4e-3,
        observe=q.phi,
        regauge=q,
    )
    laws = {
        "horizontal: |w|^-1/2": law,
        "flat in w: |w|^0": _power(0.0, _plain, positive, "flat"),
        "ridge: K_0(.2 |w|/T)": pushforward(q, potential, TEMPERATURE, RIDGE, domain=positive),
    }
    names = list(laws)
    rows = judge_rows(
        ens,
        list(laws.values()),
        names,
        case=NAME,
        dynamics="horizontal, balanced start",
        expected=names[:1],
    )
    rows += (
        virial_row(
            ens, loss, model.action, TEMPERATURE, case=NAME, dynamics="horizontal, balanced start"
        ),
        refusal(
            lambda: conditioned(q, potential, TEMPERATURE, ridge=RIDGE, domain=line),
            case=NAME,
            dynamics="conditioned on chi",
            law="|w|^-1 on the whole line",
            kind=NotNormalisable,
        ),
    )
    curves = {name: curve(each, 1e-3, 2.4) for name, each in laws.items()}
    picture = figure(
        "horizontal noise, balanced start", "$w = uv$", ens.last(), curves, names[:1], (0.0, 2.2)
    )
    return rows, picture


def _isotropic(runs: Runs, model: HadamardProduct, q: Quotient, quick: bool):
    """Isotropic noise with a ridge: the run whose draws are conditioned as well."""
    line = Domain.line(breaks=(0.0,))
    loss = model.loss(potential, ridge=RIDGE)
    sde = Langevin(loss, TEMPERATURE)
    dt = 0.01 if quick else 8e-3
    draws = 18
    every = runs.steps(GAP, dt)
    ens = runs(
        "isotropic noise with a ridge",
        sde,
        q.at,
        time=GAP * (draws + 3),
        dt=dt,
        burn_in=3 * every,
        every=every,
    )
    u, v = (np.asarray(x)[ens.successful] for x in ens.values)
    law = pushforward(q, potential, TEMPERATURE, RIDGE, domain=line)
    laws = {
        "push-forward: K_0(.2 |w|/T)": law,
        "horizontal: |w|^-1/2": _power(-0.5, _decayed, line, "horizontal"),
        "flat in w: |w|^0": _power(0.0, _decayed, line, "flat"),
    }
    names = list(laws)
    last = (u * v)[:, -1]
    rows = judge_rows(
        last,
        list(laws.values()),
        names,
        case=NAME,
        dynamics="isotropic, ridge 0.2",
        expected=names[:1],
    )
    rows += (
        virial_row(
            ens,
            loss,
            model.action,
            TEMPERATURE,
            case=NAME,
            dynamics="isotropic, ridge 0.2",
            beta=1.0,
        ),
    )
    curves = {name: curve(each, -0.8, 2.4, 601) for name, each in laws.items()}
    picture = figure("isotropic noise, ridge 0.2", "$w = uv$", last, curves, names[:1], (-0.5, 2.2))
    return rows, picture, u.ravel(), v.ravel()


def _shells(q: Quotient, u: np.ndarray, v: np.ndarray):
    """The same draws in thin shells around the slice, by three functions with one zero set."""
    w = u * v
    above = Domain.line(lower=CUT)
    candidates = {
        "conditioned: |w|^-1": conditioned(q, potential, TEMPERATURE, ridge=RIDGE, domain=above),
        "|w|^-1/2": _power(-0.5, _decayed, above, "half"),
        "|w|^0": _power(0.0, _decayed, above, "flat"),
    }
    names = list(candidates)
    with np.errstate(divide="ignore", invalid="ignore"):
        gauges = {
            "(u^2 - v^2)/2": (0.5 * (u**2 - v**2), names[0]),
            "u - v": (u - v, names[1]),
            "log(u/v)": (np.log(np.abs(u / v)), names[2]),
        }
    rows: tuple[Row, ...] = ()
    pictures = []
    for gauge, (chi, expected) in gauges.items():
        kept = w[(np.abs(chi) < HALF_WIDTH) & (w >= CUT)]
        dynamics = f"isotropic, |{gauge}| < {HALF_WIDTH}"
        rows += judge_rows(
            kept,
            list(candidates.values()),
            names,
            case=NAME,
            dynamics=dynamics,
            expected=(expected,),
        )
        curves = {name: curve(law, CUT + 1e-4, 2.4) for name, law in candidates.items()}
        pictures.append(
            figure(f"given |{gauge}| < {HALF_WIDTH}", "$w = uv$", kept, curves, (expected,))
        )
    moment = gauges["(u^2 - v^2)/2"][0]
    inside = w[np.abs(moment) < HALF_WIDTH]
    exact = {
        "exact shell density": shell(potential, TEMPERATURE, RIDGE, HALF_WIDTH),
        "push-forward: K_0(.2 |w|/T)": pushforward(q, potential, TEMPERATURE, RIDGE),
    }
    rows += judge_rows(
        inside,
        list(exact.values()),
        list(exact),
        case=NAME,
        dynamics=f"isotropic, |(u^2 - v^2)/2| < {HALF_WIDTH}, whole line",
        expected=("exact shell density",),
    )
    curves = {name: curve(law, -0.8, 2.4, 601) for name, law in exact.items()}
    title = f"given |(u^2 - v^2)/2| < {HALF_WIDTH}, whole line"
    pictures.append(
        figure(title, "$w = uv$", inside, curves, ("exact shell density",), (-0.5, 2.2))
    )
    return rows, pictures


def run(context: Context) -> CaseResult:
    """All of the case."""
    runs = Runs(context, (1.0, 3.0))
    model = HadamardProduct((), 2)
    q = model.quotient(at=model.lift(jnp.array(0.7)))
    balanced, first = _balanced(runs, model, q, context.quick)
    isotropic, second, u, v = _isotropic(runs, model, q, context.quick)
    shells, others = _shells(q, u, v)
    return CaseResult(balanced + isotropic + shells, (first, second, *others))


case = Case(NAME, "w = uv: horizontal, isotropic and conditioned", run, 4096, 4096, cost=3.0)
