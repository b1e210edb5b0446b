from typing import Any

import numpy as np
import pytest

from gaugebias.factor import (
    CountTable,
    Factorisation,
    degrees_of_freedom,
    deviance,
    dissimilarity,
    rescaled_basis,
    residual_sum_of_squares,
    ternary_coordinates,
)


@pytest.fixture
def independence(toy):
    margin = toy.values.sum(axis=0) / toy.total
    return Factorisation(np.ones((5, 1)), margin[None], toy.row_totals)


def test_one_component_is_the_test_of_independence(toy, independence):
    from scipy.stats import chi2_contingency

    found: Any = chi2_contingency(toy.values, lambda_="log-likelihood", correction=False)
    np.testing.assert_allclose(deviance(toy, independence), found.statistic)
    assert degrees_of_freedom(5, 2, 1) == found.dof


def test_measures_by_hand():
    table = CountTable([[3.0, 1.0], [4.0, 4.0]])
    model = Factorisation([[1.0], [1.0]], [[0.5, 0.5]], [4.0, 8.0])
    np.testing.assert_allclose(residual_sum_of_squares(table, model), 2 * 0.25**2)
    np.testing.assert_allclose(dissimilarity(table, model), 0.25 * 4 / 12)
    by_hand = 2 * (3 * np.log(0.75 / 0.5) + 1 * np.log(0.25 / 0.5))
    np.testing.assert_allclose(deviance(table, model), by_hand)
    assert degrees_of_freedom(30, 18, 3) == 405


def test_columns_are_made_of_components(make):
    found = make(41)
    shares = rescaled_basis(found)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0)
    classes = found.lca()
    joint = classes.weights * classes.columns
    np.testing.assert_allclose(shares.T, joint / joint.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.proportions.sum(), 1.0)


def test_the_triangle_is_equilateral_and_linear():
    corners = ternary_coordinates(np.eye(3))
    sides = [np.linalg.norm(corners[a] - corners[b]) for a, b in ((0, 1), (1, 2), (2, 0))]
    np.testing.assert_allclose(sides, 1.0)
    np.testing.assert_allclose(ternary_coordinates([0.2, 0.3, 0.5]), [0.55, 0.5 * np.sqrt(0.75)])


def test_an_impossible_cell_makes_the_deviance_infinite(toy):
    model = Factorisation(np.ones((5, 1)), [[1.0, 0.0]], toy.row_totals)
    with pytest.raises(ValueError, match="probability 0 to row 'very good', column 'female'"):
        deviance(toy, model)
    with pytest.raises(ValueError, match="gives column 2 probability 0"):
        rescaled_basis(model)
    assert residual_sum_of_squares(toy, model) > 0  # the other measures are finite


def test_bad_input(toy, make):
    with pytest.raises(ValueError, match=r"`table` has shape \(5, 2\) and `factorisation` fits"):
        dissimilarity(toy, make(0))
    with pytest.raises(ValueError, match="needs three"):
        ternary_coordinates([0.5, 0.5])
    with pytest.raises(ValueError, match="must sum to 1"):
        ternary_coordinates([0.5, 0.5, 0.5])
