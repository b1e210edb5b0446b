"""The claims, held against the numbers."""

import math
from collections.abc import Sequence

import numpy as np

from .._claim import Claim, judge
from ._run import Known, Result
from ._tables import BUDGETS, KINDS

_SAME, _APART = 2e-3, 1e-2
"""Shares that differ by less are one solution, by more two. Between them is neither."""


def _range(values: Sequence[float], form: str = ".2g") -> str:
    low, high = min(values), max(values)
    return f"{low:{form}}" if low == high else f"{low:{form}} to {high:{form}}"


def _of(result: Result, kind: str) -> list[Known]:
    return [each for each in result.known if each.kind == kind]


def claims(result: Result) -> tuple[Claim, ...]:
    """Claims of the abstract, what we derived beside them, and the time-budget table if given."""
    return (
        _one_factorisation(result),
        _one_likelihood(result),
        _unique_together(result),
        _group(result),
        _verdicts(result),
        _not_identified(result),
        _inner(result),
        _separable(result),
        _volume(result),
        _health(result),
        _ranges(result),
        *_budgets(result),
    )


def controls(result: Result) -> tuple[Claim, ...]:
    """What should be seen if the explanation is right, and not otherwise."""
    return (
        _no_spread(result),
        _half(result),
        _outer(result),
        _tight(result),
        _independence(result),
    )


def _one_factorisation(result: Result) -> Claim:
    return Claim(
        "one-factorisation",
        f"LBA, EMA, PLSA, LCA and NMF are one model: {result.settings.round_trips} random "
        "factorisations come back through every pair of them, relative to the largest entry of "
        "each array, to 1e-12 (NMF up to the units of its components, which the others lack).",
        "published",
        f"largest change {result.round_trip:.1e}",
        judge(result.round_trip, 0.0, 1e-12),
    )


def _one_likelihood(result: Result) -> Claim:
    gaps = [abs(e.likelihood / e.fit.objectives[e.fit.best] - 1.0) for e in result.noisy]
    margins = max(each.margins for each in result.noisy)
    return Claim(
        "one-likelihood",
        "NMF with the Kullback-Leibler divergence, whose factors have free row sums, ends at the "
        "G^2 of the latent budgets to 1e-4 of it on every table of counts, with the row sums of "
        "the table to 1e-4.",
        "derived",
        f"G^2 {_range([e.likelihood for e in result.noisy], '.4g')}: relative gap at most "
        f"{max(gaps):.0e}, row sums off by {margins:.0e}",
        judge(max(gaps), 0.0, 1e-4) if margins <= 1e-4 else "not supported",
    )


def _unique_together(result: Result) -> Claim:
    wrong = sum(
        not (_solutions(each.budgets) == _solutions(each.factors) == KINDS[each.kind])
        for each in result.known
    )
    text = []
    for kind in KINDS:
        some = _of(result, kind)
        budgets, factors = ([getattr(e, name) for e in some] for name in ("budgets", "factors"))
        text.append(f"{kind}: {_range(budgets)}, {_range(factors)}")
    return Claim(
        "unique-together",
        "Latent budgets are unique exactly where NMF is: over starts of equal fit, shares of the "
        f"components differ by less than {_SAME:g} in both, or by more than {_APART:g} in both, on "
        "every known table, as its kind says (EM, coordinate descent).",
        "published",
        f"{wrong} of {len(result.known)} tables otherwise; {'; '.join(text)}",
        judge(wrong, 0, 0),
    )


def _solutions(spread: float) -> bool | None:
    """Whether there is one solution, `None` between the two thresholds."""
    return True if spread < _SAME else False if spread > _APART else None


def _group(result: Result) -> Claim:
    some = [each.freedom for each in result.known]
    right = all(e.dimensions == (9, 6) and e.ranks[0] == e.ranks[1] for e in some)
    ranks = {k: sorted({e.freedom.ranks[1] for e in _of(result, k)}) for k in KINDS}
    return Claim(
        "groups",
        "The reason: GL(3) acts on the factors of NMF with dimension 9, its subgroup T 1 = 1 on "
        "the latent budgets with 6; the 3 directions more are units, which move no share off 0: "
        "the slopes of the zeros have equal rank in both, at every known factorisation.",
        "derived",
        "ranks "
        + "; ".join(f"{kind}: {', '.join(map(str, each))}" for kind, each in ranks.items()),
        judge(float(right), 1.0, 1.0),
    )


def _verdicts(result: Result) -> Claim:
    said = {True: "unique", False: "not unique"}
    wrong = [each for each in result.known if each.verdict != said[KINDS[each.kind]]]
    sizes = [f"{kind} {_range([e.size for e in _of(result, kind)])}" for kind in KINDS]
    return Claim(
        "decided",
        "The tests of uniqueness (scattered factors, linear programs over T) decide every known "
        "table, and rightly.",
        "derived",
        f"{len(wrong)} of {len(result.known)} wrong or undecided; largest move of a share: "
        + "; ".join(sizes),
        judge(len(wrong), 0, 0),
    )


def _not_identified(result: Result) -> Claim:
    ratios = [float(e.determinants.max() / e.determinants.min()) for e in result.noisy]
    equal = [float(np.ptp(e.fit.objectives[e.fit.agreeing])) for e in result.noisy]
    counts = [int(e.fit.agreeing.sum()) for e in result.noisy]
    return Claim(
        "not-identified",
        "On tables of counts EM reaches the same G^2 (to 0.01) from many starts with different "
        "components: det(G G^T) differs by more than 5% on every table.",
        "published",
        f"G^2 of {_range(counts, 'd')} starts within {max(equal):.1g}; largest over smallest "
        f"determinant {_range(ratios, '.3g')}",
        judge(min(ratios), 1.05, math.inf) if max(equal) <= 0.01 else "undecided",
    )


def _inner(result: Result) -> Claim:
    before, after = ([getattr(e, n) for e in result.noisy] for n in ("before", "after"))
    return Claim(
        "inner-identifies",
        "Identified by the inner rule, these starts are one solution: shares that differed by more "
        f"than {_APART:g} differ by less than {_SAME:g}, on every table.",
        "published",
        f"before {_range(before)}, after {_range(after)}",
        judge(max(after), 0.0, _SAME) if min(before) > _APART else "undecided",
    )


def _separable(result: Result) -> Claim:
    some = _of(result, "separable")
    errors = {name: max(e.errors[name] for e in some) for name in some[0].errors}
    return Claim(
        "separable-recovered",
        f"Separable tables are unique: every solver finds the true components to {_SAME:g}, on "
        "every table.",
        "published",
        "; ".join(f"{name} {value:.0e}" for name, value in errors.items()),
        judge(max(errors.values()), 0.0, _SAME),
    )


def _volume(result: Result) -> Claim:
    start, found = ([getattr(e, name) for e in result.volumes] for name in ("start", "found"))
    return Claim(
        "minimum-volume",
        "Where the rows are scattered and the components have no zeros there are many solutions, "
        f"and the least volume is the true one: found to {_SAME:g} from the one of largest volume.",
        "published",
        f"start off by {_range(start)}, found to {_range(found)}",
        judge(max(found), 0.0, _SAME) if min(start) > _APART else "undecided",
    )


def _health(result: Result) -> Claim:
    # The components run from the extreme rows to all men and all women.
    exact = np.array([[448 / 817, 1.0], [0.0, 39 / 103]])
    error = float(np.abs(result.health.ranges - exact).max())
    return Claim(
        "health-table",
        "On the 5 x 2 table two components fit exactly (G^2 < 1e-6), and the share of men in them "
        "ranges over [448/817, 1] and [0, 39/103], to 1e-6.",
        "derived",
        f"G^2 {result.health.two:.0e}; ranges off by {error:.0e}; starts differ by "
        f"{result.health.before:.2g}, identified by {result.health.after:.0e}",
        judge(error, 0.0, 1e-6) if abs(result.health.two) < 1e-6 else "not supported",
    )


def _ranges(result: Result) -> Claim:
    beyond = max(each.beyond for each in result.noisy)
    return Claim(
        "ranges-hold",
        "What EM finds from any start lies in the ranges of the shares that linear programs and "
        f"SLSQP find from one of them, to {_SAME:g}.",
        "derived",
        f"beyond by {beyond:.1g}; longest range {_range([e.size for e in result.noisy])}",
        judge(beyond, 0.0, _SAME),
    )


def _budgets(result: Result) -> tuple[Claim, ...]:
    if result.budgets is None:
        return ()
    budgets, reference = result.budgets, BUDGETS["deviance"]
    sizes = [float(fit.objectives[fit.best]) for fit in budgets.fits]
    gaps = [abs(a - b) for a, b in zip(sizes, reference, strict=True)]
    share = [1.0 - size / sizes[0] for size in sizes]
    apart = max(
        abs(a - b) for a, b in zip(budgets.dissimilarity, BUDGETS["dissimilarity"], strict=True)
    )
    three = budgets.three
    ratio = float(three.determinants.max() / three.determinants.min())
    equal = float(np.ptp(three.fit.objectives[three.fit.agreeing]))
    return (
        Claim(
            "time-budget",
            "G^2 of 1 to 4 components on the time-budget table is 63459.9, 26378.9, 10331.2 (to "
            "0.1), 3398.9 (to 0.2); mean dissimilarity .130, .086, .051, .029. Independent fits.",
            "derived",
            f"G^2 {', '.join(f'{size:.1f}' for size in sizes)}; explained "
            f"{', '.join(f'{each:.3f}' for each in share)}; dissimilarity "
            f"{', '.join(f'{each:.3f}' for each in budgets.dissimilarity)}",
            judge(max(*gaps[:3], gaps[3] / 2), 0.0, 0.1) if apart < 1e-3 else "not supported",
        ),
        Claim(
            "time-budget-open",
            "With three components its G^2 is reached from several starts (to 0.05) with "
            "det(G G^T) differing by more than 20%.",
            "published",
            f"{len(three.determinants)} starts within {equal:.2g}; det "
            f"{_range(list(three.determinants), '.3g')}",
            judge(ratio, 1.2, math.inf) if equal <= 0.05 else "undecided",
        ),
        Claim(
            "time-budget-inner",
            f"The inner rule makes one solution of these, to {_APART:g} in every share.",
            "published",
            f"before {three.before:.2g}, after {three.after:.2g}; "
            f"a share moves by {three.size:.2g}",
            judge(three.after, 0.0, _APART) if three.before > 2 * _APART else "undecided",
        ),
    )


def _no_spread(result: Result) -> Claim:
    spreads = [each.budgets for kind in KINDS if KINDS[kind] for each in _of(result, kind)]
    return Claim(
        "no-spread",
        "The spread over starts is no failure of EM: on tables with one solution it is below "
        f"{_SAME:g}, with as many starts.",
        "control",
        _range(spreads),
        judge(max(spreads), 0.0, _SAME),
    )


def _half(result: Result) -> Claim:
    moves = [each.size for each in _of(result, "half")]
    return Claim(
        "one-half-is-not-enough",
        "With scattered rows alone, and components without zeros, an admissible T moves a share by "
        f"more than {_APART:g} on every table.",
        "control",
        f"moves {_range(moves)}",
        judge(min(moves), _APART, math.inf),
    )


def _outer(result: Result) -> Claim:
    errors = [each.outer for each in result.volumes]
    return Claim(
        "outer-misses",
        "The outer rule, which is as definite, does not find the true components that minimum "
        f"volume finds: it is off by more than {_APART:g} on every table.",
        "control",
        f"off by {_range(errors)}",
        judge(min(errors), _APART, math.inf),
    )


def _tight(result: Result) -> Claim:
    health = result.health
    holds = health.inside >= -1e-9 and health.outside < 0
    return Claim(
        "ranges-are-tight",
        "A component of the 5 x 2 table 0.001 inside of any end of its range is admissible; 0.001 "
        "beyond any end a share is negative.",
        "control",
        f"least share inside {health.inside:.1e}; beyond the ends at most {health.outside:.1e}",
        judge(float(holds), 1.0, 1.0),
    )


def _independence(result: Result) -> Claim:
    from scipy.stats import chi2

    one = result.health.one
    return Claim(
        "independence",
        "One component, which is unique, does not fit the 5 x 2 table: G^2 = 50.41 at 4 degrees of "
        "freedom, beyond the 99.9% point of chi-squared.",
        "control",
        f"G^2 {one:.4f}, p = {chi2.sf(one, 4):.0e}",
        judge(abs(one - 50.4126), 0.0, 1e-3) if one > chi2.isf(1e-3, 4) else "not supported",
    )
