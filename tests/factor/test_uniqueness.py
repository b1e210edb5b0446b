"""Conditions for uniqueness on factors where the answer is known."""

import itertools

import jax
import numpy as np
import pytest

from gaugebias.factor import (
    Factorisation,
    contained,
    expectation_maximisation,
    pure,
    rigidity,
    sufficiently_scattered,
    uniqueness,
)


def hexagon(alpha):
    """The six points (alpha, 1 - alpha, 0) in all orders."""
    return np.array(sorted(set(itertools.permutations((alpha, 1.0 - alpha, 0.0)))))


def hexagons(alpha, beta):
    """Factors of which each has the points of a hexagon, and rows that sum to 1."""
    basis = hexagon(beta).T / 2.0
    return Factorisation(hexagon(alpha), basis, np.linspace(80.0, 120.0, 6))


@pytest.mark.parametrize(("alpha", "holds"), [(0.75, True), (0.68, True), (0.64, False)])
def test_a_hexagon_is_scattered_where_it_contains_the_circle(alpha, holds):
    """The inscribed circle of the triangle reaches x_1 = 2/3; the hexagon is cut at alpha."""
    answer = sufficiently_scattered(hexagon(alpha))
    assert answer.holds is holds
    # Touching the circle is not enough: there is a dual vector of norm 1 off the axes.
    touching = sufficiently_scattered(hexagon(2 / 3))
    assert touching.holds is False and abs(touching.largest - 1.0) < 1e-6


def test_corners_give_the_largest_norm_of_all_dual_vectors(make):
    rng = np.random.default_rng(0)
    points = np.where(rng.random((14, 4)) < 0.45, 0.0, rng.random((14, 4))) + 1e-3 * np.eye(14, 4)
    answer = sufficiently_scattered(points, atol=1e-9)
    y = rng.standard_normal((200_000, 4)) * 0.4 + 0.25
    y /= y.sum(axis=1, keepdims=True)
    inside = y[(y @ points.T).min(axis=1) >= 0]
    assert len(inside) > 50
    assert np.linalg.norm(inside, axis=1).max() <= answer.largest + 1e-9


def test_special_cases_of_scattering():
    assert sufficiently_scattered(np.eye(9)).holds is True  # separable, any K
    assert sufficiently_scattered(np.ones((5, 3)) / 3).holds is False
    assert sufficiently_scattered([[1.0, 0.0], [0.2, 0.8]]).holds is False
    assert sufficiently_scattered([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]).holds is True
    many = np.concatenate(
        [0.9 * np.eye(9) + 0.1 * np.roll(np.eye(9), s, axis=1) for s in (1, 2, 3)]
    )
    answer = sufficiently_scattered(many)
    assert not answer.exact and answer.holds is not True  # nine axes: not listed
    with pytest.raises(ValueError, match="`points` must be a matrix"):
        sufficiently_scattered([[1.0, -1.0]])
    with pytest.raises(ValueError, match="holds no row"):
        sufficiently_scattered([[0.0, 0.0]])


def test_pure_points_and_contained_supports():
    assert pure(np.array([[2.0, 0.0], [1.0, 1.0]])).tolist() == [True, False]
    assert contained(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])) is None
    assert contained(np.array([[1.0, 0.0], [1.0, 1.0], [0.5, 1.0]])) == (1, 0)


def test_two_scattered_factors_are_unique_without_pure_rows():
    found = hexagons(0.8, 0.8)
    answer = uniqueness(found, effort=5)
    assert answer.verdict == "unique" and "sufficiently scattered" in answer.reason
    assert answer.movement.size < 1e-4
    held = {check.name: check.holds for check in answer.checks}
    assert held["separable"] is False and held["sufficiently scattered"] is True
    assert held["rigid"] is True and held["supports of mixing"] and held["supports of basis"]


def test_one_scattered_factor_is_not_enough():
    basis = 0.7 * hexagon(0.8).T / 2.0 + 0.3 / 6.0
    found = Factorisation(hexagon(0.8), basis, np.full(6, 100.0))
    answer = uniqueness(found, effort=5)
    assert answer.verdict == "not unique" and answer.movement.size > 0.01
    assert "at least" in answer.reason
    # An explicit other solution stands behind the verdict.
    other = max(answer.movement.transforms, key=lambda t: np.abs(t - np.eye(3)).max())
    moved = found.transformed(other)
    np.testing.assert_allclose(moved.profiles, found.profiles, atol=1e-7)
    assert np.abs(moved.basis - found.basis).max() > 1e-3


def test_rigid_exactly_where_no_direction_stays_admissible():
    assert rigidity(hexagons(0.8, 0.8)) == (True, 6, 12, 6)
    positive = Factorisation(0.1 + 0.7 * np.eye(3), 0.1 + 0.7 * np.eye(3), np.ones(3))
    assert rigidity(positive) == (False, 6, 0, 0)
    separable = Factorisation(np.eye(3), np.eye(3), np.ones(3))
    assert rigidity(separable).rigid is True


def test_two_components_are_decided_exactly():
    pure_both = Factorisation(
        [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], [[0.6, 0.4, 0.0], [0.0, 0.3, 0.7]], np.ones(3)
    )
    answer = uniqueness(pure_both)
    assert answer.verdict == "unique" and "exact ranges" in answer.reason
    open_ = Factorisation(
        [[1.0, 0.0], [0.1, 0.9], [0.5, 0.5]], [[0.6, 0.4, 0.0], [0.0, 0.3, 0.7]], np.ones(3)
    )
    answer = uniqueness(open_)
    assert answer.verdict == "not unique" and "up to 0.1 " in answer.reason


def test_a_rigid_solution_need_not_be_the_only_one():
    """A larger triangle turned by half a turn fits between the two hexagons as well."""
    found = hexagons(0.8, 0.55)
    answer = uniqueness(found, effort=5)
    assert rigidity(found).rigid is True and answer.movement.size < 1e-6
    assert answer.verdict == "not unique" and "that none of these moves to" in answer.reason
    turned = 0.8 - 1.4 * np.eye(3)
    with pytest.raises(ValueError, match="not admissible"):
        hexagons(0.8, 0.6).transformed(turned)
    other = found.transformed(turned)
    np.testing.assert_allclose(other.profiles, found.profiles, atol=1e-12)


def test_what_cannot_be_decided_is_said():
    """Nothing moves and nothing is found elsewhere, but no sufficient condition holds."""
    answer = uniqueness(hexagons(0.8, 0.6), effort=5)
    assert answer.verdict == "undecided" and "no solution is near" in answer.reason


def test_an_isolated_solution_at_the_corners_is_found():
    """The outer triangle is a solution too, far from the first, and no grid meets its corners."""
    rows = np.concatenate([np.eye(3), [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]])
    basis = [[0.6, 0.4, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]
    found = Factorisation(rows, basis, np.full(5, 100.0))
    other = found.transformed([[-1.0, 0.8, 1.2], [1.0, 1.2, -1.2], [1.0, -0.8, 0.8]])
    np.testing.assert_allclose(other.profiles, found.profiles, atol=1e-12)
    np.testing.assert_allclose(other.basis, np.eye(3)[::-1], atol=1e-12)
    answer = uniqueness(found, effort=5)
    assert answer.movement.size < 1e-6 and rigidity(found).rigid is True
    assert answer.verdict == "not unique" and "that none of these moves to" in answer.reason


def test_what_is_outside_the_ranges_is_not_mixed_up_with_moving_within_them():
    basis = 0.7 * hexagon(0.8).T / 2.0 + 0.3 / 6.0
    answer = uniqueness(Factorisation(hexagon(0.8), basis, np.full(6, 100.0)), effort=5)
    assert answer.verdict == "not unique"
    (beyond,) = [check for check in answer.checks if check.name == "nothing outside the ranges"]
    assert beyond.holds is True and "outside of the ranges found" in beyond.detail


def test_shares_that_count_as_zero_restrict_nothing():
    """The third component has no zero: it moves, whatever a small share of another row says."""
    rows = np.concatenate([np.eye(3), [[0.6, 0.3995, 0.0005], [0.2, 0.3, 0.5]]])
    basis = [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5], [0.3, 0.1, 0.2, 0.4]]
    found = Factorisation(rows, basis, np.full(5, 100.0))
    assert rigidity(found, atol=1e-3).rigid is False
    answer = uniqueness(found, effort=5)
    assert answer.verdict == "not unique" and answer.movement.size > 0.1


def test_shares_of_many_columns_are_small_but_not_zero():
    rng = np.random.default_rng(0)
    many = Factorisation(np.eye(3), rng.dirichlet(np.full(4000, 5.0), 3), np.ones(3))
    assert many.basis.max() < 1e-3
    assert rigidity(many, atol=1e-3).rigid is False
    # Anchor columns are what they are however rare: a necessary condition holds with uniqueness.
    base = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.2, 0.5]])
    rare = np.concatenate([base * (1 - 1e-5), 1e-5 * np.eye(3)], axis=1)
    answer = uniqueness(Factorisation(np.eye(3), rare, np.ones(3)), effort=2)
    assert answer.verdict == "unique"
    assert all(check.holds for check in answer.checks if check.kind in ("necessary", "local"))


def test_rigidity_does_not_depend_on_the_default_dtype():
    """The support of the third component lies inside that of the first; float32 said rigid."""
    rows = np.array([[2, 0, 1], [0, 2, 1], [2, 2, 3], [3, 1, 0], [1, 0, 3]])
    basis = np.array([[0, 1, 2, 3, 1], [3, 0, 0, 1, 2], [0, 0, 3, 1, 0]])
    rows, basis = (x / x.sum(axis=1, keepdims=True) for x in (rows, basis))
    found = Factorisation(rows, basis, np.ones(5))
    assert contained(found.basis.T) == (2, 0)
    assert rigidity(found) == (False, 6, 10, 6)
    with jax.enable_x64(False):
        assert rigidity(found) == (False, 6, 10, 6)


def test_starts_of_one_table_show_what_moves(toy, key):
    fit = expectation_maximisation(toy, 2, key=key, starts=5)
    answer = uniqueness(fit.factorisation, fit)
    (spread,) = [check for check in answer.checks if check.name == "determinants"]
    assert spread.kind == "evidence" and spread.holds is False
    assert answer.verdict == "not unique"
    alone = expectation_maximisation(toy, 2, key=key, starts=1)
    (spread,) = [c for c in uniqueness(alone.factorisation, alone).checks if c.kind == "evidence"]
    assert spread.holds is None and "none to compare" in spread.detail


def test_one_component_is_unique(toy, key):
    fit = expectation_maximisation(toy, 1, key=key, starts=1)
    answer = uniqueness(fit.factorisation, fit)
    assert answer.verdict == "unique" and answer.movement.size == 0.0


def test_tolerance_is_checked():
    with pytest.raises(ValueError, match="`atol` is 0.5"):
        uniqueness(hexagons(0.8, 0.8), atol=0.5)


def test_four_components_are_unique_where_both_factors_are_separable(make):
    basis = 0.6 * make(51, k=4).basis
    basis[:, :4] = np.eye(4) * 0.4
    basis /= basis.sum(axis=1, keepdims=True)
    answer = uniqueness(Factorisation(make(52, k=4).mixing, basis, np.full(12, 10.0)), effort=3)
    assert answer.verdict == "unique" and answer.movement.size < 1e-6
    (separable,) = [check for check in answer.checks if check.name == "separable"]
    assert separable.holds and "4 of 4 have a pure row, 4 a column" in separable.detail
