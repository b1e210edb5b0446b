"""Products of factors and their starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaugebias import flows


def test_products(getkey):
    factors = jax.random.normal(getkey(), (3, 4, 4))
    wanted = factors[2] @ factors[1] @ factors[0]
    np.testing.assert_allclose(flows.DeepProduct()(factors), wanted, rtol=1e-12)
    widths = [jnp.ones((5, 2)), jnp.ones((3, 5))]
    assert flows.DeepProduct()(widths).shape == (3, 2)
    symmetric = 0.5 * (factors[0] + factors[0].T)
    power = symmetric @ symmetric @ symmetric
    np.testing.assert_allclose(flows.TiedProduct(3)(factors[0]), power, rtol=1e-12)


def test_starts(getkey):
    same = flows.identical_start(3, 2, 0.1)
    np.testing.assert_array_equal(same, 0.1 * np.stack([np.eye(3)] * 2))
    moved = flows.perturbed_start(3, 2, 0.1, 0.04)
    np.testing.assert_allclose(moved[0], 0.06 * np.eye(3))
    np.testing.assert_array_equal(moved[1], same[1])
    draws = flows.random_start(getkey(), 50, 4, 0.5)
    # 10^4 draws: the mean square is known to 1.4%, and 5% is 3.5 standard errors.
    assert float(jnp.mean(draws**2)) == pytest.approx(0.25 / 50, rel=0.05)


def test_what_bad_input_says(getkey):
    with pytest.raises(ValueError, match="`depth` must be an integer of at least 1"):
        flows.TiedProduct(0)
    with pytest.raises(ValueError, match="`depth` must be at least 2"):
        flows.perturbed_start(3, 1, 0.1, 0.05)
    with pytest.raises(ValueError, match="`size` must be at least 1"):
        flows.identical_start(0, 2, 0.1)
    with pytest.raises(ValueError, match="`alpha` must be a scalar"):
        flows.random_start(getkey(), 3, 2, np.array([0.1, 0.2]))
