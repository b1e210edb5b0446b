"""The factorisation family: a small version, and claims that fail on wrong numbers."""

import dataclasses

import jax
import numpy as np
import pytest

from gaugebias import factor, papers, plot
from gaugebias.papers._nonnegative._run import Budgets
from gaugebias.papers._nonnegative._tables import HEALTH, KINDS, budgets, known, noisy

MODULE = papers.load("nonnegative-factorisation")
SMALL = MODULE.Settings(tables=2, starts=4, round_trips=10, effort=3)


@pytest.fixture(scope="module")
def result():
    return MODULE.run(SMALL, jax.random.key(0))


def by_name(rows):
    return {row.name: row for row in rows}


def both(result):
    return by_name(MODULE.claims(result) + MODULE.controls(result))


def test_claims_and_controls(result):
    rows = both(result)
    assert len(rows) == 16 and all(row.as_expected for row in rows.values()), rows


def test_wrong_numbers_are_not_supported(result):
    def verdicts(**changes):
        rows = both(dataclasses.replace(result, **changes))
        return {name: row.verdict for name, row in rows.items()}

    def changed(what, **values):
        return tuple(dataclasses.replace(each, **values) for each in getattr(result, what))

    assert verdicts(round_trip=1e-11)["one-factorisation"] == "not supported"
    bad = verdicts(known=changed("known", budgets=0.5, verdict="unique"))
    for name in ("unique-together", "decided", "no-spread"):
        assert bad[name] == "not supported", name
    # One model that is unique where the other is not.
    apart = [dataclasses.replace(e, factors=0.1) if KINDS[e.kind] else e for e in result.known]
    assert verdicts(known=tuple(apart))["unique-together"] == "not supported"
    bad = verdicts(known=changed("known", errors={"EM": 0.1}, size=0.0))
    assert bad["separable-recovered"] == bad["one-half-is-not-enough"] == "not supported"
    freedom = dataclasses.replace(result.known[0].freedom, ranks=(6, 5))
    assert verdicts(known=changed("known", freedom=freedom))["groups"] == "not supported"
    same = np.ones(3)
    bad = verdicts(noisy=changed("noisy", determinants=same, after=0.1, beyond=0.1, likelihood=1.0))
    for name in ("not-identified", "inner-identifies", "ranges-hold", "one-likelihood"):
        assert bad[name] == "not supported", name
    assert verdicts(noisy=changed("noisy", margins=0.1))["one-likelihood"] == "not supported"
    assert verdicts(noisy=changed("noisy", before=0.0))["inner-identifies"] == "undecided"
    bad = verdicts(volumes=changed("volumes", found=0.1, outer=0.0))
    assert bad["minimum-volume"] == bad["outer-misses"] == "not supported"
    health = dataclasses.replace(result.health, one=1.0, two=1.0, outside=1.0)
    bad = verdicts(health=health)
    for name in ("health-table", "ranges-are-tight", "independence"):
        assert bad[name] == "not supported", name


def test_the_time_budget_claims_follow_the_numbers(result):
    """Judged on a result with the reference values in the place of fits."""
    three = result.noisy[0]

    def fake(size):
        return dataclasses.replace(three.fit, objectives=np.full(len(three.fit.objectives), size))

    def rows(sizes, dissimilarity, **changes):
        noisy = dataclasses.replace(three, before=0.1, after=1e-3, **changes)
        found = Budgets(tuple(map(fake, sizes)), dissimilarity, noisy)
        return both(dataclasses.replace(result, budgets=found))

    sizes, apart = [63459.93, 26378.9, 10331.17, 3398.8], (0.1301, 0.0862, 0.0512, 0.0288)
    good = rows(sizes, apart, determinants=np.array([4.9e-4, 7.8e-4]))
    assert len(good) == 19 and good["time-budget"].verdict == "supported"
    assert good["time-budget-open"].verdict == "supported"
    assert good["time-budget-inner"].verdict == "supported"
    other = rows([*sizes[:2], 10332.0, sizes[3]], apart, determinants=np.array([4.9e-4, 5e-4]))
    assert other["time-budget"].verdict == other["time-budget-open"].verdict == "not supported"


def test_kinds_of_known_tables():
    rng = np.random.default_rng(3)
    for rows, columns in ((8, 8), (20, 10), (30, 18)):
        for kind in KINDS:
            truth = known(kind, rows, columns, 500, rng)
            assert truth.fitted.shape == (rows, columns) and truth.total == 500 * rows
            mixing, basis = truth.mixing, truth.basis.T
            scattered = [factor.sufficiently_scattered(x).holds for x in (mixing, basis)]
            wanted = {"half": [True, False], "open": [False, False]}
            assert scattered == wanted.get(kind, [True, True]), kind
            pure = factor.pure(mixing).all() and factor.pure(basis).all()
            assert pure == (kind == "separable")
    table = noisy(truth, rng)
    np.testing.assert_array_equal(table.row_totals.astype(int), 500)


def test_figures(result):
    panels = MODULE.figures(result)
    assert len(panels) == 4 and all(isinstance(each, plot.CurveData) for each in panels)
    triangle = panels[1].curves["components of start 1"]
    np.testing.assert_allclose([x[0] for x in triangle], [x[-1] for x in triangle])


def test_only_the_published_table_is_taken(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("g,a,b\nx,1,2\ny,3,4\n")
    with pytest.raises(ValueError, match="`table` is .*mine.csv', 2 x 2 with total 10, not the 30"):
        budgets(str(path))
    with pytest.raises(ValueError, match="^`table`: .*no.csv' does not exist"):
        MODULE.run(MODULE.Settings(table=str(tmp_path / "no.csv")), jax.random.key(0))
    assert HEALTH.total == 6371


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": 1}, "`tables` is 1: give at least 2"),
        ({"starts": 3}, "`starts` is 3: give at least 4"),
        ({"rows": 7}, "`rows` and `columns` are 7 and 10"),
        ({"effort": 0}, "`effort` is 0"),
    ],
)
def test_what_bad_settings_say(changes, message):
    with pytest.raises(ValueError, match=message):
        MODULE.Settings(**changes)


@pytest.mark.slow
def test_the_full_version_is_as_expected():
    result = MODULE.run(MODULE.Settings(), jax.random.key(0))
    assert all(row.as_expected for row in both(result).values())
