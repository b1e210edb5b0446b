import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from gaugebias.factor import EMA, LBA, LCA, MODELS, NMF, PLSA, Factorisation

sizes = st.tuples(st.integers(2, 7), st.integers(2, 7), st.integers(1, 4))


def close(one, other):
    """Largest difference of two views, relative to the largest entry of each of their arrays."""
    assert type(one) is type(other)
    return max(
        float(np.max(np.abs(np.asarray(a) - np.asarray(b))) / np.max(np.abs(np.asarray(a))))
        for a, b in zip(one, other, strict=True)
    )


@given(st.integers(0, 2**31), sizes, st.sampled_from(list(MODELS)), st.sampled_from(list(MODELS)))
def test_every_view_and_back_loses_nothing(make, seed, shape, first, second):
    i, j, k = shape
    found = make(seed, i, j, k, pure=False)
    start = found.view(first)
    middle = Factorisation.of(start).view(second)
    back = Factorisation.of(middle).view(first)
    assert close(start, back) < 1e-12
    assert np.abs(Factorisation.of(middle).fitted / found.fitted - 1.0).max() < 1e-12


@given(st.integers(0, 2**31), sizes)
def test_a_non_negative_pair_in_any_units_comes_back(seed, shape):
    i, j, k = shape
    rng = np.random.default_rng(seed)
    pair = NMF(
        rng.exponential(size=(i, k)), 10.0 ** rng.uniform(-6, 6, (k, 1)) * rng.random((k, j))
    )
    found = Factorisation.of(pair)
    assert close(pair, found.nmf()) < 1e-12
    np.testing.assert_allclose(found.fitted, pair.left @ pair.right, rtol=1e-12)
    # r = M H 1: the condition M H 1 = 1 of the row-stochastic models holds for P = D_r^-1 X.
    np.testing.assert_allclose(found.row_totals, (pair.left @ pair.right).sum(axis=1), rtol=1e-12)


def test_the_views_are_the_models(make):
    found = make(0)
    table = found.fitted
    lba, ema, plsa, lca, nmf = (found.view(name) for name in MODELS)
    assert isinstance(lba, LBA) and isinstance(ema, EMA) and isinstance(plsa, PLSA)
    profiles = table / table.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(lba.mixing @ lba.budgets.T, profiles)
    np.testing.assert_allclose(ema.mixing @ ema.end_members, profiles)
    np.testing.assert_allclose(plsa.topics @ plsa.words, profiles)
    assert isinstance(lca, LCA) and isinstance(nmf, NMF)
    joint = np.einsum("k,ik,jk->ij", lca.weights, lca.rows, lca.columns)
    np.testing.assert_allclose(lca.total * joint, table)
    for sums in (lca.weights.sum(), lca.rows.sum(axis=0), lca.columns.sum(axis=0)):
        np.testing.assert_allclose(sums, 1.0)
    np.testing.assert_allclose(lca.weights, found.proportions)
    np.testing.assert_allclose(nmf.left @ nmf.right, table)


def test_a_fit_of_profiles_needs_rows_that_sum_to_one(make):
    found = make(1)
    left, right = found.mixing, 3.0 * found.basis
    exact = Factorisation.of_profiles(NMF(left / 3.0, right), found.row_totals)
    np.testing.assert_allclose(exact.fitted, found.fitted)
    np.testing.assert_allclose(exact.scale, 3.0)
    off = NMF(left * np.linspace(0.32, 0.34, len(left))[:, None], right)
    with pytest.raises(ValueError, match=r"sums to 1 only to within 0\.04; pass `normalise=True`"):
        Factorisation.of_profiles(off, found.row_totals)
    forced = Factorisation.of_profiles(off, found.row_totals, normalise=True)
    np.testing.assert_allclose(forced.fitted, found.fitted)  # scaled rows: the profiles are those


def test_a_mixing_changes_the_factors_and_not_the_table(make):
    found = make(2)
    order = found.permuted([2, 0, 1])
    np.testing.assert_allclose(order.fitted, found.fitted)
    shrunk = Factorisation(0.2 / 3 + 0.8 * found.mixing, found.basis, found.row_totals)
    matrix = np.eye(3) * 0.85 + 0.05
    moved = shrunk.transformed(matrix)
    np.testing.assert_allclose(moved.fitted, shrunk.fitted, rtol=1e-12)
    np.testing.assert_allclose(moved.determinant, np.linalg.det(matrix) ** 2 * shrunk.determinant)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2), "shape"),
        (2 * np.eye(3), "sum to 1"),
        (np.full((3, 3), 1 / 3), "singular"),
        (1.5 * np.eye(3) - 0.5 / 3, "not admissible: T G has the entry -"),
        (0.5 * np.eye(3) + 0.5 / 3, r"not admissible: A T\^-1 has the entry -"),
    ],
)
def test_a_mixing_that_is_not_admissible_is_refused(make, matrix, message):
    rng = np.random.default_rng(0)
    basis = rng.dirichlet(np.ones(9), 3)
    basis[:, :3] = np.eye(3) * 0.4
    basis /= basis.sum(axis=1, keepdims=True)
    found = Factorisation(make(5).mixing, basis, np.ones(12))
    with pytest.raises(ValueError, match=message):
        found.transformed(matrix)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda f: Factorisation(f.mixing, f.basis[:2], f.row_totals), "shape"),
        (lambda f: Factorisation(f.mixing, f.basis, f.row_totals[:3]), "`row_totals` has shape"),
        (lambda f: Factorisation(f.mixing * 1.1, f.basis, f.row_totals), "`mixing`: row .* sums"),
        (lambda f: Factorisation(f.mixing, -f.basis, f.row_totals), "`basis` has the negative"),
        (lambda f: Factorisation(f.mixing, f.basis, 0 * f.row_totals), "`row_totals` must be pos"),
        (lambda f: Factorisation(f.mixing * np.nan, f.basis, f.row_totals), "not finite"),
        (lambda f: Factorisation.of(NMF(f.mixing, 0 * f.basis)), "`right` has the row 1"),
        (lambda f: Factorisation.of(NMF(0 * f.mixing, f.basis)), "product .* has the row 1"),
        (lambda f: Factorisation.of(NMF(-f.mixing, f.basis)), "`left` has the negative"),
        (lambda f: Factorisation.of(f.lca()._replace(weights=np.ones(3))), "`weights` must sum"),
        (lambda f: f.view("svd"), "choose from lba, ema, plsa, lca, nmf"),
        (lambda f: f.permuted([0, 0, 1]), "give a permutation"),
    ],
)
def test_what_is_wrong_is_said(make, use, message):
    with pytest.raises(ValueError, match=message):
        use(make(6))


def test_a_class_without_weight_is_refused():
    empty = Factorisation([[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.2, 0.8]], [3.0, 4.0])
    with pytest.raises(ValueError, match="component 2 has weight 0"):
        empty.lca()


def test_components_are_put_into_the_order_of_another_factorisation(make):
    found = make(7, k=4)
    shuffled = found.permuted([2, 0, 3, 1])
    np.testing.assert_array_equal(shuffled.matched(found).basis, found.basis)
    np.testing.assert_array_equal(shuffled.matched(found).mixing, found.mixing)
    with pytest.raises(ValueError, match=r"`other` has a basis of shape \(3, 9\), this one of"):
        found.matched(make(7, k=3))
