"""GeneralLinear against matrix formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import gaugebias as gb
from gaugebias.symmetry import GeneralLinear, orbit_jacobian


def test_factorisation(getkey):
    u, v, c = (jax.random.normal(getkey(), s) for s in ((4, 3), (2, 3), (3, 3)))
    act = GeneralLinear("U", "V")
    params = {"U": u, "V": v}
    tangent = act.tangent(params, c)
    np.testing.assert_allclose(tangent["U"], u @ c, atol=1e-13)
    np.testing.assert_allclose(tangent["V"], -v @ c.T, atol=1e-13)
    a = scipy.linalg.expm(np.asarray(c))
    end = act.flow(params, c)
    np.testing.assert_allclose(end["U"], u @ a, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(end["V"], v @ np.linalg.inv(a).T, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(end["U"] @ end["V"].T, u @ v.T, atol=1e-11)
    # twice the moment map, symmetric: U^T U - V^T V
    np.testing.assert_allclose(act.cotangent(params, params), u.T @ u - v.T @ v, atol=1e-12)


def test_gram_is_the_kronecker_sum(getkey):
    """<X_C, X_C'> = tr(C^T U^T U C') + tr(C V^T V C'^T)."""
    u, v = jax.random.normal(getkey(), (4, 2)), jax.random.normal(getkey(), (3, 2))
    jacobian = orbit_jacobian(GeneralLinear("0", "1"), (u, v))
    eye = np.eye(2)
    expected = np.kron(u.T @ u, eye) + np.kron(eye, v.T @ v)
    np.testing.assert_allclose(jacobian.T @ jacobian, expected, atol=1e-12)


def test_deep_linear_order(getkey):
    """axes (1, 0) is (W2 A, A^-1 W1)."""
    w2, w1, c = (jax.random.normal(getkey(), s) for s in ((2, 3), (3, 4), (3, 3)))
    act = GeneralLinear(lambda p: p["w2"], lambda p: p["w1"], axes=(1, 0))
    params = {"w1": w1, "w2": w2}
    np.testing.assert_allclose(act.tangent(params, c)["w2"], w2 @ c, atol=1e-13)
    np.testing.assert_allclose(act.tangent(params, c)["w1"], -c @ w1, atol=1e-13)
    end = act.flow(params, c)
    np.testing.assert_allclose(end["w2"] @ end["w1"], w2 @ w1, atol=1e-10)


def test_several_leaves_and_heads(getkey):
    """Queries with a bias against keys with a bias, two heads on different axes."""
    q, k = jax.random.normal(getkey(), (2, 5, 3)), jax.random.normal(getkey(), (6, 3, 2))
    bq, bk = jax.random.normal(getkey(), (2, 3)), jax.random.normal(getkey(), (3, 2))
    act = GeneralLinear(("q", "bq"), ("k", "bk"), axes=((2, 1), (1, 0)), batch=((0, 0), (2, 1)))
    params = {"q": q, "k": k, "bq": bq, "bk": bk}
    assert act.algebra(params).shape == (2, 3, 3)
    c = 0.5 * jax.random.normal(getkey(), (2, 3, 3))
    end = act.flow(params, c)

    def logits(p):
        queries = p["q"] + p["bq"][:, None, :]
        keys = jnp.moveaxis(p["k"] + p["bk"][None], -1, 0)
        return jnp.einsum("hir,hjr->hij", queries, keys)

    np.testing.assert_allclose(logits(end), logits(params), atol=1e-10)
    alone = GeneralLinear("0", "1").tangent((q[1], k[:, :, 1]), c[1])
    tangent = act.tangent(params, c)
    np.testing.assert_allclose(tangent["q"][1], alone[0], atol=1e-13)
    np.testing.assert_allclose(tangent["k"][:, :, 1], alone[1], atol=1e-13)


def test_wrong_axes():
    params = (jnp.ones((2, 3, 3)), jnp.ones((4, 3, 3)))
    with pytest.raises(ValueError, match="the number of copies is 2 .* but 4"):
        GeneralLinear("0", "1", axes=2, batch=0).algebra(params)
    with pytest.raises(ValueError, match="`batch` and `axes` both take axis 2"):
        GeneralLinear("0", "1", axes=2, batch=-1).algebra(params)
    for axes in (None, ..., (1, None)):
        with pytest.raises(ValueError, match="`axes` must hold integers"):
            GeneralLinear("0", "1", axes=axes)


def test_large_coefficients_are_nan_rather_than_wrong():
    act = GeneralLinear("0", "1")
    end = act.flow((jnp.ones((2, 2)), jnp.ones((2, 2))), jnp.full((2, 2), 1e7))
    assert jnp.isnan(end[0]).all()


def test_sizes_of_zero():
    with pytest.raises(ValueError, match="`axes` gives 'u' .* the hidden size 0"):
        GeneralLinear("u", "v").algebra({"u": jnp.ones((4, 0)), "v": jnp.ones((3, 0))})
    params = {"u": jnp.ones((0, 2)), "v": jnp.diag(jnp.array([2.0, 3.0]))}
    gram = gb.orbit_gram(GeneralLinear("u", "v"), params)  # S C = C V^T V
    assert int(gram.rank()) == 4
    assert float(gram.log_det()) == pytest.approx(2 * np.log(36.0))
