"""The experiments."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.random as jr
import numpy as np

from ... import factor
from ..._types import Key
from ...factor import CountTable, Factorisation
from ._settings import Settings
from ._tables import BUDGETS, HEALTH, KINDS, budgets, known, noisy

_STEPS = 100_000
_TOL = 1e-9  # of EM: starts are compared to less than they move in one iteration


@dataclasses.dataclass(frozen=True)
class Freedom:
    """Directions at one factorisation: of the non-negative factors, and of row-stochastic ones.

    `dimensions`: of the two groups; `ranks`: of the slopes of shares that are 0, each in the
    directions of its group.
    """

    dimensions: tuple[int, int]
    ranks: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Known:
    """One table without noise, whose factorisation is known.

    - `budgets`, `factors`: the largest difference of a share of a column between starts of equal
      fit, of EM (row-stochastic) and of non-negative least squares (no sums are kept).
    - `errors`: the same against the truth, by solver, at the best start.
    - `verdict`: of `gaugebias.factor.uniqueness`; `size`: how far shares were seen to move.
    """

    kind: str
    truth: Factorisation
    budgets: float
    factors: float
    errors: dict[str, float]
    verdict: str
    size: float
    freedom: Freedom


@dataclasses.dataclass(frozen=True)
class Noisy:
    """One table of counts from a truth that is not unique.

    - `fit`: EM from all starts; `likelihood`: the deviance at the best start of NMF with the
      Kullback-Leibler divergence, and `margins`: how far its row sums are from the table's,
      relative; `traces`.
    - `determinants`, `inner`: det(G G^T) of the starts that agree, as found and after the inner
      identification.
    - `before`, `after`: the largest difference of a share of a column between them.
    - `beyond`: by how much a share of one of them is outside of the ranges found from the best.
    - `size`: the longest of these ranges.
    """

    fit: factor.Fit
    likelihood: float
    margins: float
    determinants: np.ndarray
    inner: np.ndarray
    before: float
    after: float
    beyond: float
    size: float


@dataclasses.dataclass(frozen=True)
class Volume:
    """A scattered mixing of components without zeros, from the solution of largest volume.

    Largest differences from the truth, of a share of a column: `start`, `found` by minimum volume,
    `outer` by the rival rule.
    """

    start: float
    found: float
    outer: float


@dataclasses.dataclass(frozen=True)
class Health:
    """The 5 x 2 table: deviance of one and two components, the ranges, and how tight they are.

    - `ranges`: (2, 2), least and greatest share of men, the component with more men first.
    - `before`, `after`: differences between starts, as in `Noisy`.
    - `inside`, `outside`: the least share where all ends are drawn in, or pushed out, by 1e-3.
    """

    one: float
    two: float
    ranges: np.ndarray
    before: float
    after: float
    inside: float
    outside: float


@dataclasses.dataclass(frozen=True)
class Budgets:
    """The time-budget table, a fit for each number of components."""

    fits: tuple[factor.Fit, ...]
    dissimilarity: tuple[float, ...]
    three: Noisy


@dataclasses.dataclass(frozen=True)
class Result:
    """Everything that was measured. `budgets` is `None` where the table was not given."""

    settings: Settings
    round_trip: float
    known: tuple[Known, ...]
    noisy: tuple[Noisy, ...]
    volumes: tuple[Volume, ...]
    health: Health
    budgets: Budgets | None


def _silent(text: str, fraction: float) -> None:
    pass


def run(settings: Settings, key: Key, progress: Callable[[str, float], None] = _silent) -> Result:
    """All experiments. Needs float64.

    **Raises:** `ValueError`, before any work, where `settings.table` is not the table of the
    publication.
    """
    given = budgets(settings.table) if settings.table else None
    rng = np.random.default_rng(np.asarray(jr.key_data(key)).ravel())
    progress("five models", 0.0)
    trip = _round_trip(settings, rng)
    progress("a table of two columns", 0.02)
    health = _health(settings, key)
    found, counted, volumes = [], [], []
    keys = jr.split(key, settings.tables)
    for i, each in enumerate(keys):
        progress(f"known tables, {i + 1} of {settings.tables}", 0.05 + 0.75 * i / settings.tables)
        for kind in KINDS:
            found.append(_known(settings, kind, each, rng))
        counted.append(_noisy(settings, noisy(_truth(settings, "open", rng), rng), each))
        volumes.append(_volume(settings, _truth(settings, "half", rng)))
    table = None
    if given is not None:
        progress("the time-budget table", 0.8)
        table = _budgets(settings, given, key)
    return Result(settings, trip, tuple(found), tuple(counted), tuple(volumes), health, table)


def _truth(settings: Settings, kind: str, rng: np.random.Generator) -> Factorisation:
    return known(kind, settings.rows, settings.columns, settings.row_total, rng)


def spread(bases: np.ndarray) -> float:
    """The largest difference of a share between solutions, components matched to the first's."""
    return float(np.ptp(_matched(bases), axis=0).max())


def _matched(bases: np.ndarray) -> np.ndarray:
    return np.stack(
        [_factorisation(each).matched(_factorisation(bases[0])).basis for each in bases]
    )


def _factorisation(basis: np.ndarray) -> Factorisation:
    k = len(basis)
    return Factorisation(np.full((1, k), 1.0 / k), basis, np.ones(1))


def _apart(found: Factorisation, truth: Factorisation) -> float:
    return float(np.abs(found.matched(truth).basis - truth.basis).max())


def _round_trip(settings: Settings, rng: np.random.Generator) -> float:
    """Largest relative change of a view sent to another model and back, and of the table."""
    worst = 0.0
    for _ in range(settings.round_trips):
        i, j, k = rng.integers(2, 9), rng.integers(2, 9), rng.integers(1, 5)
        scale = 10.0 ** rng.uniform(-3, 3, k)
        start = Factorisation(
            rng.dirichlet(np.ones(k), i),
            rng.dirichlet(np.ones(j), k),
            rng.uniform(1, 999, i),
            scale,
        )
        for one, other in itertools.product(factor.MODELS, repeat=2):
            first = start.view(one)
            middle = Factorisation.of(Factorisation.of(first).view(other))
            last = middle.view(one)
            if one == "nmf" and other != "nmf":
                # The others have no units of components: these become 1, and the rest is compared.
                first, last = start.lba(), middle.lba()
            pairs = zip((*first, start.fitted), (*last, middle.fitted), strict=True)
            for a, b in pairs:
                worst = max(worst, float(np.max(np.abs(np.subtract(a, b))) / np.max(np.abs(a))))
    return worst


def _health(settings: Settings, key: Key) -> Health:
    fit = factor.expectation_maximisation(HEALTH, 2, key=key, starts=settings.starts, tol=1e-12)
    inner = [
        factor.identify(fit.start(s), "inner").factorisation.basis
        for s in np.flatnonzero(fit.agreeing)
    ]
    found = fit.factorisation
    found = found.permuted(np.argsort(-found.basis[:, 0]))
    moves = factor.movement(found)
    ranges = np.stack([moves.basis_low[:, 0], moves.basis_high[:, 0]], axis=1)
    inside, outside = _ends(found, ranges, 1e-3), _ends(found, ranges, -1e-3)
    return Health(
        fit.one_component,
        float(fit.objectives[fit.best]),
        ranges,
        spread(fit.basis[fit.agreeing]),
        spread(np.stack(inner)),
        inside,
        outside,
    )


def _ends(found: Factorisation, ranges: np.ndarray, step: float) -> float:
    """The least share of solutions whose components are `step` inside the ends of their ranges.

    For a negative step, the greatest of these least shares over the ends: each must be negative.
    """
    shares = found.basis[:, 0]
    least = []
    for component, end in itertools.product(range(2), range(2)):
        men = np.array([ranges[0].mean(), ranges[1].mean()])
        men[component] = ranges[component, end] + (step if end == 0 else -step)
        # Rows of T are barycentric: men of the new component in terms of the old ones.
        first = (men - shares[1]) / (shares[0] - shares[1])
        matrix = np.stack([first, 1.0 - first], axis=1)
        basis = matrix @ found.basis
        mixing = found.mixing @ np.linalg.inv(matrix)
        least.append(float(min(basis.min(), mixing.min())))
    return min(least) if step > 0 else max(least)


def _freedom(truth: Factorisation) -> Freedom:
    """Slopes of the shares that are 0, in the directions of each group."""
    from ...symmetry import GeneralLinear, orbit_jacobian

    dimensions, ranks = [], []
    pairs = (truth.nmf(), GeneralLinear("0", "1", axes=(1, 0)))
    for pair, act in (pairs, ((truth.mixing, truth.basis), factor.MixingAction())):
        params = tuple(jax.numpy.asarray(each) for each in pair)
        slopes = np.asarray(orbit_jacobian(act, params))
        zero = np.concatenate([np.ravel(each) for each in pair]) == 0.0
        dimensions.append(int(np.linalg.matrix_rank(slopes)))
        ranks.append(int(np.linalg.matrix_rank(slopes[zero])) if zero.any() else 0)
    return Freedom((dimensions[0], dimensions[1]), (ranks[0], ranks[1]))


def _known(settings: Settings, kind: str, key: Key, rng: np.random.Generator) -> Known:
    truth = _truth(settings, kind, rng)
    table, options = truth.fitted, {"key": key, "starts": settings.starts}
    em = factor.expectation_maximisation(table, 3, max_steps=_STEPS, **options)
    nmf = factor.nonnegative(table, 3, tol=1e-12, max_steps=20_000, **options)
    others: dict[str, Any] = {}
    if kind == "separable":
        others["least squares"] = factor.alternating_least_squares(table, 3, **options)
        others["minimum volume"] = factor.minimum_volume(table, 3, **options)
    fits = {"EM": em, "NMF": nmf, **others}
    answer = factor.uniqueness(truth, effort=settings.effort)
    return Known(
        kind,
        truth,
        spread(em.basis[em.agreeing]),
        spread(nmf.basis[nmf.agreeing]),
        {name: _apart(fit.factorisation, truth) for name, fit in fits.items()},
        answer.verdict,
        answer.movement.size,
        _freedom(truth),
    )


def _noisy(settings: Settings, table: CountTable, key: Key) -> Noisy:
    options = {"key": key, "starts": settings.starts}
    fit = factor.expectation_maximisation(table, 3, tol=_TOL, max_steps=_STEPS, **options)
    rival = factor.nonnegative(
        table, 3, key=key, starts=2, loss="kullback-leibler", tol=1e-10, max_steps=20_000
    )
    return _starts(
        settings, fit, float(rival.objectives[rival.best]), float(rival.normalised[rival.best])
    )


def _starts(settings: Settings, fit: factor.Fit, likelihood: float, margins: float) -> Noisy:
    chosen = [fit.start(s) for s in np.flatnonzero(fit.agreeing)]
    inner = [factor.identify(each, "inner").factorisation for each in chosen]
    moves = factor.movement(fit.factorisation, effort=settings.effort)
    bases = np.stack([each.matched(fit.factorisation).basis for each in chosen])
    beyond = np.maximum(moves.basis_low - bases, bases - moves.basis_high).max()
    return Noisy(
        fit,
        likelihood,
        margins,
        np.array([each.determinant for each in chosen]),
        np.array([each.determinant for each in inner]),
        spread(np.stack([each.basis for each in chosen])),
        spread(np.stack([each.basis for each in inner])),
        float(max(beyond, 0.0)),
        moves.size,
    )


def _volume(settings: Settings, truth: Factorisation) -> Volume:
    wide = factor.movement(truth, effort=settings.effort)
    start = truth.transformed(wide.transforms[int(wide.determinants.argmax())])
    small = factor.identify(start, "minimum-volume").factorisation
    outer = factor.identify(start, "outer").factorisation
    return Volume(_apart(start, truth), _apart(small, truth), _apart(outer, truth))


def _budgets(settings: Settings, table: CountTable, key: Key) -> Budgets:
    fits, apart = [], []
    for k in range(1, len(BUDGETS["deviance"]) + 1):
        fits.append(
            factor.expectation_maximisation(
                table, k, key=key, starts=settings.table_starts, max_steps=40_000
            )
        )
        apart.append(factor.dissimilarity(table, fits[-1].factorisation))
    nan = float("nan")
    return Budgets(tuple(fits), tuple(apart), _starts(settings, fits[2], nan, nan))
