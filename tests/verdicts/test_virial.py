import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias.stats import kolmogorov_smirnov
from gaugebias.symmetry import Orthogonal
from gaugebias.verdicts import virial_terms, virial_test


def test_p_values_are_uniform_when_it_holds():
    # theta ~ N(0, T I_3), L = |theta|^2 / 2: 300 tests of 200 chains, false-alarm rate 1e-3.
    rng = np.random.default_rng(0)
    p = []
    for _ in range(300):
        theta = np.sqrt(0.1) * rng.normal(size=(200, 3))
        p.append(virial_test(np.sum(theta**2, axis=1), 0.3).p_value)
    assert kolmogorov_smirnov(np.asarray(p), lambda u: u).p_value > 1e-3


def test_terms_count_the_quotient():
    # Radial horizontal noise on R^3 with L = r^2 / 2: p(r) ~ exp(-r^2 / 2T) dr, one dimension.
    rng = np.random.default_rng(1)
    radius = np.sqrt(0.1) * np.abs(rng.normal(size=(2000, 1)))
    direction = rng.normal(size=(2000, 3))
    theta = radius * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    params = {"x": jnp.asarray(theta), "steps": 3}
    action = Orthogonal(lambda p: p["x"])

    def loss(p):
        return jnp.sum(p["x"] ** 2) / 2

    work, expected = virial_terms(loss, action, params, 0.1, alpha=1.0, beta=0.0)
    np.testing.assert_allclose(work, radius[:, 0] ** 2, rtol=1e-12)
    np.testing.assert_allclose(expected, 0.1, rtol=1e-12)
    found = virial_test(work, expected)
    assert found.p_value > 1e-3 and abs(found.ratio - 1) < 4 * found.ratio_error
    # Isotropic noise would need three dimensions' worth: rejected.
    _, isotropic = virial_terms(loss, action, params, 0.1, alpha=1.0, beta=1.0)
    np.testing.assert_allclose(isotropic, 0.3, rtol=1e-12)
    assert virial_test(work, isotropic).p_value < 1e-6


def test_draws_of_a_chain_are_averaged_first():
    rng = np.random.default_rng(2)
    work = rng.normal(size=(50, 7)) + 1.0
    whole = virial_test(work, np.ones((50, 7)))
    assert whole.n == 50
    assert whole.p_value == pytest.approx(virial_test(work.mean(axis=1), 1.0).p_value)


def test_bad_input_is_named():
    work = np.arange(10.0)
    with pytest.raises(ValueError, match="10 and 9"):
        virial_test(work, np.ones(9))
    with pytest.raises(ValueError, match="`expected` has mean zero"):
        virial_test(work, 0.0)
    with pytest.raises(ValueError, match="chains do not differ"):
        virial_test(np.ones(10), 2.0)
    with pytest.raises(ValueError, match="`work`.*non-finite"):
        virial_test(np.append(work, np.inf), 1.0)
    with pytest.raises(ValueError, match="`work`.*shape"):
        virial_test(np.zeros((10, 2, 2)), 1.0)
    with pytest.raises(ValueError, match="`work`.*at least 8"):
        virial_test(work[:4], 1.0)
    with pytest.raises(ValueError, match="`params`"):
        virial_terms(lambda p: 0.0, Orthogonal(lambda p: p["x"]), {"x": 1}, 0.1)
