import numpy as np
import pytest

from gaugebias.factor import (
    RULES,
    Factorisation,
    expectation_maximisation,
    identify,
    movement,
)
from gaugebias.factor._identify import _Objective


def test_two_budgets_of_the_health_table(toy, key):
    """Inner: the two farthest groups; outer: men and women apart. Closed forms."""
    found = expectation_maximisation(toy, 2, key=key, starts=1, tol=1e-11).factorisation
    inner, outer, small = (identify(found, rule) for rule in RULES)
    men = np.sort(inner.factorisation.basis[:, 0])
    np.testing.assert_allclose(men, [39 / 103, 448 / 817], atol=1e-6)
    np.testing.assert_allclose(np.sort(outer.factorisation.basis[:, 0]), [0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(small.factorisation.basis, inner.factorisation.basis, atol=1e-9)
    assert inner.exact and outer.exact and small.exact
    # det(B B^T) = (p_1 q_2 - p_2 q_1)^2 of the two rows.
    np.testing.assert_allclose(small.value, (448 / 817 - 39 / 103) ** 2, rtol=1e-5)
    np.testing.assert_allclose(outer.factorisation.determinant, 1.0, rtol=1e-9)
    # The chi-squared distance of the two farthest rows.
    masses = toy.profiles.sum(axis=0)
    difference = toy.profiles[0] - toy.profiles[4]
    np.testing.assert_allclose(inner.value, np.sqrt(np.sum(difference**2 / masses)), rtol=1e-6)


@pytest.mark.parametrize("rule", list(RULES))
def test_gradients_are_right(make, rule):
    objective = _Objective(rule, make(31, pure=False))
    matrix = np.eye(3) + 0.1 * np.random.default_rng(0).standard_normal((3, 3))
    _, gradient = objective(matrix)
    step = 1e-6
    for a in range(3):
        for b in range(3):
            change = np.zeros((3, 3))
            change[a, b] = step
            slope = (objective(matrix + change)[0] - objective(matrix - change)[0]) / (2 * step)
            np.testing.assert_allclose(gradient[a, b], slope, atol=1e-7)


def test_minimum_volume_finds_scattered_rows_and_knows_it():
    """Rows in a hexagon around the circle: the least simplex around them is the true one."""
    points = [[0.8, 0.2, 0.0], [0.2, 0.8, 0.0], [0.8, 0.0, 0.2]]
    points += [[0.2, 0.0, 0.8], [0.0, 0.8, 0.2], [0.0, 0.2, 0.8], [0.4, 0.3, 0.3]]
    rng = np.random.default_rng(2)
    basis = 0.6 * rng.dirichlet(np.ones(8), 3) + 0.4 / 8
    truth = Factorisation(points, basis, np.full(7, 50.0))
    wide = movement(truth, effort=5)
    start = truth.transformed(wide.transforms[int(wide.determinants.argmax())])
    assert start.determinant > 1.1 * truth.determinant
    found = identify(start, "minimum-volume")
    assert found.exact and found.agreeing > 0
    np.testing.assert_allclose(found.value, truth.determinant, rtol=1e-6)
    apart = np.abs(found.factorisation.basis[:, None] - truth.basis[None]).max(axis=2)
    np.testing.assert_allclose(apart.min(axis=0), 0.0, atol=1e-5)  # in some order
    np.testing.assert_allclose(found.factorisation.fitted, start.fitted, rtol=1e-6)


def test_rules_beat_every_solution_of_the_walk_and_keep_the_table(make):
    found = make(32, pure=False)
    pool = movement(found, effort=6, seed=3).transforms
    for rule in RULES:
        chosen = identify(found, rule, starts=4)
        assert not chosen.exact or rule == "minimum-volume"
        np.testing.assert_allclose(chosen.factorisation.profiles, found.profiles, atol=1e-7)
        objective = _Objective(rule, found)
        best = min(objective(matrix)[0] for matrix in pool)
        assert objective(chosen.transform)[0] <= best + 1e-6


def test_one_component_and_bad_options(make):
    one = make(33, k=1)
    assert identify(one, "inner").exact and identify(one, "minimum-volume").exact
    with pytest.raises(ValueError, match="choose from inner, outer, minimum-volume"):
        identify(one, "middle")
    with pytest.raises(ValueError, match="`starts` is 0"):
        identify(one, "inner", starts=0)
    flat = Factorisation([[0.5, 0.5]] * 3, [[0.5, 0.5], [0.2, 0.8]], np.ones(3))
    with pytest.raises(ValueError, match="a `mixing` of rank below its 2 components"):
        identify(flat, "outer")
