"""Cheap processes under their true law, and every test on each of many repetitions.

A `Case` gives the p-values of one test: `kind` is "calibrated" where their fraction below 0.05
must be 0.05 up to chance, "at most" for tests that are conservative by design, and "not" where a
test is used outside its conditions, to show that it must not be.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.stats import kstwo, norm

import gaugebias as gb
from gaugebias import stats
from gaugebias.verdicts import compare, virial_terms, virial_test

TEMPERATURE = 0.1
DRAWS = 100
PERMUTATIONS = 199
RHO, RECORD = 0.9, 20


class Case(NamedTuple):
    """P-values of one test on repetitions of one process."""

    test: str
    process: str
    kind: str
    p_values: np.ndarray


def potential(w: Any) -> Any:
    """The loss of w = uv."""
    return 0.5 * (w - 1.0) ** 2


def product_model() -> tuple[Any, Any, Any]:
    """w = uv with horizontal noise from a balanced start: model, quotient, law on w > 0."""
    model = gb.catalogue.HadamardProduct(())
    q = model.quotient(at=model.lift(jnp.asarray(1.0)))
    domain = gb.quotient.Domain.line(lower=0.0)
    return model, q, gb.laws.horizontal(q, potential, TEMPERATURE, domain=domain)


def _key(i: int) -> np.ndarray:
    return np.array([20_260, i], dtype=np.uint32)


def _p(repetitions: int, one: Callable[[int], Any]) -> np.ndarray:
    return np.asarray([one(i).p_value for i in range(repetitions)])


def autoregressive(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Stationary AR(1) chains with standard normal law along the last axis."""
    out = rng.normal(size=shape)
    for t in range(1, shape[-1]):
        out[..., t] = rho * out[..., t - 1] + np.sqrt(1.0 - rho**2) * out[..., t]
    return out


def exact_cases(repetitions: int, draws: int = DRAWS) -> Iterator[Case]:
    """Independent draws of laws in closed form, one to five coordinates, with and without walls."""
    rng = np.random.default_rng(1)
    n, m = draws, draws + draws // 5
    x = rng.normal(size=(repetitions, n))
    y = rng.normal(size=(repetitions, m))
    name = f"N(0, 1), {n} draws"
    options = {"permutations": PERMUTATIONS}
    signs = {"replicates": PERMUTATIONS}
    yield Case(
        "ks",
        name,
        "calibrated",
        _p(repetitions, lambda i: stats.kolmogorov_smirnov(x[i], norm.cdf)),
    )
    yield Case(
        "ks two-sample",
        f"{name} and {m}",
        "calibrated",
        _p(repetitions, lambda i: stats.kolmogorov_smirnov_two_sample(x[i], y[i])),
    )
    yield Case(
        "mean, known variance",
        name,
        "calibrated",
        _p(repetitions, lambda i: stats.mean_test(x[i], 0.0, 1.0)),
    )
    yield Case(
        "mean, Student's t",
        name,
        "calibrated",
        _p(repetitions, lambda i: stats.mean_test(x[i], 0.0)),
    )
    among = rng.normal(size=(repetitions, n, 19))
    yield Case(
        "rank",
        name,
        "calibrated",
        _p(repetitions, lambda i: stats.rank_test(x[i], among[i], _key(i))),
    )
    u, v = rng.normal(size=(repetitions, n, 3)), rng.normal(size=(repetitions, m, 3))
    name = f"N(0, I) in 3 d, {n} draws"
    pairs = {"energy": stats.energy_distance, "mmd": stats.maximum_mean_discrepancy}
    for test, fn in pairs.items():
        yield Case(
            test,
            f"{name} and {m}",
            "calibrated",
            _p(repetitions, lambda i, fn=fn: fn(u[i], v[i], _key(i), **options)),
        )
    yield Case(
        "stein",
        name,
        "calibrated",
        _p(repetitions, lambda i: stats.kernel_stein(u[i], -u[i], _key(i), **signs)),
    )
    t5 = rng.standard_t(5, size=(repetitions, n, 5))
    yield Case(
        "stein",
        f"t(5) in 5 d, {n} draws",
        "calibrated",
        _p(
            repetitions,
            lambda i: stats.kernel_stein(
                t5[i], -6.0 * t5[i] / (5.0 + t5[i] ** 2), _key(i), **signs
            ),
        ),
    )
    g = rng.gamma(0.5, size=(repetitions, n, 1))
    score = -0.5 / g - 1.0
    weight, slope = g / (1.0 + g), 1.0 / (1.0 + g) ** 2
    yield Case(
        "stein, weight 0 at the wall",
        f"w^(-1/2) e^-w, {n} draws",
        "calibrated",
        _p(
            repetitions,
            lambda i: stats.kernel_stein(
                g[i], score[i], _key(i), weight[i, :, 0], slope[i], **signs
            ),
        ),
    )
    yield Case(
        "stein, no weight",
        f"w^(-1/2) e^-w, {n} draws",
        "not",
        _p(repetitions, lambda i: stats.kernel_stein(g[i], score[i], _key(i), **signs)),
    )


def chain_cases(repetitions: int, draws: int = DRAWS) -> Iterator[Case]:
    """AR(1) chains: one draw a chain, thinned, per-chain means, and the two that are wrong."""
    rng = np.random.default_rng(2)
    chains = autoregressive(rng, (repetitions, draws, RECORD), RHO)
    name = f"AR(1), rho {RHO}, {draws} chains of {RECORD}"
    last = chains[..., -1]

    def add(test: str, kind: str, one: Callable[[int], Any], process: str = name) -> Case:
        return Case(test, process, kind, _p(repetitions, one))

    other = autoregressive(rng, (repetitions, draws, RECORD), RHO)[..., -1]
    options = {"permutations": PERMUTATIONS}
    yield add("ks, last draws", "calibrated", lambda i: stats.kolmogorov_smirnov(last[i], norm.cdf))
    yield add(
        "ks two-sample, last draws",
        "calibrated",
        lambda i: stats.kolmogorov_smirnov_two_sample(last[i], other[i]),
    )
    yield add(
        "energy, last draws",
        "calibrated",
        lambda i: stats.energy_distance(last[i], other[i], _key(i), **options),
    )
    yield add(
        "mmd, last draws",
        "calibrated",
        lambda i: stats.maximum_mean_discrepancy(last[i], other[i], _key(i), **options),
    )
    yield add(
        "stein, last draws",
        "calibrated",
        lambda i: stats.kernel_stein(last[i], -last[i], _key(i), replicates=PERMUTATIONS),
    )
    among = rng.normal(size=(repetitions, draws, 19))
    yield add(
        "rank, last draws", "calibrated", lambda i: stats.rank_test(last[i], among[i], _key(i))
    )
    yield add(
        "mean of chain means", "calibrated", lambda i: stats.mean_test(chains[i].mean(axis=1), 0.0)
    )
    yield add("burn-in check", "calibrated", lambda i: stats.stationarity_test(chains[i]))
    few = autoregressive(rng, (repetitions, 10, 500), RHO)
    spaced = "AR(1), rho 0.9, 10 chains of 500"
    yield add(
        "ks, every 50th draw",
        "calibrated",
        lambda i: stats.kolmogorov_smirnov(few[i, :, ::50].ravel(), norm.cdf),
        spaced,
    )
    yield add(
        "ks, all draws pooled",
        "not",
        lambda i: stats.kolmogorov_smirnov(few[i].ravel(), norm.cdf),
        spaced,
    )
    effective = 5000 * (1.0 - RHO) / (1.0 + RHO)

    def corrected(i: int) -> Any:
        d = stats.kolmogorov_smirnov(few[i].ravel(), norm.cdf).statistic
        return stats.TestResult(d, float(kstwo.sf(d, round(effective))), round(effective))

    yield add("ks, n = effective sample size", "not", corrected, spaced)
    yield from _halving_cases(repetitions, rng, draws)


def _halving_cases(repetitions: int, rng: np.random.Generator, draws: int) -> Iterator[Case]:
    """Euler steps of dx = -x dt + sqrt(2) dW at dt and dt/2 on the same noise, stationary."""
    dt, steps = 0.5, 24
    fine = rng.normal(size=(repetitions, draws)) / np.sqrt(1.0 - dt / 4)
    coarse = fine * np.sqrt((1.0 - dt / 4) / (1.0 - dt / 2))
    for _ in range(steps):
        a, b = rng.normal(size=(2, repetitions, draws))
        coarse = (1.0 - dt) * coarse + np.sqrt(dt) * (a + b)
        fine = (1.0 - dt / 2) * fine + np.sqrt(dt) * a
        fine = (1.0 - dt / 2) * fine + np.sqrt(dt) * b
    levels = np.arange(1, 16) / 16
    edges = norm.ppf(levels)

    def one(i: int) -> Any:
        return stats.step_halving_test(
            coarse[i][:, None] <= edges[None],
            fine[i][:, None] <= edges[None],
            levels,
            levels * (1.0 - levels),
        ).test

    name = f"OU, Euler dt {dt} and {dt / 2}, {draws} chains"
    yield Case("step halving", name, "at most", _p(repetitions, one))


def simulated_cases(repetitions: int, draws: int = DRAWS, dt: float = 0.01) -> Iterator[Case]:
    """w = uv under horizontal noise, simulated in parameter space, one draw a chain: every test of
    `compare` by name, and the virial identity."""
    model, q, law = product_model()
    sde = gb.dynamics.ProjectedLangevin(model.loss(potential), model.action, TEMPERATURE)
    ens = gb.simulate(
        sde,
        q.at,
        key=jr.key(5),
        chains=repetitions * draws,
        steps=round(8.0 / dt),
        dt=dt,
        observe=q.phi,
        regauge=q,
    )
    w = np.asarray(ens.last()).reshape(repetitions, draws)
    name = f"w = uv, horizontal, simulated, {draws} chains"
    work, expected = virial_terms(model.loss(potential), model.action, ens.final, TEMPERATURE)
    work, expected = (np.asarray(a).reshape(repetitions, draws) for a in (work, expected))
    yield Case(
        "virial", name, "calibrated", _p(repetitions, lambda i: virial_test(work[i], expected[i]))
    )
    tests = ("ks", "scores", "energy", "mmd", "stein", "rank")
    rows = [
        compare(w[i], law, key=jax.random.fold_in(jr.key(6), i), tests=tests, law_draws=draws)[0]
        for i in range(repetitions)
    ]
    for test in rows[0].tests:
        p = np.asarray([row.tests[test].p_value for row in rows])
        yield Case(f"compare: {test}", name, "calibrated", p)
    p = np.asarray([row.p_value for row in rows])
    yield Case(f"compare: row of {len(rows[0].tests)} tests", name, "at most", p)
