"""Five solvers: what they optimise, how they get there, and what a failing start leaves behind."""

from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from gaugebias.factor import (
    RESULTS,
    CountTable,
    alternating_least_squares,
    deviance,
    end_member_analysis,
    expectation_maximisation,
    minimum_volume,
    nonnegative,
    residual_sum_of_squares,
)
from gaugebias.factor._fit import COLLAPSED, CONVERGED, MAX_STEPS, NOT_FINITE, collect
from gaugebias.factor._least_squares import project


@pytest.fixture(scope="module")
def em(sample):
    return expectation_maximisation(sample, 3, key=jax.random.key(1), starts=4, every=1)


def stationary(fit, table):
    """The likelihood equations: scores are 1 where shares are positive, and at most 1."""
    found = fit.factorisation
    ratio = table.values / (table.row_totals[:, None] * found.profiles)
    score = ratio @ found.basis.T
    used = found.mixing > 1e-3
    return np.abs(score[used] - 1.0).max(), score.max() - 1.0


def test_em_never_raises_the_deviance_and_ends_at_the_likelihood_equations(em, sample):
    steps = np.diff(em.trace, axis=1)
    steps = steps[np.isfinite(steps)]
    assert len(steps) > 200 and steps.max() <= 1e-10 * em.trace[:, 0].max()
    assert (em.results == CONVERGED).all() and em.agreeing.all()
    inside, above = stationary(em, sample)
    assert inside < 1e-4 and above < 1e-4
    np.testing.assert_allclose(deviance(sample, em.factorisation), em.objectives[em.best])
    # The margins of the columns are those of the table, at every maximum and after every step.
    np.testing.assert_allclose(em.factorisation.fitted.sum(axis=0), sample.values.sum(axis=0))


@given(st.integers(0, 2**31))
def test_em_never_raises_the_deviance_of_any_table(seed):
    """With empty cells, too: a count of 0 has no say."""
    counts = np.random.default_rng(seed).poisson(1.5, (6, 5)) * 7.0
    counts[np.arange(6), np.arange(6) % 5] += 1.0
    fit = expectation_maximisation(
        counts, 2, key=jax.random.key(seed), starts=3, every=1, max_steps=60
    )
    steps = np.diff(fit.trace, axis=1)
    assert steps[np.isfinite(steps)].max() <= 1e-10 * fit.trace[:, 0].max()


def test_em_without_noise_finds_the_table(make, key):
    found = make(11)
    fit = expectation_maximisation(found.fitted, 3, key=key, starts=4, every=1, max_steps=3000)
    np.testing.assert_allclose(fit.factorisation.profiles, found.profiles, atol=1e-4)


def test_kullback_leibler_nmf_is_the_same_maximum(em, sample, key):
    fit = nonnegative(sample, 3, key=key, starts=3, loss="kullback-leibler", tol=1e-9)
    np.testing.assert_allclose(fit.objectives[fit.best], em.objectives[em.best], rtol=1e-4)
    assert fit.normalised[fit.best] < 1e-4  # the row sums of M H are those of the table
    np.testing.assert_allclose(fit.factorisation.profiles, em.factorisation.profiles, atol=2e-3)


def test_least_squares_falls_and_beats_every_other_fit_in_its_own_measure(em, sample, key):
    fit = alternating_least_squares(sample, 3, key=key, starts=3, max_steps=600)
    steps = np.diff(fit.trace, axis=1)
    assert steps[np.isfinite(steps)].max() <= 1e-14
    best = residual_sum_of_squares(sample, fit.factorisation)
    np.testing.assert_allclose(best, fit.objectives[fit.best], rtol=1e-8)
    others = (em, end_member_analysis(sample, 3, key=key, starts=2))
    assert all(best < residual_sum_of_squares(sample, x.factorisation) for x in others)
    # NMF of the profiles misses the row sums, and loses when they are put right.
    nmf = nonnegative(sample, 3, key=key, starts=3)
    assert nmf.normalised[nmf.best] > 1e-6
    assert best < nmf.objectives[nmf.best] < 1.1 * best


@pytest.mark.slow
def test_minimum_volume_falls_and_is_smaller_the_heavier_the_penalty(make, key):
    table = CountTable(make(12, pure=False).fitted)
    volumes = []
    for penalty in (0.0, 0.01, 10.0):
        fit = minimum_volume(table, 3, key=key, starts=2, penalty=penalty, max_steps=150)
        steps = np.diff(fit.trace, axis=1)
        assert steps[np.isfinite(steps)].max() <= 1e-13
        volumes.append(fit.factorisation.determinant)
    assert volumes[2] < volumes[1] < volumes[0]


def test_minimum_volume_of_rows_that_share_no_column_does_not_collapse(key):
    """log det(G_0 G_0^T) is 0 there, and a penalty divided by it has no bound."""
    fit = minimum_volume(10.0 * np.eye(3), 2, key=key, starts=2)
    assert fit.factorisation.determinant > 0.3
    best = alternating_least_squares(10.0 * np.eye(3), 2, key=key, starts=2)
    rss = np.sum((np.eye(3) - fit.factorisation.profiles) ** 2)
    assert rss < 1.01 * best.objectives[best.best] + 0.01


def test_minimum_volume_recovers_pure_rows(make, key):
    """Separable: the rows that are pure are the components (and the penalty is zero then)."""
    found = make(13)
    fit = minimum_volume(found.fitted, 3, key=key, starts=1)
    basis = fit.factorisation.basis
    apart = np.abs(basis[:, None] - found.basis[None]).max(axis=2)
    assert apart.min(axis=0).max() < 1e-3


def test_end_members_move_out_until_all_samples_are_inside(make, key):
    found = make(14, i=40)
    fit = end_member_analysis(found.fitted, 3, key=key, starts=3)
    assert (fit.results == CONVERGED).all()
    assert (fit.iterations > 0).all()
    for trace, steps in zip(fit.trace, fit.iterations, strict=True):
        assert trace[steps] < -6.0 and trace[0] > -6.0
    # The rank is right and nothing is outside: the table comes back to the convexity threshold.
    np.testing.assert_allclose(fit.factorisation.profiles, found.profiles, atol=5e-3)
    few = end_member_analysis(found.fitted, 3, key=key, starts=1, max_steps=1)
    assert few.results[0] == MAX_STEPS and few.iterations[0] == 1


def test_projection_on_the_simplex_is_the_nearest_point():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 9))
    near = np.asarray(project(jnp.asarray(points)))
    np.testing.assert_allclose(near.sum(axis=1), 1.0)
    assert near.min() >= 0.0
    # Variational inequality: (x - p)(y - p) <= 0 for all y of the simplex, that is, at its corners.
    slope = points - near
    np.testing.assert_array_less((slope.max(axis=1) - np.sum(slope * near, axis=1)), 1e-12)


def test_failed_starts_are_codes_and_the_others_are_kept(toy):
    good_mixing = np.full((5, 2), 0.5)
    good_basis = np.array([[0.3, 0.7], [0.6, 0.4]])
    mixing = np.stack([good_mixing, np.full((5, 2), np.nan), np.eye(2)[[0] * 5], good_mixing])
    basis = np.stack([good_basis, good_basis, good_basis, good_basis[[0, 0]]])
    fit = collect(
        toy,
        "a solver",
        "deviance",
        mixing=mixing,
        basis=basis,
        objectives=np.array([3.0, 1.0, 2.0, 0.5]),
        iterations=np.ones(4, int),
        results=np.zeros(4, int),
        trace=np.ones((4, 1)),
    )
    assert fit.results.tolist() == [CONVERGED, NOT_FINITE, COLLAPSED, COLLAPSED]
    assert fit.best == 0 and np.isnan(fit.objectives[1:]).all()
    assert fit.start(0).components == 2 and set(RESULTS) >= set(fit.results.tolist())
    with pytest.raises(ValueError, match="start 1 met values that are not finite"):
        fit.start(1)
    with pytest.raises(ValueError, match="`number` is -1: the starts are 0 to 3"):
        fit.start(-1)
    with pytest.raises(ValueError, match="none of the 1 starts of a solver .*not finite"):
        collect(
            toy,
            "a solver",
            "deviance",
            mixing=mixing[1:2],
            basis=basis[:1],
            objectives=np.array([np.nan]),
            iterations=np.ones(1, int),
            results=np.zeros(1, int),
            trace=np.ones((1, 1)),
        )


def test_a_nan_start_of_em_does_not_touch_the_others(sample):
    from gaugebias.factor._em import _run, _uniform

    first, second = jax.random.split(jax.random.key(1))
    rows, columns = sample.values.shape
    mixing, basis = _uniform(first, (4, rows, 3)), _uniform(second, (4, 3, columns))
    counts = jnp.asarray(sample.values)
    well = _run(counts, mixing, basis, jnp.asarray(1e-7), 20_000, 1)
    broken = _run(counts, mixing.at[2].set(jnp.nan), basis, jnp.asarray(1e-7), 20_000, 1)
    assert np.isnan(np.asarray(broken[0][2])).all() and int(broken[2][2]) == 1
    for x, y in zip(well[:3], broken[:3], strict=True):
        np.testing.assert_array_equal(np.asarray(x)[[0, 1, 3]], np.asarray(y)[[0, 1, 3]])


@pytest.mark.parametrize(
    "solve",
    [
        expectation_maximisation,
        alternating_least_squares,
        minimum_volume,
        nonnegative,
        end_member_analysis,
    ],
)
def test_arguments_are_checked_before_anything_runs(solve, toy, key):
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"components": 3}, r"`components` is 3, but the table \(5 x 2\) has rank 2"),
        ({"components": 0}, "`components` is 0"),
        ({"components": 1, "starts": 0}, "`starts` is 0"),
        ({"components": 1, "max_steps": 0}, "`max_steps` is 0"),
    )
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            solve(toy, **options, key=key)
    with pytest.raises(ValueError, match="`values` has a negative count"):
        solve([[1, 2], [3, -4]], 1, key=key)


def test_options_of_one_solver_are_checked(toy, key):
    cases: tuple[tuple[Any, dict[str, Any], str], ...] = (
        (expectation_maximisation, {"tol": 2.0}, "`tol` is 2"),
        (expectation_maximisation, {"every": 0}, "`every` is 0"),
        (minimum_volume, {"penalty": -1.0}, "`penalty` is -1"),
        (minimum_volume, {"delta": 0.0}, "`delta` is 0"),
        (nonnegative, {"loss": "hinge"}, "choose from frobenius, kullback-leibler"),
        (end_member_analysis, {"exponent": -1.0}, "`exponent` is -1"),
    )
    for solve, options, message in cases:
        with pytest.raises(ValueError, match=message):
            solve(toy, 1, key=key, **options)


def test_starts_agree_where_they_explain_the_table_equally(make, key):
    """On a table that is fitted exactly the objectives are rounding, and differ by factors."""
    found = make(11)
    fit = nonnegative(found.fitted, 3, key=key, starts=4, tol=1e-10)
    near = fit.objectives < 1e-12
    assert near.sum() >= 2 and fit.objectives[near].max() > 2 * fit.objectives.min()
    np.testing.assert_array_equal(fit.agreeing, near)
    np.testing.assert_allclose(
        fit.one_component, np.sum((found.profiles - found.profiles.mean(axis=0)) ** 2)
    )


def test_tables_of_one_shape_share_the_compiled_program(make, key):
    from gaugebias.factor import _least_squares

    cached = _least_squares._run._cached
    minimum_volume(make(61).fitted, 3, key=key, starts=2, max_steps=20, penalty=0.02)
    before = cached._cache_size()
    minimum_volume(make(62, pure=False).fitted, 3, key=key, starts=2, max_steps=20, tol=1e-4)
    alternating_least_squares(make(63).fitted, 3, key=key, starts=2, max_steps=20)
    assert cached._cache_size() == before
