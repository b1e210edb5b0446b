import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gaugebias as gb
from gaugebias.factor import MixingAction
from gaugebias.symmetry import GeneralLinear, algebra_dimension, stabiliser_dimension


@pytest.fixture
def pair(make):
    found = make(0)
    return jnp.asarray(found.mixing), jnp.asarray(found.basis)


def test_the_fitted_table_does_not_see_it(pair):
    report = gb.check_invariance(lambda p: p[0] @ p[1], MixingAction(), pair)
    assert report.dimension == 6
    assert algebra_dimension(MixingAction(), pair) == 6
    assert stabiliser_dimension(MixingAction(), pair) == 0


def test_row_sums_stay_one_as_under_no_larger_group(pair, getkey):
    act = MixingAction()
    coeffs = 0.5 * jax.random.normal(getkey(), (3, 2))
    for rows in act.flow(pair, coeffs):
        np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-12)
    full = GeneralLinear("0", "1", axes=(1, 0))
    moved = full.flow(pair, 0.5 * jax.random.normal(getkey(), (3, 3)))
    assert float(jnp.abs(moved[0].sum(axis=1) - 1.0).max()) > 0.01


def test_flow_is_the_mixing_t_and_its_generator_the_tangent(pair, getkey):
    act = MixingAction()
    coeffs = 0.3 * jax.random.normal(getkey(), (3, 2))
    mixing, basis = act.flow(pair, coeffs)
    matrix = basis @ jnp.linalg.pinv(pair[1])  # T
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-10)
    np.testing.assert_allclose(mixing @ matrix, pair[0], atol=1e-10)
    _, slope = jax.jvp(lambda t: act.flow(pair, t * coeffs), (0.0,), (1.0,))
    for x, y in zip(slope, act.tangent(pair, coeffs), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-12)


def test_one_component_has_no_group(pair):
    with pytest.raises(ValueError, match="nothing to mix"):
        MixingAction().algebra((pair[0][:, :1], pair[1][:1]))
