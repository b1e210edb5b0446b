"""`W = U V^T` with square factors under GL(2): horizontal noise and the singular values of `W`."""

import jax.numpy as jnp
import numpy as np

from ...catalogue import Factorisation
from ...dynamics import ProjectedLangevin
from ...laws import horizontal
from ...quotient import Domain
from .._case import Case, Context
from .._report import CaseResult, Row
from ._tools import Runs, density, figure, judge_rows, marginal_curve, virial_row

NAME = "factorisation"
TEMPERATURE = 0.1


def potential(w):
    """Of the singular values only: `sum_i (s_i^2 - 1)^2 / 4`."""
    return 0.25 * jnp.sum((w.T @ w - jnp.eye(2, dtype=w.dtype)) ** 2)


def run(context: Context) -> CaseResult:
    """Re-gauged: plain Euler steps hop over `det W = 0`, which the process cannot cross."""
    plain = () if context.quick else (0.3,)
    runs = Runs(context, (2.0, *plain))
    model = Factorisation(2, 2, 2)
    root = jnp.array([[1.0, 0.2], [0.1, 0.8]])
    at = (root, root)
    q = model.quotient(at=at)
    horizontal(q, potential, TEMPERATURE)  # raises where a condition of the law fails
    loss = model.loss(potential)
    sde = ProjectedLangevin(loss, model.action, TEMPERATURE)
    time, dt = 6.0 if context.quick else 8.0, 6e-3 if context.quick else 4e-3
    ens = runs("horizontal noise", sde, at, time=time, dt=dt, observe=model.invariants, regauge=q)
    w = ens.last()
    spectra = np.linalg.svd(w, compute_uv=False)
    domain = Domain.box([0.0, 0.0], [np.inf, np.inf], ordered=True)

    def weight(s, temperature):
        return -0.25 * jnp.sum((s**2 - 1.0) ** 2) / temperature

    laws = {
        "horizontal: prod s_i^-1/2 |s_1 - s_2|": density(
            "horizontal",
            lambda s, t: weight(s, t) + model.log_spectral_density(s, 0.0),
            domain,
            TEMPERATURE,
        ),
        "flat in W: |s_1^2 - s_2^2|": density(
            "flat", lambda s, t: weight(s, t) + jnp.log(s[0] ** 2 - s[1] ** 2), domain, TEMPERATURE
        ),
    }
    names = list(laws)
    dynamics = "horizontal, balanced start"
    rows = judge_rows(
        spectra,
        list(laws.values()),
        names,
        case=NAME,
        dynamics=dynamics,
        expected=names[:1],
        joint=True,
    )
    rows += (
        virial_row(ens, loss, model.action, TEMPERATURE, case=NAME, dynamics=dynamics),
        _flips(w, at, dynamics, "re-gauged each step"),
    )
    if plain:
        loose = runs(
            "plain Euler steps", sde, at, time=time, dt=dt, observe=model.invariants, chains=512
        )
        rows += (_flips(loose.last(), at, dynamics, "plain Euler steps"),)
    pictures = []
    for label, index in {"$s_1$": 0, "$s_2$": 1}.items():
        values = spectra[:, index]
        low, high = (0.0, float(np.quantile(values, 0.999)))
        curves = {key: marginal_curve(law, index, low, high) for key, law in laws.items()}
        pictures.append(figure(dynamics, label, values, curves, names[:1]))
    return CaseResult(rows, tuple(pictures))


def _flips(w: np.ndarray, at, dynamics: str, how: str) -> Row:
    sign = float(jnp.sign(jnp.linalg.det(at[0] @ at[1].T)))
    share = float((np.sign(np.linalg.det(w)) != sign).mean())
    return Row(
        test=f"flips of det W, {how}",
        case=NAME,
        dynamics=dynamics,
        law=f"share of chains with det W flipped, {how}",
        reference="none",
        role="report",
        draws=len(w),
        statistic=share,
        kind="share",
        detail="the process itself never crosses det W = 0 from an exactly balanced start",
    )


case = Case(NAME, "U V^T with GL(2), 2 x 2: horizontal noise", run, 3072, 2048, cost=2.5)
