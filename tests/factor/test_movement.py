"""How far components move: exact for two, against an independent decision for three."""

import numpy as np
import pytest

from gaugebias.factor import Factorisation, component_region, expectation_maximisation, movement
from gaugebias.factor._nested import apply, farthest, one_component
from gaugebias.factor._region import possible_component
from gaugebias.factor._search import admissible, essential


def test_the_ranges_of_the_health_table_are_exact(toy, key):
    """Rank 2, two columns: one budget runs from the fittest group's share of men to 1, the other
    from 0 to the share of the least fit; the proportions follow from the margin 3089 / 6371."""
    fit = expectation_maximisation(toy, 2, key=key, starts=2, tol=1e-11)
    moves = movement(fit.factorisation)
    men, top, bottom = 3089 / 6371, 448 / 817, 39 / 103
    first = int(np.argmax(fit.factorisation.basis[:, 0]))
    low, high = moves.basis_low[:, 0], moves.basis_high[:, 0]
    assert moves.exact
    np.testing.assert_allclose([low[first], high[first]], [top, 1.0], atol=1e-6)
    np.testing.assert_allclose([low[1 - first], high[1 - first]], [0.0, bottom], atol=1e-6)
    np.testing.assert_allclose(moves.proportions_low[first], (men - bottom) / (1 - bottom), 1e-6)
    np.testing.assert_allclose(moves.proportions_high[first], men / top, 1e-6)
    np.testing.assert_allclose(moves.bound_low, 0.0, atol=1e-12)
    np.testing.assert_allclose(moves.bound_high, 1.0)


def test_two_components_move_no_farther_and_no_less():
    rng = np.random.default_rng(8)
    mixing = 0.8 * rng.dirichlet([1.0, 1.0], 9) + 0.1
    found = Factorisation(mixing, 0.6 * rng.dirichlet(np.ones(5), 2) + 0.08, np.full(9, 60.0))
    moves = movement(found)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.0, 2.0, (20_000, 2))
    matrices = np.stack([1.0 - x, x], axis=-1)
    matrices = matrices[np.linalg.det(matrices) > 0.05]
    kept = [t for t in matrices if min(part.min() for part in apply(t, *_factors(found))) >= 0]
    assert len(kept) > 200
    moved = [apply(t, *_factors(found)) for t in kept]
    for index, low, high in (
        (0, moves.mixing_low, moves.mixing_high),
        (1, moves.basis_low, moves.basis_high),
    ):
        values = np.stack([pair[index] for pair in moved])
        assert (values >= low - 1e-9).all() and (values <= high + 1e-9).all()
        # 200 uniform draws come within a tenth of every end.
        width = high - low
        assert (values.min(axis=0) - low <= 0.15 * width + 1e-9).all()
        assert (high - values.max(axis=0) <= 0.15 * width + 1e-9).all()


def _factors(found):
    return found.mixing, found.basis


def test_the_places_of_one_component_are_exactly_that_polytope(make):
    mixing, basis = _factors(make(22, k=4, pure=False))
    rng = np.random.default_rng(1)
    for k in range(4):
        places = one_component(mixing, basis, k)
        u = farthest(places, rng.standard_normal(4))
        assert u is not None
        for length, inside in ((0.0, True), (0.6, True), (1.0 - 1e-6, True), (1.001, False)):
            matrix = np.eye(4)
            matrix[k] += length * u
            left, right = apply(matrix, mixing, basis)
            assert bool(min(left.min(), right.min()) >= -1e-9) is inside


def test_hull_rows_and_columns_hold_all_the_conditions():
    rng = np.random.default_rng(9)
    mixing = 0.9 * rng.dirichlet(np.ones(3), 60) + 0.1 / 3
    found = Factorisation(mixing, 0.9 * rng.dirichlet(np.ones(40), 3) + 0.1 / 40, np.ones(60))
    mixing, basis = essential(found.mixing, found.basis)
    assert len(mixing) < 30 and basis.shape[1] < 30
    answers = []
    for size in (0.01, 0.03, 0.1) * 40:
        matrix = np.eye(3) + size * rng.standard_normal((3, 3))
        matrix /= matrix.sum(axis=1, keepdims=True)
        answers.append(admissible(matrix, mixing, basis))
        assert answers[-1] == admissible(matrix, found.mixing, found.basis)
    assert 10 < sum(answers) < 110


@pytest.fixture(scope="module")
def loose():
    """Three components with room on both sides: no pure row, no column of their own."""
    rng = np.random.default_rng(5)
    mixing = 0.94 * rng.dirichlet([0.5] * 3, 14) + 0.02
    basis = 0.95 * rng.dirichlet([0.3] * 7, 3) + 0.05 / 7
    return Factorisation(mixing, basis, np.full(14, 100.0))


def test_three_components_reach_what_the_exact_region_allows(loose):
    moves = movement(loose, effort=5)
    assert not moves.exact and 0.02 < moves.size < 0.9
    region = component_region(loose, resolution=120)
    places = region.points[region.possible]
    assert 50 < len(places) < len(region.points)
    # The three parts do not touch here: each belongs to the corner that is nearest.
    owner = places.argmax(axis=1)
    shares = places @ loose.basis
    for k in range(3):
        mine = shares[owner == k]
        assert (mine >= moves.basis_low[k] - 1e-5).all()
        assert (mine <= moves.basis_high[k] + 1e-5).all()
    # And every place of the walk is possible, once drawn in by the optimiser's rounding.
    centre = region.inner.mean(axis=0)
    corners = moves.transforms.reshape(-1, 3)
    found = possible_component(corners, region.inner, loose.basis)
    drawn = possible_component(corners + 1e-6 * (corners - centre), region.inner, loose.basis)
    inner = possible_component(corners - 1e-6 * (corners - centre), region.inner, loose.basis)
    assert (found | drawn | inner).mean() > 0.9
    assert (moves.basis_low >= moves.bound_low - 1e-9).all()
    assert (moves.basis_high <= moves.bound_high + 1e-9).all()


def test_the_region_holds_the_corners_of_all_triangles_found_by_chance(loose):
    # Rows nearer to the middle, so that chance finds any.
    loose = Factorisation(0.5 * loose.mixing + 0.5 / 3, loose.basis, loose.row_totals)
    region = component_region(loose, resolution=40)
    rng = np.random.default_rng(6)
    weights = rng.dirichlet(np.full(len(region.outer), 0.25), (200_000, 3))
    triangles = weights @ region.outer
    sizes = np.abs(np.linalg.det(triangles))
    triangles = triangles[sizes > 0.3 * sizes.max()]
    shares = np.linalg.solve(np.swapaxes(triangles, 1, 2), region.inner.T[None])
    around = triangles[shares.min(axis=(1, 2)) >= 0.0]
    assert len(around) > 20
    assert possible_component(around.reshape(-1, 3), region.inner, loose.basis).all()
    # The middle of the rows is no corner of anything around them.
    assert not possible_component(
        region.inner.mean(axis=0, keepdims=True), region.inner, loose.basis
    ).any()


def test_a_seed_and_more_effort_change_little(loose):
    one, other = movement(loose, effort=5), movement(loose, effort=12, seed=1)
    np.testing.assert_allclose(one.basis_low, other.basis_low, atol=1e-3)
    np.testing.assert_allclose(one.basis_high, other.basis_high, atol=1e-3)
    np.testing.assert_allclose(one.proportions_high, other.proportions_high, atol=1e-3)
    for matrix in other.transforms[::9]:
        moved = loose.transformed(matrix)
        np.testing.assert_allclose(moved.profiles, loose.profiles, atol=1e-7)


def test_bad_input_is_refused(make, loose):
    with pytest.raises(ValueError, match="`effort` is 0"):
        movement(loose, effort=0)
    flat = Factorisation(loose.mixing, loose.basis[[0, 1, 1]], loose.row_totals)
    with pytest.raises(ValueError, match="a `basis` of rank below its 3 components"):
        movement(flat)
    with pytest.raises(ValueError, match="has 2 components: the plane is for 3"):
        component_region(make(0, k=2))
    with pytest.raises(ValueError, match="`resolution` is 1"):
        component_region(loose, resolution=1)


def test_four_components_in_two_blocks_move_as_two_and_two():
    """Rows and columns in two blocks that do not touch: the exact ranges are those of each."""
    rng = np.random.default_rng(10)
    parts = [
        Factorisation(
            0.8 * rng.dirichlet([1.0, 1.0], 6) + 0.1,
            0.7 * rng.dirichlet(np.ones(4), 2) + 0.075,
            np.full(6, 50.0),
        )
        for _ in range(2)
    ]
    zeros = np.zeros((6, 2)), np.zeros((2, 4))
    mixing = np.block([[parts[0].mixing, zeros[0]], [zeros[0], parts[1].mixing]])
    basis = np.block([[parts[0].basis, zeros[1]], [zeros[1], parts[1].basis]])
    moves = movement(Factorisation(mixing, basis, np.full(12, 50.0)), effort=5)
    for block, part in enumerate(parts):
        exact = movement(part)
        k, columns = slice(2 * block, 2 * block + 2), slice(4 * block, 4 * block + 4)
        np.testing.assert_allclose(moves.basis_low[k, columns], exact.basis_low, atol=1e-6)
        np.testing.assert_allclose(moves.basis_high[k, columns], exact.basis_high, atol=1e-6)
        np.testing.assert_allclose(2 * moves.proportions_high[k], exact.proportions_high, atol=1e-6)
    assert exact.size > 0.1 and moves.basis_high[:2, 4:].max() < 1e-7
