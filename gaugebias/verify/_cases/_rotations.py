"""Isometric actions under noise of different size along and across orbits."""

import jax.numpy as jnp
import numpy as np

from ...catalogue import Radial, SymmetricConjugation, SymmetricFactorisation
from ...dynamics import ProjectedLangevin
from ...laws import projected, pushforward
from ...quotient import Domain
from ...symmetry import symmetric_from_vector
from .._case import Case, Context
from .._report import CaseResult, Row
from ._tools import Runs, curve, density, figure, judge_rows, marginal_curve, virial_row

TEMPERATURE = 0.1
PAIRS = ((1.0, 1.0), (1.0, 0.5), (1.0, 0.0))


def _label(alpha: float, beta: float) -> str:
    return f"noise {alpha:g} P + {beta:g} Q"


def _name(exponent: float) -> str:
    word = {0.0: "horizontal", 1.0: "push-forward"}.get(exponent, "projected")
    return f"{word}: V^{exponent:g}"


def run_radial(context: Context) -> CaseResult:
    """`r = |x|` in three dimensions: the stabiliser of a point has dimension one."""
    name = "radial"
    runs = Runs(context, (1.0,) * 3)
    model = Radial(3)
    at = jnp.array([0.6, 0.0, 0.8])
    q = model.quotient(at=at)

    def potential(r):
        return 0.5 * (r - 1.0) ** 2

    loss = model.loss(potential)
    laws = {}
    for alpha, beta in PAIRS:
        law = projected(q, potential, TEMPERATURE, alpha, beta)
        laws[_name(float(law.exponent))] = law
    rows: tuple[Row, ...] = ()
    pictures = []
    for alpha, beta in PAIRS:
        dynamics = _label(alpha, beta)
        sde = ProjectedLangevin(loss, model.action, TEMPERATURE, alpha, beta)
        ens = runs(
            dynamics,
            sde,
            at,
            time=6.0 if context.quick else 8.0,
            dt=8e-3 if context.quick else 5e-3,
            observe=model.invariants,
        )
        expected = (_name((beta / alpha) ** 2),)
        rows += judge_rows(
            ens, list(laws.values()), list(laws), case=name, dynamics=dynamics, expected=expected
        )
        rows += (
            virial_row(
                ens,
                loss,
                model.action,
                TEMPERATURE,
                case=name,
                dynamics=dynamics,
                alpha=alpha,
                beta=beta,
            ),
        )
        curves = {key: curve(law, 1e-3, 2.5) for key, law in laws.items()}
        pictures.append(figure(dynamics, "$r = |x|$", ens.last(), curves, expected, (0.0, 2.2)))
    return CaseResult(rows, tuple(pictures))


def _spectral(context: Context, name: str, model, loss, weight, lower, at, pairs, pictured, dt):
    """Ordered spectra of a matrix model against their joint laws in three dimensions."""
    runs = Runs(context, (1.0,) * len(pairs))
    domain = Domain.box([lower] * 3, [np.inf] * 3, ordered=True)
    exponents = sorted({(b / a) ** 2 for a, b in pairs}, reverse=True)

    def volume(x):
        return model.log_spectral_density(x, 1.0) - model.log_spectral_density(x, 0.0)

    def neutral(x, temperature):
        return -weight(x) / temperature + model.log_spectral_density(x, 0.0)

    laws = {
        _name(s): density(_name(s), neutral, domain, TEMPERATURE, volume=volume, exponent=s)
        for s in exponents
    }

    def observe(params):
        return model.spectrum(model.invariants(params))

    rows: tuple[Row, ...] = ()
    pictures = []
    for alpha, beta in pairs:
        dynamics = _label(alpha, beta)
        sde = ProjectedLangevin(loss, model.action, TEMPERATURE, alpha, beta)
        ens = runs(dynamics, sde, at, time=6.0, dt=dt, observe=observe)
        expected = (_name((beta / alpha) ** 2),)
        rows += judge_rows(
            ens, list(laws.values()), list(laws), case=name, dynamics=dynamics, expected=expected
        )
        rows += (
            virial_row(
                ens,
                loss,
                model.action,
                TEMPERATURE,
                case=name,
                dynamics=dynamics,
                alpha=alpha,
                beta=beta,
            ),
        )
        spectra = ens.last()
        label, index = pictured
        values = spectra[:, index]
        low, high = np.quantile(values, [0.001, 0.999])
        low = 0.0 if 0.0 < low < 0.2 * high else low
        curves = {key: marginal_curve(law, index, low, high) for key, law in laws.items()}
        pictures.append(figure(dynamics, label, values, curves, expected))
    return CaseResult(rows, tuple(pictures))


def run_conjugation(context: Context) -> CaseResult:
    """Eigenvalues of a symmetric 3 x 3 matrix under conjugation by rotations."""
    model = SymmetricConjugation(3)

    def weight(x):
        return jnp.sum(0.5 * x**2 + 0.25 * x**4)

    def loss(params):
        square = jnp.sum(jnp.square(symmetric_from_vector(params) @ symmetric_from_vector(params)))
        return 0.5 * jnp.sum(params**2) + 0.25 * square

    return _spectral(
        context,
        "conjugation",
        model,
        loss,
        weight,
        -np.inf,
        jnp.array([0.5, 0.0, -0.5, 0.1, 0.0, 0.1]),
        ((1.0, 1.0), (1.0, 0.5)),
        (r"$\lambda_1$", 0),
        6e-3 if context.quick else 4e-3,
    )


def run_symmetric(context: Context) -> CaseResult:
    """Eigenvalues of `W = U U^T`, `U` 3 x 3, under rotations of the columns of `U`."""
    model = SymmetricFactorisation(3, 3)

    def potential(w):
        return 0.25 * jnp.sum((model.matrix(w) - jnp.eye(3, dtype=w.dtype)) ** 2)

    def weight(x):
        return 0.25 * jnp.sum((x - 1.0) ** 2)

    at = jnp.eye(3) + 0.2 * jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    loss = model.loss(potential)
    q = model.quotient(at=at)
    pushforward(q, potential, TEMPERATURE)  # its conditions hold here: raises if they did not
    return _spectral(
        context,
        "symmetric-factorisation",
        model,
        loss,
        weight,
        0.0,
        at,
        ((1.0, 1.0), (1.0, 0.5)),
        (r"$w_3$", 2),
        6e-3 if context.quick else 4e-3,
    )


radial = Case("radial", "r = |x| in R^3 under SO(3)", run_radial, 4096, 4096)
conjugation = Case(
    "conjugation", "Sym(3) under conjugation by O(3)", run_conjugation, 4096, 2048, cost=2.2
)
symmetric = Case(
    "symmetric-factorisation", "U U^T with O(3), 3 x 3", run_symmetric, 4096, 2048, cost=2.8
)
