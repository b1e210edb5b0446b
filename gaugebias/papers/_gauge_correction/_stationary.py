"""Beyond the publication: its two sparse models with noise, run until they are stationary."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from ..._types import Key
from ...catalogue import CumulativeHadamard, HadamardProduct
from ...dynamics import ProjectedLangevin, simulate, step_halving
from ...laws import DensityLaw, horizontal
from ...quotient import Domain
from ...verdicts import Row, compare
from .._intervals import mean_interval
from ._checks import check_positive

HADAMARD, CUMULATIVE = "Hadamard", "cumulative"
LAW, FLAT, CONDITIONED = "horizontal", "flat", "conditioned"
RECORDS = 8


@dataclasses.dataclass(frozen=True)
class StationarySettings:
    r"""Ours: the publication has no noise in these models.

    A stationary law needs more than half as many rows as entries: along the valley of fits, of
    dimension `n - m`, \(\prod|w_i|^{-1/2}\) falls as the power `n/2` of the distance. The published
    sizes (32 of 64, 60 of 200) have none; these problems are smaller.

    - `coefficients`: of the cosines of frequency 1, 2, ... at `points` uniform points; `jumps`:
      increments of the signal of which `points` normal measurements are taken.
    - `noise`: standard deviation in the data. The loss is the mean square, as published.
    - `temperature`, `dt`, `steps`: of the first model, and `signal_temperature`, `signal_dt` of the
      second. A law that fails is simulated once more, with twice the `chains` and half the step.
    - `cut`: least size of an entry where the conditioned law, which is not normalisable at 0, is
      looked at.
    """

    chains: int = 2048
    points: int = 8
    noise: float = 0.1
    coefficients: tuple[float, ...] = (1.5, 0.0, 0.0)
    temperature: float = 0.1
    dt: float = 4e-3
    jumps: tuple[float, ...] = (1.0, 0.0, -1.5)
    signal_temperature: float = 0.02
    signal_dt: float = 5e-3
    steps: int = 2_000
    cut: float = 0.02

    def __post_init__(self) -> None:
        check_positive(self, "steps", "dt", "signal_dt", "noise")
        for name in ("coefficients", "jumps"):
            size = len(getattr(self, name))
            if not 1 < size <= 3:
                raise ValueError(f"`{name}` must be 2 or 3: marginals are by quadrature.")
            if self.points < size:
                raise ValueError(
                    f"`points` must be at least {size}, as `{name}` are: with fewer the law has a "
                    "valley, along which it may not be normalisable."
                )
        if self.steps % RECORDS:
            raise ValueError(f"`steps` must be a multiple of {RECORDS}.")
        if self.chains < 256:
            raise ValueError("`chains` must be at least 256, for the tests to see a rival.")
        if not (self.temperature > 0 and self.signal_temperature > 0):
            raise ValueError(
                "`temperature` and `signal_temperature` must be positive: at 0 every correction "
                "vanishes and the start decides."
            )
        if not self.cut > 0:
            raise ValueError("`cut` must be positive: the conditioned law diverges at 0.")


class MeanSquare(eqx.Module):
    """`|A w - b|^2 / m` of a predictor `w`."""

    A: Array
    b: Array

    def __call__(self, w: Array) -> Array:
        return jnp.mean((self.A @ w - self.b) ** 2)

    def of_increments(self) -> "MeanSquare":
        """The same loss as a function of the increments of `w`."""
        return MeanSquare(jnp.cumsum(self.A[:, ::-1], axis=1)[:, ::-1], self.b)


class Roots(eqx.Module):
    r"""The law of signed roots: entries `d_i = sign_i a_i^2` with the loss `loss(d)`.

    In them \(\prod|d_i|^{-1/2} e^{-l/T} dd\) is \(e^{-l/T} da\): flat but for the loss, and the law
    of exponent `s` is \(\prod a_i^s e^{-l/T} da\). (Exactly balanced starts keep the signs.)
    """

    loss: MeanSquare
    signs: Array

    def weight(self, a: Array, temperature) -> Array:
        return -self.loss(self.signs * a**2) / temperature


def _log_product(a: Array) -> Array:
    return jnp.sum(jnp.log(a))


def law_in_roots(
    roots: Roots, temperature: float, exponent: float, name: str, cut: float = 0.0
) -> DensityLaw:
    """The law of exponent `s`, on entries of size at least `cut`."""
    size = roots.signs.shape[0]
    domain = Domain.box((math.sqrt(cut),) * size, (math.inf,) * size)
    return DensityLaw(
        roots.weight, domain, temperature, volume=_log_product, exponent=exponent, name=name
    )


@dataclasses.dataclass(frozen=True)
class Stationary:
    """One model at its end.

    - `rows`: the verdicts by name of the law; `restricted`: those on entries above the cut.
    - `roots`: the last draw of every chain, `(chains, n)`; `problem`, `temperature`: what the laws
      are made of. `attempts`: 1, or 2 where the first was simulated again.
    - `settled`: size `|d|_1` of the last record over that at half time, mean over chains and the
      reach of its interval.
    """

    rows: dict[str, Row]
    restricted: dict[str, Row]
    roots: np.ndarray
    problem: Roots
    temperature: float
    attempts: int
    settled: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class StationaryResult:
    """By model, `models`; and `growth`: `|w|_1` at the end over that at half time, with its reach,
    of a Hadamard model with one row and three entries, which has no stationary law."""

    models: dict[str, Stationary]
    growth: tuple[float, float]


def _problem(settings: StationarySettings, name: str, key: Key) -> tuple[MeanSquare, np.ndarray]:
    """The loss, and the entries that the start has the signs of."""
    for_rows, for_noise = jr.split(key)
    m = settings.points
    if name == HADAMARD:
        entries = np.asarray(settings.coefficients)
        t = jr.uniform(for_rows, (m,), float)
        A, w = jnp.cos(2.0 * jnp.pi * jnp.outer(t, 1 + jnp.arange(entries.size))), entries
    else:
        entries = np.asarray(settings.jumps)
        A, w = jr.normal(for_rows, (m, entries.size), float), np.cumsum(entries)
    return MeanSquare(A, A @ w + settings.noise * jr.normal(for_noise, (m,), float)), entries


def _size_ratio(values: np.ndarray) -> tuple[float, float]:
    """`|d|_1` of the last record over that of the middle one, mean over chains, to first order."""
    last, middle = (np.sum(np.abs(values[:, i]), axis=-1) for i in (-1, values.shape[1] // 2 - 1))
    change, reach = mean_interval(last - middle)
    base = float(np.mean(middle))
    return 1.0 + change / base, reach / base


def _settle(
    settings: StationarySettings, name: str, key: Key, progress: Callable[[float], None]
) -> Stationary:
    """One model, simulated until its law is consistent, at most twice."""
    for_problem, for_run = jr.split(key)
    loss, entries = _problem(settings, name, for_problem)
    size, sums = entries.size, name == CUMULATIVE
    signs = np.where(entries < 0, -1.0, 1.0)
    product = HadamardProduct((size,), 2)
    model: Any = CumulativeHadamard(size, 2) if sums else product
    temperature = settings.signal_temperature if sums else settings.temperature
    dt = settings.signal_dt if sums else settings.dt
    # At least the thermal size: an entry of exactly 0 stays there.
    start = signs * np.maximum(np.abs(entries), 0.1)
    at = product.lift(jnp.asarray(start))
    q = model.quotient(at=at)
    domain = Domain.box(*np.where(signs > 0, [[0.0], [np.inf]], [[-np.inf], [0.0]]))
    horizontal(q, loss, temperature, domain=None if sums else domain)  # raises where it fails
    roots = Roots(loss.of_increments() if sums else loss, jnp.asarray(signs))
    sde = ProjectedLangevin(model.loss(loss), model.action, temperature)
    laws = {
        LAW: law_in_roots(roots, temperature, 0.0, LAW),
        FLAT: law_in_roots(roots, temperature, 1.0, FLAT),
    }
    cut = {
        LAW: law_in_roots(roots, temperature, 0.0, LAW, settings.cut),
        CONDITIONED: law_in_roots(roots, temperature, -1.0, CONDITIONED, settings.cut),
    }
    attempts = 0
    while True:
        scale = 2**attempts
        run = step_halving(
            sde,
            at,
            key=jr.fold_in(for_run, attempts),
            chains=settings.chains * scale,
            steps=settings.steps * scale,
            dt=dt / scale,
            every=settings.steps * scale // RECORDS,
            observe=lambda p: jnp.sqrt(jnp.abs(p[0] * p[1])),
            regauge=q,
            progress=progress,
        )
        attempts += 1
        seen = compare(run, list(laws.values()), key=jr.fold_in(for_run, 10 + attempts))
        last = np.asarray(run.fine.values)[:, -1]
        kept = last[np.all(last**2 >= settings.cut, axis=-1)]
        inside = compare(kept, list(cut.values()), key=jr.fold_in(for_run, 20 + attempts))
        rows, restricted = (
            dict(zip(k, v.rows, strict=True)) for k, v in ((laws, seen), (cut, inside))
        )
        fine = rows[LAW].verdict == restricted[LAW].verdict == "consistent"
        if fine or attempts == 2:
            settled = _size_ratio(np.asarray(run.fine.values) ** 2)
            return Stationary(rows, restricted, last, roots, temperature, attempts, settled)


def _growth(settings: StationarySettings, key: Key) -> tuple[float, float]:
    """The same noise on a valley: one row for three entries."""
    loss = MeanSquare(jnp.array([[1.0, -1.0, 0.5]]), jnp.array([1.0]))
    model = HadamardProduct((3,), 2)
    at = model.lift(jnp.array([1.0, 0.5, 0.5]))
    run = simulate(
        ProjectedLangevin(model.loss(loss), model.action, settings.temperature),
        at,
        key=key,
        chains=settings.chains // 2,
        steps=settings.steps,
        dt=settings.dt,
        every=settings.steps // RECORDS,
        observe=model.invariants,
        regauge=model.quotient(at=at),
    )
    return _size_ratio(np.asarray(run.values))


def train_stationary(settings: StationarySettings, key: Key, seeds: int, steps: int) -> np.ndarray:
    """`seeds` chains of the Hadamard model for `steps` steps: its predictors, `(seeds, n)`."""
    for_problem, for_run = jr.split(key)
    loss, entries = _problem(settings, HADAMARD, for_problem)
    model = HadamardProduct((entries.size,), 2)
    at = model.lift(jnp.asarray(np.maximum(np.abs(entries), 0.1)))
    run = simulate(
        ProjectedLangevin(model.loss(loss), model.action, settings.temperature),
        at,
        key=for_run,
        chains=seeds,
        steps=steps,
        dt=settings.dt,
        every=steps,
        observe=model.invariants,
        regauge=model.quotient(at=at),
    )
    return np.asarray(run.values)[:, -1]


def run_stationary(
    settings: StationarySettings, key: Key, progress: Callable[[str, float], None]
) -> StationaryResult:
    """Both models with noise across the orbits from balanced starts, and one without a law."""
    models = {}
    for i, name in enumerate((HADAMARD, CUMULATIVE)):

        def tell(part: float, i=i, name=name) -> None:
            progress(f"{name}, noise across the orbits", 0.45 * (i + part))

        models[name] = _settle(settings, name, jr.fold_in(key, i), tell)
    progress("a valley of fits", 0.9)
    return StationaryResult(models, _growth(settings, jr.fold_in(key, 2)))
